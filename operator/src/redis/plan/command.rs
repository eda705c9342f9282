//! The orders to a server, and the words for them.

use parlor_redis::{NodeId, SlotSet};

use crate::redis::passwords::{Passwords, Which};

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

/// What a server is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Get to know the server at this address.
    Meet(String),
    /// Ask for the password.
    Protect,
    /// Let one of the passwords in, beside those that are let in already.
    Admit(Which),
    /// Present the current password to the primary.
    PresentCurrent,
    /// Let no other password in than the current one.
    AdmitNoOther,
    /// Read the files of the certificate again.
    ReloadCertificate,
    /// Serve these slots, which nobody serves.
    AddSlots(SlotSet),
    /// Forget who is said to serve these slots, because nobody does.
    DropSlots(SlotSet),
    /// Give slots to another primary, with their keys.
    Hand(Hand),
    /// End the move of these slots as it is.
    EndMoves(SlotSet),
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

/// Slots on their way from the server that receives the order to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// The slots.
    pub slots: SlotSet,
    /// The server that has them.
    pub from: NodeId,
    /// The server that gets them.
    pub to: NodeId,
    /// Its address.
    pub to_ip: String,
    /// A replica of it confirms what it received, before more is sent.
    pub copied: bool,
}

impl Command {
    /// The words on the wire of each command that makes it, in order; none for a [`Command::Hand`] and a
    /// [`Command::ReloadCertificate`], which are conversations.
    /// Without passwords there is nothing to say about them.
    pub fn words(&self, passwords: Option<&Passwords>) -> Vec<Vec<String>> {
        let set = |tail: &[&str]| tail.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let cluster = |tail: &[&str]| std::iter::once("CLUSTER".to_owned()).chain(set(tail)).collect::<Vec<String>>();
        let current = passwords.map(|passwords| passwords.current.as_str());
        let with_current = |words: &dyn Fn(&str) -> Vec<Vec<String>>| current.map(words).unwrap_or_default();
        match self {
            Self::Hand(_) | Self::ReloadCertificate => Vec::new(),
            // First what it says to its primary, then what clients must say: the other way round it could lose its primary.
            Self::Protect => with_current(&|password| {
                ["masterauth", "requirepass"].map(|setting| set(&["CONFIG", "SET", setting, password])).to_vec()
            }),
            Self::Admit(which) => {
                let password = passwords.and_then(|passwords| passwords.get(*which));
                password
                    .map(|password| set(&["ACL", "SETUSER", "default", &format!(">{password}")]))
                    .into_iter()
                    .collect()
            }
            Self::PresentCurrent => with_current(&|password| vec![set(&["CONFIG", "SET", "masterauth", password])]),
            Self::AdmitNoOther => with_current(&|password| {
                vec![set(&["ACL", "SETUSER", "default", "resetpass", &format!(">{password}")])]
            }),
            Self::Meet(ip) => vec![cluster(&["MEET", ip, "6379"])],
            Self::Replicate(id) => vec![cluster(&["REPLICATE", id.as_str()])],
            Self::Forget(id) => vec![cluster(&["FORGET", id.as_str()])],
            Self::HandOver => vec![cluster(&["FAILOVER"])],
            Self::Force => vec![cluster(&["FAILOVER", "FORCE"])],
            Self::Takeover => vec![cluster(&["FAILOVER", "TAKEOVER"])],
            Self::EndMoves(slots) => {
                slots.iter().map(|slot| cluster(&["SETSLOT", &slot.to_string(), "STABLE"])).collect()
            }
            Self::AddSlots(slots) => vec![[cluster(&["ADDSLOTSRANGE"]), ends(slots)].concat()],
            Self::DropSlots(slots) => vec![[cluster(&["DELSLOTSRANGE"]), ends(slots)].concat()],
        }
    }
}

/// The first and the last slot of each range.
fn ends(slots: &SlotSet) -> Vec<String> {
    slots.ranges().into_iter().flat_map(|range| [range.first(), range.last()]).map(|slot| slot.to_string()).collect()
}
