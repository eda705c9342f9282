//! The managed Redis Cluster: what its servers say of it, and the single next step towards what the ChatRoom asks for.
//!
//! `info` and `view` read, `journal` remembers since when, `roles`, `plan`, `spread` and `upgrade` decide, and only `server`
//! opens a socket. Nothing here knows Kubernetes: a pod is a name, an address and the place it runs at.
//!
//! ```text
//! CLUSTER NODES and INFO of every pod ──client──► View ──plan──► Step ──client──► one round of commands
//! ```

pub mod access;
pub mod client;
pub mod connection;
mod handing;
pub mod health;
pub mod info;
pub mod journal;
pub mod passwords;
pub mod plan;
pub mod roles;
mod server;
pub mod settings;
pub mod spread;
pub mod tls;
pub mod upgrade;
pub mod view;
