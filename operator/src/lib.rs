//! The operator of Parlor: it turns ChatRooms into gateways, a Redis Cluster and a way in.
//!
//! ```text
//! main ─ args ─ run ─┬─ resource, leader, probes, metrics
//!                    └─ controller ── reconcile: validate ► observe ► recall ► build ► decide ► apply ► status
//!                                     redis: what the managed Redis Cluster needs next
//! ```

pub mod api_error;
pub mod args;
pub mod chat_room_name;
pub mod context;
pub mod controller;
pub mod deadlines;
pub mod events;
pub mod exit;
pub mod explain;
pub mod gateways;
pub mod kubectl;
pub mod leader;
pub mod metrics;
pub mod nodes;
pub mod probes;
pub mod reconcile;
pub mod redis;
pub mod resource;
pub mod run;
pub mod signals;
pub mod simulate;
pub mod stores;
