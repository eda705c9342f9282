//! What a resume is sent, encoded once for all that come back with the same position.
//!
//! A cached run is extended when the room has new entries. So a crowd that comes back while people talk costs one
//! encoding of the old entries, and one of each new run.

use std::{collections::HashMap, sync::Arc};

use super::{super::delivery::Delivery, chunk::split};
use crate::{
    fanout::encoding::{Chunk, EncodingId},
    rooms::{Amendment, Author, Change, Entry, RoomName, log::Log, present::Person},
};

/// Positions kept; beyond them all are forgotten. A crowd that comes back has few.
const POSITIONS: usize = 64;
/// Bytes kept for a room; beyond them all are forgotten.
const BYTES: usize = 8 << 20;

fn has_reactions(entry: &Entry) -> bool {
    entry.present.as_ref().is_some_and(|present| !present.reactions.is_empty())
}

/// A chunk as somebody is shown it who reacted to one of its messages.
fn personal(
    viewer: Person,
    encoding: EncodingId,
    room: &RoomName,
    log: &Log,
    chunk: &Chunk,
    delivery: &Delivery,
) -> Option<Chunk> {
    let (first, last) = chunk.seqs?;
    let entries: Vec<_> = log.after(first - 1).take_while(|entry| entry.seq <= last).cloned().collect();
    let reacted = |entry: &Arc<Entry>| entry.present.as_ref().is_some_and(|present| present.has_reacted(viewer));
    if entries.iter().any(reacted) { delivery.encode_for(viewer, encoding, room, &entries) } else { None }
}

#[derive(Debug)]
struct Run {
    upto: u64,
    /// Asked for since the last sweep.
    used: bool,
    chunks: Vec<Chunk>,
    /// People have reacted to some of it, who are shown which reactions are theirs.
    reactions: bool,
}

/// Encoded runs of one room, by encoding and the seq that they follow.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    runs: HashMap<(EncodingId, u64), Run>,
    bytes: usize,
}

impl Backlogs {
    /// The entries after `after`, which the log must hold, up to its head.
    pub(crate) fn after(
        &mut self,
        after: u64,
        encoding: EncodingId,
        room: &RoomName,
        log: &Log,
        viewer: &Author,
        delivery: &Delivery,
    ) -> Vec<Chunk> {
        if self.runs.len() >= POSITIONS || self.bytes >= BYTES {
            self.clear();
        }
        let run = self.runs.entry((encoding, after)).or_insert(Run {
            upto: after,
            used: true,
            chunks: Vec::new(),
            reactions: false,
        });
        run.used = true;
        let entries: Vec<_> = log.after(run.upto).cloned().collect();
        for part in split(&entries) {
            let chunk = delivery.encode(encoding, room, None, part);
            self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.bytes.len());
            run.chunks.extend(chunk);
        }
        run.upto = log.head().seq;
        run.reactions |= entries.iter().any(|entry| has_reactions(entry));
        if !run.reactions {
            return run.chunks.clone();
        }
        let viewer = Person::of(&viewer.id);
        let own = |chunk: &Chunk| personal(viewer, encoding, room, log, chunk, delivery);
        run.chunks.iter().map(|chunk| own(chunk).unwrap_or_else(|| chunk.clone())).collect()
    }

    /// Messages have changed: what was encoded of them is out of date. An edit or a deletion also leaves earlier edits
    /// without their text, wherever they are.
    pub(crate) fn amended(&mut self, Amendment { seq, change, .. }: &Amendment) {
        match change {
            Change::Edit | Change::Delete => self.clear(),
            Change::React { .. } => self.runs.retain(|(_, after), run| seq <= after || *seq > run.upto),
        }
    }

    /// Forgets the runs that nobody came back for since the last call.
    pub(crate) fn clear_unused(&mut self) {
        self.runs.retain(|_, run| std::mem::take(&mut run.used));
        self.bytes = self.runs.values().flat_map(|run| &run.chunks).map(|chunk| chunk.bytes.len()).sum();
    }

    /// Forgets all: the branch has changed.
    pub(crate) fn clear(&mut self) {
        if !self.runs.is_empty() {
            *self = Self::default();
        }
    }
}
