//! The reader of a partition's stream: runs while a room of the partition is in memory.
//!
//! Decides where reading starts and continues. Never skips: while the bus is unavailable the position stays.

use std::time::Duration;

use super::super::{
    backoff::{Backoff, rest},
    call::{BusAccess, BusCall, Failure, within},
};
use crate::{
    bus::{Batch, Offset, Record},
    rooms::Unavailable,
};

/// Records in one read: enough to fill a flush at 100,000 entries per second, few enough to stay a short piece of work.
const BATCH: u32 = 512;

/// Which start of the reader a call belongs to, so that what an earlier one still brings is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TailRun(u64);

/// How far reading has come.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    run: TailRun,
    reading: bool,
    started: bool,
    backoff: Backoff,
}

/// What is asked of the bus.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TailCall {
    FindEnd { run: TailRun, pause: Duration },
    Read { run: TailRun, from: Offset, pause: Duration },
    Watch(bool),
}

/// What came back.
#[derive(Debug)]
pub(crate) enum TailDone {
    End { run: TailRun, result: Result<Offset, Unavailable> },
    Read { run: TailRun, from: Offset, result: Result<Batch, Unavailable> },
    Watched(bool),
}

/// What follows: records for the rooms, in stream order, and the next call.
#[derive(Debug, Default)]
pub(crate) struct TailNext {
    pub(crate) records: Vec<Record>,
    pub(crate) call: Option<TailCall>,
}

impl Tail {
    /// Starts reading, if it has not been started.
    pub(crate) fn start(&mut self) -> Option<TailCall> {
        if self.reading {
            return None;
        }
        *self = Self { run: TailRun(self.run.0 + 1), reading: true, ..Self::default() };
        Some(TailCall::FindEnd { run: self.run, pause: Duration::ZERO })
    }

    /// Stops reading: no room of the partition is in memory.
    pub(crate) fn stop(&mut self) -> Option<TailCall> {
        std::mem::take(&mut self.reading).then_some(TailCall::Watch(false))
    }

    /// True once the first position is known: whatever is read of a history now, nothing after it can be missed.
    pub(crate) fn started(&self) -> bool {
        self.started
    }

    /// Takes what came back.
    pub(crate) fn done(&mut self, done: TailDone) -> TailNext {
        match done {
            TailDone::End { run, .. } | TailDone::Read { run, .. } if run != self.run || !self.reading => {
                TailNext::default()
            }
            TailDone::End { result, .. } => self.found_end(result),
            TailDone::Read { from, result, .. } => self.read(from, result),
            // If reading was started again meanwhile, signals must be heard again.
            TailDone::Watched(on) => TailNext::call((!on && self.reading).then_some(TailCall::Watch(true))),
        }
    }

    fn found_end(&mut self, result: Result<Offset, Unavailable>) -> TailNext {
        let run = self.run;
        TailNext::call(Some(match result {
            Ok(from) => {
                self.started = true;
                self.backoff.reset();
                TailCall::Read { run, from, pause: Duration::ZERO }
            }
            Err(_) => TailCall::FindEnd { run, pause: self.backoff.failed() },
        }))
    }

    fn read(&mut self, from: Offset, result: Result<Batch, Unavailable>) -> TailNext {
        let run = self.run;
        match result {
            Ok(Batch { records, next }) => {
                self.backoff.reset();
                TailNext { records, call: Some(TailCall::Read { run, from: next, pause: Duration::ZERO }) }
            }
            Err(_) => TailNext::call(Some(TailCall::Read { run, from, pause: self.backoff.failed() })),
        }
    }
}

impl TailNext {
    fn call(call: Option<TailCall>) -> Self {
        Self { records: Vec::new(), call }
    }
}

impl BusCall for TailCall {
    type Done = TailDone;

    async fn run(self, BusAccess { bus, partition, .. }: &BusAccess) -> TailDone {
        match self {
            Self::FindEnd { run, pause } => {
                rest(pause).await;
                bus.watch(*partition, true).await;
                TailDone::End { run, result: within(bus.end(*partition)).await }
            }
            Self::Read { run, from, pause } => {
                rest(pause).await;
                TailDone::Read { run, from, result: within(bus.tail(*partition, from, BATCH)).await }
            }
            Self::Watch(on) => {
                bus.watch(*partition, on).await;
                TailDone::Watched(on)
            }
        }
    }
}

impl Failure for TailDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        match self {
            Self::End { result, .. } => {
                Some(("failed to find the end of the partition's stream; will retry", result.as_ref().err()?))
            }
            Self::Read { result, .. } => {
                Some(("failed to read the partition's stream; will retry", result.as_ref().err()?))
            }
            Self::Watched(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away<T>() -> Result<T, Unavailable> {
        Err(Unavailable("as the test wants".into()))
    }

    fn at(offset: u64) -> Offset {
        Offset { offset, ..Offset::default() }
    }

    #[test]
    fn reading_starts_at_the_end_and_stays_where_it_is_while_the_bus_is_unavailable() {
        let mut tail = Tail::default();
        let Some(TailCall::FindEnd { run, .. }) = tail.start() else { panic!("reading starts") };
        assert_eq!(tail.start(), None, "it is started once");
        let again = tail.done(TailDone::End { run, result: away() }).call;
        assert!(matches!(again, Some(TailCall::FindEnd { pause, .. }) if !pause.is_zero()));
        assert!(!tail.started());
        tail.done(TailDone::End { run, result: Ok(at(5)) });
        assert!(tail.started());
        let failed = tail.done(TailDone::Read { run, from: at(5), result: away() });
        assert!(matches!(failed.call, Some(TailCall::Read { from, pause, .. }) if from == at(5) && !pause.is_zero()));
        let batch = Batch { records: vec![Record::Trimmed], next: at(9) };
        let read = tail.done(TailDone::Read { run, from: at(5), result: Ok(batch) });
        assert_eq!(read.records.len(), 1);
        assert_eq!(read.call, Some(TailCall::Read { run, from: at(9), pause: Duration::ZERO }));
    }

    #[test]
    fn what_a_reader_brings_that_was_stopped_is_dropped_and_signals_are_heard_again_after_a_restart() {
        let mut tail = Tail::default();
        let Some(TailCall::FindEnd { run, .. }) = tail.start() else { panic!("reading starts") };
        assert_eq!(tail.stop(), Some(TailCall::Watch(false)));
        assert_eq!(tail.stop(), None);
        assert_eq!(tail.done(TailDone::End { run, result: Ok(at(1)) }).call, None);
        assert!(tail.start().is_some());
        assert_eq!(tail.done(TailDone::End { run, result: Ok(at(1)) }).call, None, "of an earlier start");
        assert_eq!(tail.done(TailDone::Watched(false)).call, Some(TailCall::Watch(true)));
    }
}
