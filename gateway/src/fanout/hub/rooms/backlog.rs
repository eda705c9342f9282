//! What a resume is sent, encoded once for all that come back with the same position.
//!
//! A cached run is extended when the room has new entries. So a crowd that comes back while people talk costs one
//! encoding of the old entries, and one of each new run.

use std::collections::HashMap;

use super::{super::delivery::Delivery, chunk::split};
use crate::{
    fanout::encoding::{Chunk, EncodingId},
    rooms::{RoomName, log::Log},
};

/// Positions kept; beyond them all are forgotten. A crowd that comes back has few.
const POSITIONS: usize = 64;
/// Bytes kept for a room; beyond them all are forgotten.
const BYTES: usize = 8 << 20;

#[derive(Debug)]
struct Run {
    upto: u64,
    /// Asked for since the last sweep.
    used: bool,
    chunks: Vec<Chunk>,
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
        delivery: &Delivery,
    ) -> Vec<Chunk> {
        if self.runs.len() >= POSITIONS || self.bytes >= BYTES {
            self.clear();
        }
        let run = self.runs.entry((encoding, after)).or_insert(Run { upto: after, used: true, chunks: Vec::new() });
        run.used = true;
        let entries: Vec<_> = log.after(run.upto).cloned().collect();
        for part in split(&entries) {
            let chunk = delivery.encode(encoding, room, None, part);
            self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.bytes.len());
            run.chunks.extend(chunk);
        }
        run.upto = log.head().seq;
        run.chunks.clone()
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
