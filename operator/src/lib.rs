//! The operator of Parlor: it turns ChatRooms into gateways, a Redis Cluster and a way in.

pub mod reconcile;
pub mod redis;
