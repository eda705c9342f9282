//! What goes to the reactors: batches in order, one for each reactor and round, and the encodings that fill them.
//!
//! Waits when a reactor's inbox is full, and with it the actor and its tail: nothing is dropped here.

use std::{mem, sync::Arc};

use super::counters::{Counters, tick};
use crate::{
    fanout::{
        encoding::{Chunk, ChunkWriter, Encoding, EncodingId},
        messages::{ConnectionId, ReactorId, RoomId, ToReactor},
        presence::Presence,
        reactor::ReactorSender,
        session::Answer,
    },
    rooms::{Entry, Epoch, RoomName, Signal, present::Person},
};

/// Where members sit: grouped by encoding first, so that each is encoded once on a walk over a room's seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) encoding: EncodingId,
    pub(crate) reactor: ReactorId,
    /// Whether its members asked for presence.
    pub(crate) presence: bool,
}

/// The encodings of the process by id.
pub(crate) struct Encodings(Vec<Option<Arc<dyn Encoding>>>);

impl Encodings {
    pub(crate) fn new(list: Vec<(EncodingId, Arc<dyn Encoding>)>) -> Self {
        let mut by_id: Vec<Option<Arc<dyn Encoding>>> = Vec::new();
        for (EncodingId(id), encoding) in list {
            let at = usize::from(id);
            by_id.resize(by_id.len().max(at + 1), None);
            by_id[at] = Some(encoding);
        }
        Self(by_id)
    }

    fn get(&self, encoding: EncodingId) -> Option<&dyn Encoding> {
        self.0.get(usize::from(encoding.plain().0))?.as_deref()
    }
}

/// Batches on their way to the reactors.
pub(crate) struct Delivery {
    reactors: Vec<ReactorSender>,
    batches: Vec<Vec<ToReactor>>,
    encodings: Arc<Encodings>,
    counters: Arc<Counters>,
}

impl Delivery {
    pub(crate) fn new(reactors: Vec<ReactorSender>, encodings: Arc<Encodings>, counters: Arc<Counters>) -> Self {
        let batches = reactors.iter().map(|_| Vec::new()).collect();
        Self { reactors, batches, encodings, counters }
    }

    /// Queues a message for a reactor.
    pub(crate) fn push(&mut self, ReactorId(reactor): ReactorId, message: ToReactor) {
        if let Some(batch) = self.batches.get_mut(usize::from(reactor)) {
            batch.push(message);
        }
    }

    /// Queues an answer for a connection.
    pub(crate) fn answer(&mut self, to: ConnectionId, answer: Answer) {
        self.push(to.reactor, ToReactor::Answer { to, answer });
    }

    /// Entries as one chunk; None when the encoding shows none of them.
    pub(crate) fn encode(
        &self,
        encoding: EncodingId,
        room: &RoomName,
        epoch: Option<Epoch>,
        entries: &[Arc<Entry>],
    ) -> Option<Chunk> {
        let seqs = (entries.first()?.seq, entries.last()?.seq);
        let mut out = ChunkWriter::new(encoding);
        let writer = self.encodings.get(encoding)?;
        if writer.shows_amendments() || entries.iter().all(|entry| entry.is_message()) {
            writer.entries(room, epoch, entries, &mut out);
        } else {
            let messages: Vec<_> = entries.iter().filter(|entry| entry.is_message()).cloned().collect();
            if messages.is_empty() {
                return None;
            }
            writer.entries(room, epoch, &messages, &mut out);
        }
        tick(&self.counters.encoded);
        (!out.is_empty()).then(|| out.seal(Some(seqs)))
    }

    /// Entries that were said, as one person is shown them who comes back.
    pub(crate) fn encode_for(
        &self,
        viewer: Person,
        encoding: EncodingId,
        room: &RoomName,
        entries: &[Arc<Entry>],
    ) -> Option<Chunk> {
        let seqs = (entries.first()?.seq, entries.last()?.seq);
        let writer = self.encodings.get(encoding).filter(|writer| writer.shows_amendments())?;
        let mut out = ChunkWriter::new(encoding);
        writer.entries_for(viewer, room, entries, &mut out);
        tick(&self.counters.encoded);
        (!out.is_empty()).then(|| out.seal(Some(seqs)))
    }

