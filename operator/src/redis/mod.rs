//! The managed Redis Cluster: what its nodes say of it, and the single next step towards what the ChatRoom asks for.
//!
//! `nodes` and `slots` read and describe, `roles` and `plan` decide, and only `client` opens a socket, over which it
//! speaks `resp`. Nothing here knows Kubernetes: a pod is a name, an address and the host it runs on.
//!
//! ```text
//! CLUSTER NODES of every pod ──client──► View ──plan──► Step ──client──► one round of commands
//! ```

pub mod client;
pub mod health;
pub mod nodes;
pub mod plan;
pub mod resp;
pub mod roles;
pub mod settings;
pub mod slots;
pub mod upgrade;
