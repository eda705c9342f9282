//! A Parlor gateway: holds sockets, speaks the protocols, fans rooms out through the bus.
//!
//! Imports go down this list only: `run` -> `http` -> `protocols` -> `fanout` -> `bus`, `directory`, `moderation`,
//! `tokens` -> `redis` -> `rooms`. `probe`, `clock`, `authorities` and `args` import none of them.

pub mod args;
mod authorities;
pub mod bus;
pub mod clock;
pub mod deadlines;
pub mod directory;
pub mod fanout;
pub mod http;
pub mod moderation;
pub mod probe;
pub mod protocols;
pub mod redis;
pub mod rooms;
pub mod run;
pub mod tokens;
