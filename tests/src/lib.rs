//! What the scenarios in `tests/` stand on: real processes, real clients, honest checks.

pub mod control_plane;
pub mod programs;
pub mod redis;
