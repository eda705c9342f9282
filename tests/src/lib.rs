//! The ground of the scenarios in `tests/`: real processes, real clients, honest checks.

pub mod audit;
pub mod bus;
pub mod client;
pub mod cluster;
pub mod control_plane;
pub mod gateway;
pub mod kubectl;
pub mod kubelet;
pub mod link;
pub mod mistakes;
pub mod mutants;
pub mod programs;
pub mod redis;
pub mod stage;
pub mod table;
