//! The orders to a server, and the words for them.

use parlor_redis::{NodeId, SlotSet};

/// One command for one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Pod of the server.
    pub pod: String,
    /// Its address.
    pub ip: String,
    /// The order.
    pub command: Command,
}

/// A cluster command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Get to know the server at this address.
    Meet(String),
    /// Ask for the password, of which this says nothing.
    Protect,
    /// Serve these slots, which nobody serves.
    AddSlots(SlotSet),
    /// Copy this primary.
    Replicate(NodeId),
    /// Drop a server that is gone for good.
    Forget(NodeId),
    /// Become primary in agreement with the old one, losing nothing.
    HandOver,
    /// Become primary by vote, whatever the state of the link to the old one.
    Force,
    /// Become primary without a vote.
    Takeover,
}

impl Command {
    /// The words on the wire; none for [`Command::Protect`], whose words are secret.
    pub fn words(&self) -> Vec<String> {
        let words = |tail: &[&str]| std::iter::once(&"CLUSTER").chain(tail).map(|word| (*word).to_owned()).collect();
        match self {
            Self::Protect => Vec::new(),
            Self::Meet(ip) => words(&["MEET", ip, "6379"]),
            Self::Replicate(id) => words(&["REPLICATE", id.as_str()]),
            Self::Forget(id) => words(&["FORGET", id.as_str()]),
            Self::HandOver => words(&["FAILOVER"]),
            Self::Force => words(&["FAILOVER", "FORCE"]),
            Self::Takeover => words(&["FAILOVER", "TAKEOVER"]),
            Self::AddSlots(slots) => {
                let mut all: Vec<String> = words(&["ADDSLOTSRANGE"]);
                let ends = slots.ranges().into_iter().flat_map(|range| [range.first(), range.last()]);
                all.extend(ends.map(|slot| slot.to_string()));
                all
            }
        }
    }
}
