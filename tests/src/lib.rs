//! The ground of the scenarios in `tests/`: real processes, real clients, honest checks.

mod admin_port;
pub mod audit;
pub mod bus;
pub mod client;
pub mod cluster;
pub mod control_plane;
pub mod crowd;
pub mod fate;
pub mod gateway;
pub mod kstatus;
pub mod kubectl;
pub mod kubelet;
pub mod link;
pub mod metrics_server;
pub mod mistakes;
pub mod mutants;
mod node;
pub mod programs;
pub mod redis;
pub mod signer;
pub mod stage;
mod stage_redis;
pub mod table;
