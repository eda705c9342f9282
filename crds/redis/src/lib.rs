//! What a Redis Cluster says about itself: its nodes, their addresses, and the hash slots that they serve.
//!
//! Reads and describes, decides nothing, opens no socket. The operator plans from it, the gateway finds its servers with it,
//! and the tests look up slots with it.

mod address;
mod node;
mod slot;
mod slot_set;
mod topology;

pub use address::{Address, AddressError, Prefer};
pub use node::{Flags, Node, NodeId, SlotMove, TableError};
pub use slot::{Slot, SlotError, SlotRange};
pub use slot_set::SlotSet;
pub use topology::Topology;
