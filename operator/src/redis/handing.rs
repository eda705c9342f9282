//! Hands slots from one primary to another, keys first.
//!
//! One conversation with both servers. Every part of it can be done twice: what was cut short anywhere is continued by the same
//! order. At every moment exactly one server writes a key: the source refers clients to the target for each key that it does
//! not hold, and the slot itself changes hands when no key is left. Called by `client`; the planner chooses the slots.

use parlor_redis::{NodeId, Slot};

use super::{
    access::Access,
    plan::Hand,
    server::{ClientError, PORT, Server},
};

/// Keys that travel together. Both servers do nothing else meanwhile: 64 rooms with full histories take some 100 ms, far less
/// than the time after which a server is held for dead.
const KEYS_AT_ONCE: usize = 64;
/// How long the two servers may be silent while keys travel, in milliseconds; less than the node timeout.
const TRAVEL: &str = "2000";
/// How long a replica may take to confirm what its primary received, in milliseconds.
const CONFIRM: &str = "1000";
/// What the target says to a key that it has.
const THERE_ALREADY: &str = "BUSYKEY";

/// Moves as many of the slots as the time allows.
pub(super) async fn hand(from_ip: &str, hand: &Hand, access: &Access) -> Result<(), ClientError> {
    let Hand { slots, from, to, to_ip, copied } = hand;
    let (target, _) = Server::connect(to_ip, access).await?;
    let (source, _) = Server::connect(from_ip, access).await?;
    let slots: Vec<Slot> = slots.iter().collect();
    let mut pair = Pair { source, target, to, to_ip, copied: *copied, access };
    pair.target.order(&told(&slots, "IMPORTING", from)).await?;
    pair.source.order(&told(&slots, "MIGRATING", to)).await?;
    // Counted when the source has stopped making keys in these slots.
    let counts = pair.source.numbers(&asked(&slots)).await?;
    let keys = |at: &usize| counts.get(*at).copied().unwrap_or_default();
    let (empty, full): (Vec<usize>, Vec<usize>) = (0..slots.len()).partition(|at| keys(at) == 0);
    let empty: Vec<Slot> = empty.into_iter().map(|at| slots[at]).collect();
    pair.give(&empty).await?;
    for slot in full.into_iter().map(|at| slots[at]) {
        pair.empty(slot).await?;
        pair.give(&[slot]).await?;
    }
    Ok(())
}

/// Both servers of a move.
struct Pair<'a> {
    source: Server,
    target: Server,
    to: &'a NodeId,
    to_ip: &'a str,
    copied: bool,
    access: &'a Access,
}

impl Pair<'_> {
    /// The target first: it makes the news with a number that the source's claim does not outdo.
    async fn give(&mut self, slots: &[Slot]) -> Result<(), ClientError> {
        if slots.is_empty() {
            return Ok(());
        }
        let words = told(slots, "NODE", self.to);
        self.target.order(&words).await?;
        self.source.order(&words).await
    }

    async fn empty(&mut self, slot: Slot) -> Result<(), ClientError> {
        let (slot, most) = (slot.to_string(), KEYS_AT_ONCE.to_string());
        loop {
            let keys = self.source.list(&["CLUSTER", "GETKEYSINSLOT", &slot, &most]).await?;
            if keys.is_empty() {
                return Ok(());
            }
            match self.send(&keys).await {
                Err(error) if error.says(THERE_ALREADY) => self.send_one_by_one(&keys).await?,
                sent => sent?,
            }
            self.confirm().await?;
        }
    }

    async fn send(&mut self, keys: &[Vec<u8>]) -> Result<(), ClientError> {
        let port = PORT.to_string();
        let mut words: Vec<&[u8]> =
            ["MIGRATE", self.to_ip, &port, "", "0", TRAVEL].iter().map(|word| word.as_bytes()).collect();
        if let Some(passwords) = &self.access.passwords {
            words.extend(["AUTH", &passwords.current].iter().map(|word| word.as_bytes()));
        }
        words.push(b"KEYS");
        words.extend(keys.iter().map(Vec::as_slice));
        self.source.ask_bytes(&words).await
    }

    /// A key is at both servers when a former source fell after it had sent the key and before its replica knew. The target's is
    /// the newer one: clients were referred there.
    async fn send_one_by_one(&mut self, keys: &[Vec<u8>]) -> Result<(), ClientError> {
        for key in keys {
            match self.send(std::slice::from_ref(key)).await {
                Err(error) if error.says(THERE_ALREADY) => self.source.forget_key(key).await?,
                sent => sent?,
            }
        }
        Ok(())
    }

    /// What the target received has a second copy before more is sent.
    async fn confirm(&mut self) -> Result<(), ClientError> {
        if !self.copied {
            return Ok(());
        }
        // A WAIT waits for what the server had written when it carried out the command before it.
        self.target.ask(&["PING"]).await?;
        let wait = ["WAIT", "1", CONFIRM].map(str::to_owned).to_vec();
        let copies = self.target.numbers(&[wait]).await?;
        if copies.iter().any(|copies| *copies > 0) {
            return Ok(());
        }
        Err(ClientError::NotCopied { ip: self.to_ip.to_owned() })
    }
}

fn told(slots: &[Slot], how: &str, node: &NodeId) -> Vec<Vec<String>> {
    let words = |slot: &Slot| ["CLUSTER", "SETSLOT", &slot.to_string(), how, node.as_str()].map(str::to_owned).to_vec();
    slots.iter().map(words).collect()
}

fn asked(slots: &[Slot]) -> Vec<Vec<String>> {
    let words = |slot: &Slot| ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()].map(str::to_owned).to_vec();
    slots.iter().map(words).collect()
}
