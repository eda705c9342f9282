//! One line of `CLUSTER NODES`.
//!
//! Reads what every version from Redis 7.0 and Valkey 7.2 writes; fields behind the ones it knows are ignored.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::{
    address::{Address, Prefer},
    slot::{Slot, SlotRange},
    slot_set::SlotSet,
};

/// Names a node for life: 40 hexadecimal digits where the server is Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The id as a server writes it.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as a server writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters, enough to tell nodes apart in a message.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What the table says of a node besides its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The server that answered.
    pub myself: bool,
    /// A primary, with or without slots.
    pub primary: bool,
    /// A majority of the primaries holds it for dead.
    pub failed: bool,
    /// The server that answered does not reach it.
    pub suspected: bool,
    /// Met, but not heard of yet: its id is provisional.
    pub handshake: bool,
    /// Its address is not known.
    pub no_address: bool,
}

/// A slot that is on its way between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotMove {
    /// Its keys go to this node.
    Migrating(Slot, NodeId),
    /// Its keys come from this node.
    Importing(Slot, NodeId),
}

/// A node as one server of its cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name for life.
    pub id: NodeId,
    /// IP address; empty when the server that answered does not know it, which is so of itself before its first meeting.
    pub ip: Arc<str>,
    /// Port for clients.
    pub port: u16,
    /// The host name that it announces, if any.
    pub hostname: Option<Arc<str>>,
    /// What the table says of it.
    pub flags: Flags,
    /// The primary that it copies; `None` for a primary.
    pub replica_of: Option<NodeId>,
    /// Grows with each election and slot move: of two claims to a slot the higher is newer.
    pub epoch: u64,
    /// The link to it works, as the server that answered sees it.
    pub connected: bool,
    /// Slots that it serves.
    pub slots: SlotSet,
    /// Slots that are on their way; only the server that answered says so, and only of itself.
    pub moves: Vec<SlotMove>,
}

/// The reason why an answer of `CLUSTER NODES` could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A line with fewer than the eight fields that every version writes.
    #[error("a node line has {0} fields instead of at least 8")]
    Fields(usize),
    /// An address that has no port.
    #[error("`{0}` is no node address")]
    Address(String),
    /// An epoch that is no number.
    #[error("`{0}` is no epoch")]
    Epoch(String),
    /// Neither a slot below 16,384, nor a range of them, nor a slot on its way.
    #[error("`{0}` is no slot")]
    Slot(String),
}

impl Node {
    /// A primary without slots, from which a table can be put together.
    pub fn new(id: NodeId, address: &Address) -> Self {
        Self {
            id,
            ip: address.host.clone(),
            port: address.port,
            hostname: None,
            flags: Flags { primary: true, ..Flags::default() },
            replica_of: None,
            epoch: 0,
            connected: true,
            slots: SlotSet::empty(),
            moves: Vec::new(),
        }
    }

    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Result<Self, TableError> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [id, address, flags, replica_of, _ping, _pong, epoch, link, slots @ ..] = fields.as_slice() else {
            return Err(TableError::Fields(fields.len()));
        };
        let Announced { ip, port, hostname } = Announced::parse(address)?;
        let mut node = Self {
            id: NodeId::new(id),
            ip,
            port,
            hostname,
            flags: Flags::parse(flags),
            replica_of: (*replica_of != "-").then(|| NodeId::new(replica_of)),
            epoch: epoch.parse().map_err(|_| TableError::Epoch((*epoch).to_owned()))?,
            connected: *link == "connected",
            slots: SlotSet::empty(),
            moves: Vec::new(),
        };
        slots.iter().try_for_each(|text| node.read_slots(text))?;
        Ok(node)
    }

    fn read_slots(&mut self, text: &str) -> Result<(), TableError> {
        let refused = || TableError::Slot(text.to_owned());
        match text.strip_prefix('[') {
            Some(inner) => self.moves.push(inner.strip_suffix(']').and_then(SlotMove::parse).ok_or_else(refused)?),
            None => self.slots.insert(text.parse::<SlotRange>().map_err(|_| refused())?),
        }
        Ok(())
    }

    /// Whether it is a primary that serves slots: those decide by majority.
    pub fn votes(&self) -> bool {
        self.flags.primary && !self.slots.is_empty()
    }

    /// Where to reach it, if that is known. A server that does not know its own address is where it was `asked`.
    pub fn address(&self, asked: &Address, prefer: Prefer) -> Option<Address> {
        if self.flags.no_address {
            return None;
        }
        let named = self.hostname.as_ref().filter(|_| prefer == Prefer::HostName);
        let host = match named {
            Some(name) => name,
            None if self.ip.is_empty() => &asked.host,
            None => &self.ip,
        };
        Some(Address { host: host.clone(), port: self.port })
    }
}

impl Flags {
    fn parse(text: &str) -> Self {
        let has = |name: &str| text.split(',').any(|flag| flag == name);
        Self {
            myself: has("myself"),
            primary: has("master"),
            failed: has("fail"),
            suspected: has("fail?"),
            handshake: has("handshake"),
            no_address: has("noaddr"),
        }
    }
}

impl SlotMove {
    /// `93-<-id` or `77->-id`.
    fn parse(text: &str) -> Option<Self> {
        if let Some((slot, to)) = text.split_once("->-") {
            return Some(Self::Migrating(slot.parse().ok()?, NodeId::new(to)));
        }
        let (slot, from) = text.split_once("-<-")?;
        Some(Self::Importing(slot.parse().ok()?, NodeId::new(from)))
    }
}

/// The address field of a line.
struct Announced {
    ip: Arc<str>,
    port: u16,
    hostname: Option<Arc<str>>,
}

impl Announced {
    /// `ip:port@busport[,hostname[,name=value…]]`; the address itself may hold colons.
    fn parse(text: &str) -> Result<Self, TableError> {
        let refused = || TableError::Address(text.to_owned());
        let mut parts = text.split(',');
        let address = parts.next().and_then(|address| address.split('@').next()).unwrap_or_default();
        let (ip, port) = address.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let hostname = parts.next().filter(|name| !name.is_empty() && !name.contains('='));
        Ok(Self { ip: ip.into(), port, hostname: hostname.map(Arc::from) })
    }
}
