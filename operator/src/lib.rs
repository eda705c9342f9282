//! The operator of Parlor: it turns ChatRooms into gateways, a Redis Cluster and a way in.
//!
//! ```text
//! main ─ args ─ run ─┬─ leader, probes, metrics
//!                    └─ controller ── reconcile: observe ► validate ► build ► decide ► apply ► status
//!                                     redis: what the managed Redis Cluster needs next
//! ```

pub mod args;
pub mod context;
pub mod controller;
pub mod explain;
pub mod gateways;
pub mod leader;
pub mod memory;
pub mod metrics;
pub mod nodes;
pub mod probes;
pub mod reconcile;
pub mod redis;
pub mod run;
pub mod stores;
