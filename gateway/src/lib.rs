//! A Parlor gateway: holds sockets, speaks the protocols, fans rooms out through the bus.
//!
//! Imports go down this list only: `run` -> `http` -> `protocols` -> `fanout` -> `bus` -> `rooms`. `probe` stands apart.

pub mod args;
pub mod bus;
pub mod fanout;
pub mod http;
pub mod probe;
pub mod protocols;
pub mod rooms;
pub mod run;
