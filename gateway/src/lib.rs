//! A Parlor gateway: holds sockets, speaks the protocols, fans rooms out through the bus.
//!
//! Imports go down this list only: `run` -> `http` -> `protocols` -> `fanout` -> `bus` -> `rooms`.

pub mod bus;
pub mod fanout;
pub mod http;
pub mod protocols;
pub mod rooms;