    /// A signal as one chunk; None when the encoding does not show it.
    pub(crate) fn encode_signal(&self, encoding: EncodingId, room: &RoomName, signal: &Signal) -> Option<Chunk> {
        let mut out = ChunkWriter::new(encoding);
        self.encodings.get(encoding)?.signal(room, signal, &mut out);
        (!out.is_empty()).then(|| out.seal(None))
    }

    /// Who is in a room as one chunk; None when the encoding leaves it to sessions.
    fn encode_presence(&self, encoding: EncodingId, room: &RoomName, presence: &Presence) -> Option<Chunk> {
        let mut out = ChunkWriter::new(encoding);
        self.encodings.get(encoding)?.presence(room, presence, &mut out);
        (!out.is_empty()).then(|| out.seal(None))
    }

    /// Queues a chunk for each reactor with members of an encoding; `write` is called once an encoding.
    pub(crate) fn chunks(
        &mut self,
        room: RoomId,
        epoch: Epoch,
        seats: impl Iterator<Item = Seat>,
        write: impl Fn(&Self, EncodingId) -> Option<Chunk>,
    ) {
        self.by_encoding(seats, write, |encoding, chunk| {
            chunk.map(|chunk| ToReactor::Chunk { room, encoding, epoch, chunk })
        });
    }

    /// Queues who is in a room, for each reactor with members that want to know: as a chunk where the encoding writes
    /// one, else for the sessions.
    pub(crate) fn presence(
        &mut self,
        id: RoomId,
        room: &RoomName,
        epoch: Epoch,
        watchers: impl Iterator<Item = Seat>,
        presence: &Arc<Presence>,
    ) {
        let write = |delivery: &Self, encoding| delivery.encode_presence(encoding, room, presence);
        self.by_encoding(watchers, write, |encoding, chunk| {
            Some(match chunk {
                Some(chunk) => ToReactor::Chunk { room: id, encoding, epoch, chunk },
                None => ToReactor::Presence { room: id, encoding, presence: Arc::clone(presence) },
            })
        });
    }

    /// Calls `write` once an encoding, and queues the `message` about its chunk for each reactor with members of it.
    fn by_encoding(
        &mut self,
        seats: impl Iterator<Item = Seat>,
        write: impl Fn(&Self, EncodingId) -> Option<Chunk>,
        message: impl Fn(EncodingId, Option<Chunk>) -> Option<ToReactor>,
    ) {
        let mut sealed: Option<(EncodingId, Option<Chunk>)> = None;
        let mut last = None;
        for Seat { encoding, reactor, .. } in seats {
            if last.replace((encoding, reactor)) == Some((encoding, reactor)) {
                continue;
            }
            if sealed.as_ref().is_none_or(|(sealed, _)| *sealed != encoding) {
                sealed = Some((encoding, write(self, encoding)));
            }
            let chunk = sealed.as_ref().and_then(|(_, chunk)| chunk.clone());
            if let Some(message) = message(encoding, chunk) {
                self.push(reactor, message);
            }
        }
    }

    /// Queues a message for every reactor among `seats`.
    pub(crate) fn each(&mut self, seats: impl Iterator<Item = Seat>, message: impl Fn() -> ToReactor) {
        let mut reactors: Vec<_> = seats.map(|seat| seat.reactor).collect();
        reactors.sort_unstable();
        reactors.dedup();
        reactors.into_iter().for_each(|reactor| self.push(reactor, message()));
    }

    /// Counts a gap that was reported to readers.
    pub(crate) fn told_gap(&self) {
        tick(&self.counters.gaps);
    }

    /// Counts a join that was answered.
    pub(crate) fn joined(&self, recovered: bool, gap: bool) {
        tick(&self.counters.joins);
        if recovered {
            tick(&self.counters.resumed);
        }
        if gap {
            tick(&self.counters.gaps);
        }
    }

    /// Hands the batches over, in order; waits while an inbox is full. Batches for a reactor that has ended are dropped.
    pub(crate) async fn flush(&mut self) {
        for (reactor, batch) in self.reactors.iter().zip(&mut self.batches) {
            if !batch.is_empty() && reactor.send(mem::take(batch)).await.is_err() {
                tracing::debug!(reactor = reactor.id().0, "dropped a batch: the reactor has ended");
            }
        }
    }
}
