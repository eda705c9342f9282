//! The names of keys: one hash tag a partition, spread evenly over the slots.
//!
//! Decides where in a cluster a partition lives. Pure; the rest of this bus calls it.

use parlor_redis::Slot;

use crate::rooms::{Partition, RoomName};

/// The tag of each partition: the first three letters whose slot is nearest to the middle of the partition's 64th of
/// the slots, so that any number of shards with even slot ranges gets even shares. Never change one: data moves.
const TAGS: [&str; 64] = [
    "axl", "jwb", "hcu", "kec", "hpt", "kvb", "akm", "jdc", "eta", "frw", "lox", "oin", "dua", "gsw", "mnx", "fav",
    "ain", "box", "hrw", "kta", "hav", "cnx", "azo", "jua", "eec", "fcu", "dwb", "gqt", "ddc", "gbu", "evb", "fpt",
    "jvr", "ipd", "cmk", "hbe", "kwr", "hqd", "blk", "ice", "fsg", "euq", "gaf", "dgp", "grg", "dtq", "wbv", "efp",
    "bnh", "iaf", "kuq", "hsg", "coh", "qkn", "jtq", "irg", "fbe", "eds", "gpd", "dvr", "gce", "des", "fqd", "ewr",
];

/// The slot of a Redis Cluster that a partition lives in.
pub fn slot(partition: Partition) -> Slot {
    Slot::of(TAGS[partition.index()])
}

/// Names the keys of one ChatRoom.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// `prefix` holds no brace (the caller refuses one): the first brace must be the tag's.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    fn key(&self, partition: Partition, name: &str) -> String {
        format!("{}{{{}}}:{name}", self.prefix, TAGS[partition.index()])
    }

    /// Format, number, epoch, offset and time of the partition. The field that holds the epoch is called `generation`: it
    /// was stored under this name from the first, and other releases read it.
    pub(crate) fn meta(&self, partition: Partition) -> String {
        self.key(partition, "meta")
    }

    /// The stream that readers follow.
    pub(crate) fn log(&self, partition: Partition) -> String {
        self.key(partition, "log")
    }

    /// Hash of room to seq and state of its history.
    pub(crate) fn heads(&self, partition: Partition) -> String {
        self.key(partition, "heads")
    }

    /// One of the two hashes of recent keys, used in turn.
    pub(crate) fn dedupe(&self, partition: Partition, turn: u8) -> String {
        self.key(partition, &format!("keys{turn}"))
    }

    /// A segment of a room's history.
    pub(crate) fn history(&self, room: &RoomName, segment: u32) -> String {
        self.key(Partition::of(room), &format!("room:{segment}:{room}"))
    }

    /// What begins every key, as a pattern of rights to keys is written.
    pub(crate) fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// A key of cryptography that gateways share.
    pub(crate) fn shared(&self, partition: Partition, name: &str) -> String {
        self.key(partition, &format!("shared:{name}"))
    }

    /// What messages of a room have become, beside its history.
    pub(crate) fn amended(&self, room: &RoomName) -> String {
        self.key(Partition::of(room), &format!("amended:{room}"))
    }

    /// What the directory keeps under a name.
    pub(crate) fn directory(&self, partition: Partition, name: &str) -> String {
        self.key(partition, &format!("directory:{name}"))
    }

    /// What moderation keeps under a name.
    pub(crate) fn moderation(&self, partition: Partition, name: &str) -> String {
        self.key(partition, &format!("moderation:{name}"))
    }

    /// The channel of a partition's signals.
    pub(crate) fn signals(&self, partition: Partition) -> String {
        self.key(partition, "signals")
    }

    /// Hash of room to members over all gateways.
    pub(crate) fn members(&self, partition: Partition) -> String {
        self.key(partition, "members")
    }

    /// The sorted set of gateways that count members in a partition, by when their lease ends.
    pub(crate) fn leases(&self, partition: Partition) -> String {
        self.key(partition, "leases")
    }

    /// The same gateways as older releases list them.
    pub(crate) fn gateways(&self, partition: Partition) -> String {
        self.key(partition, "gateways")
    }

    /// Hash of room to members of one gateway.
    pub(crate) fn counts(&self, partition: Partition, gateway: &str) -> String {
        self.key(partition, &format!("counts:{gateway}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_fall_evenly_on_any_number_of_shards() {
        for shards in 1..=20_u32 {
            let mut held = vec![0; shards as usize];
            for partition in Partition::all() {
                held[(u32::from(slot(partition).number()) * shards / u32::from(Slot::COUNT)) as usize] += 1;
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert!(most - least <= 1, "{shards} shards hold {held:?}");
        }
    }

    #[test]
    fn all_keys_of_a_partition_share_its_slot() {
        let keys = Keys::new("ns/chat");
        let room = RoomName::new("a{b}c").unwrap();
        let partition = Partition::of(&room);
        let names = [
            keys.meta(partition),
            keys.log(partition),
            keys.heads(partition),
            keys.dedupe(partition, 1),
            keys.history(&room, 7),
            keys.amended(&room),
            keys.counts(partition, "g"),
        ];
        for name in names {
            assert_eq!(Slot::of(&name), slot(partition), "{name}");
        }
    }
}
