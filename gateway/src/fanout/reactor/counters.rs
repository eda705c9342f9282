//! What reactors count: plain atomics, written by one thread each, read when metrics are shown.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::clock::Now;
use crate::{
    fanout::encoding::Chunk,
    rooms::{PerProtocol, ProtocolId},
};

/// How long things take, over all reactors of a gateway.
#[derive(Clone, Debug)]
pub struct Histograms {
    /// Seconds from when an entry was appended until it was written to the last reader here that could take it. Compares
    /// Redis' clock with this machine's, so it is only as exact as these agree.
    pub delivery: Histogram,
    /// Seconds that a turn of a reactor's loop takes, its pauses not counted.
    pub turn: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        // 1 ms to 16 s, the clocks' milliseconds; and 8 us to 0.26 s.
        Self {
            delivery: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            turn: Histogram::new(exponential_buckets(8e-6, 2.0, 16)),
        }
    }
}

/// The counts of one reactor. Aligned so that two reactors never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) connections: PerProtocol<AtomicU64>,
    pub(crate) messages_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) deliveries: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) slow_disconnected: AtomicU64,
    pub(crate) slow_skipped: AtomicU64,
    pub(crate) held_back: AtomicU64,
    pub(crate) signals_dropped: AtomicU64,
    flush_pause_micros: AtomicU64,
    histograms: Histograms,
    // Locked only when something is refused, never on the delivery path.
    refusals: Mutex<BTreeMap<(ProtocolId, &'static str), u64>>,
}

impl Counters {
    pub(crate) fn new(histograms: Histograms) -> Self {
        Self { histograms, ..Self::default() }
    }

    /// Every reader of a chunk that could take it has it.
    pub(super) fn shown(&self, chunk: &Chunk, now: Now) {
        if let Some(appended) = chunk.appended {
            self.histograms.delivery.observe(now.unix_millis.saturating_sub(appended) as f64 / 1e3);
        }
    }

    /// A turn of the loop took so long.
    pub(super) fn turn(&self, took: Duration) {
        self.histograms.turn.observe(took.as_secs_f64());
    }

    pub(super) fn set_flush_pause(&self, pause: Duration) {
        self.flush_pause_micros.store(pause.as_micros() as u64, Relaxed);
    }

    /// Adds `n` to a count that this thread alone writes: a load and a store, no locked instruction.
    pub(crate) fn add(count: &AtomicU64, n: u64) {
        count.store(count.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(crate) fn opened(&self, protocol: ProtocolId) {
        Self::add(&self.connections[protocol], 1);
    }

    pub(crate) fn ended(&self, protocol: ProtocolId) {
        Self::add(&self.connections[protocol], u64::MAX);
    }

    pub(crate) fn refused(&self, protocol: ProtocolId, reason: &'static str) {
        *self.refusals.lock().entry((protocol, reason)).or_default() += 1;
    }

    fn add_to(&self, totals: &mut Totals) {
        for (protocol, open) in self.connections.iter() {
            *totals.connections.entry(protocol).or_default() += open.load(Relaxed);
        }
        totals.messages_in += self.messages_in.load(Relaxed);
        totals.bytes_in += self.bytes_in.load(Relaxed);
        totals.deliveries += self.deliveries.load(Relaxed);
        totals.bytes_out += self.bytes_out.load(Relaxed);
        totals.writes += self.writes.load(Relaxed);
        totals.slow_disconnected += self.slow_disconnected.load(Relaxed);
        totals.slow_skipped += self.slow_skipped.load(Relaxed);
        totals.held_back += self.held_back.load(Relaxed);
        totals.signals_dropped += self.signals_dropped.load(Relaxed);
        totals.flush_pause_micros = totals.flush_pause_micros.max(self.flush_pause_micros.load(Relaxed));
        for (key, n) in self.refusals.lock().iter() {
            *totals.refusals.entry(*key).or_default() += n;
        }
    }
}

/// The counts of all reactors together. All grow only, but for `connections`, `held_back` and `flush_pause_micros`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Open now, by protocol; every protocol is there.
    pub connections: BTreeMap<ProtocolId, u64>,
    /// Whole TEXT and BINARY messages that clients sent.
    pub messages_in: u64,
    pub bytes_in: u64,
    /// Room entries written to connections.
    pub deliveries: u64,
    pub bytes_out: u64,
    /// System calls that wrote.
    pub writes: u64,
    /// Connections closed with 1013 because they fell out of a room's ring.
    pub slow_disconnected: u64,
    /// Times a connection was skipped to the latest entry for the same reason.
    pub slow_skipped: u64,
    /// Messages held back now because the hub's queue was full.
    pub held_back: u64,
    /// Signals dropped because the hub's queue was full.
    pub signals_dropped: u64,
    /// The longest pause that a reactor keeps now between two flushes.
    pub flush_pause_micros: u64,
    /// By protocol and reason.
    pub refusals: BTreeMap<(ProtocolId, &'static str), u64>,
}

impl Totals {
    pub(crate) fn of<'a>(counters: impl IntoIterator<Item = &'a Counters>) -> Self {
        let mut totals = Self::default();
        for one in counters {
            one.add_to(&mut totals);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_reactors_are_added_up() {
        let (a, b) = (Counters::default(), Counters::default());
        a.opened(ProtocolId::Native);
        a.opened(ProtocolId::Native);
        a.ended(ProtocolId::Native);
        b.opened(ProtocolId::Native);
        a.refused(ProtocolId::Relay, "rate");
        b.refused(ProtocolId::Relay, "rate");
        a.flush_pause_micros.store(7, Relaxed);
        let totals = Totals::of([&a, &b]);
        assert_eq!(totals.connections[&ProtocolId::Native], 2);
        assert_eq!(totals.connections[&ProtocolId::Match], 0);
        assert_eq!(totals.refusals[&(ProtocolId::Relay, "rate")], 2);
        assert_eq!(totals.flush_pause_micros, 7);
    }
}
