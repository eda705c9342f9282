//! What is queued for one connection alone: replies and parts of chunks, in order.
//!
//! Keeps the number of reply bytes equal to what is queued. An empty outbox holds no memory.

use std::{collections::VecDeque, io::IoSlice, mem};

use bytes::Bytes;
use smallvec::SmallVec;

/// Pieces in one vectored write.
const SLICES: usize = 64;

/// The pieces of one write.
pub(in crate::fanout::reactor) type Slices<'a> = SmallVec<[IoSlice<'a>; SLICES]>;

/// Replies are gathered in pieces of this size.
const GATHERED: usize = 16 << 10;

/// Bytes of replies that may wait for a client before it is no longer read.
const REPLIES: usize = 64 << 10;

/// Pieces that may wait for a client before it is no longer read.
const PIECES: usize = 256;

/// Bytes of replies after which a connection is closed. Only what the hub brings can get there, for a client that does
/// not take its replies is not read.
const MOST_REPLIES: usize = 4 << 20;

/// Something to be written to one connection.
#[derive(Debug)]
enum Outgoing {
    /// Replies, gathered while they wait.
    Reply(Vec<u8>),
    /// Part of a chunk that others share.
    Shared(Bytes),
}

impl Outgoing {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Reply(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A connection's own queue.
#[derive(Debug, Default)]
pub(in crate::fanout::reactor) struct Outbox {
    queue: VecDeque<Outgoing>,
    /// Bytes of the first piece that have been written.
    sent: usize,
    /// Bytes of the replies in the queue.
    replies: usize,
}

impl Outbox {
    /// Queues what `write` appends, behind everything queued.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.queue.back(), Some(Outgoing::Reply(bytes)) if bytes.len() < GATHERED) {
            self.queue.push_back(Outgoing::Reply(Vec::new()));
        }
        if let Some(Outgoing::Reply(bytes)) = self.queue.back_mut() {
            let before = bytes.len();
            write(bytes);
            self.replies += bytes.len() - before;
        }
    }

    /// Queues part of a chunk.
    pub(super) fn share(&mut self, bytes: Bytes) {
        self.queue.push_back(Outgoing::Shared(bytes));
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of replies that wait.
    pub(super) fn replies(&self) -> usize {
        self.replies
    }

    /// Whether the client does not take its replies: it is not read until it does.
    pub(super) fn is_congested(&self) -> bool {
        self.replies > REPLIES || self.queue.len() > PIECES
    }

    /// Whether no reply may be added.
    pub(super) fn is_full(&self) -> bool {
        self.replies > MOST_REPLIES
    }

    /// Appends what waits to `slices`; false when there is more than goes into one write.
    pub(in crate::fanout::reactor) fn gather<'a>(&'a self, slices: &mut Slices<'a>) -> bool {
        let mut skip = self.sent;
        for outgoing in &self.queue {
            if slices.len() == SLICES {
                return false;
            }
            slices.push(IoSlice::new(&outgoing.bytes()[skip..]));
            skip = 0;
        }
        true
    }

    /// Moves past up to `n` written bytes; returns how many of them were of other things, which come after these. None
    /// while something is left here.
    pub(super) fn wrote(&mut self, mut n: usize) -> Option<usize> {
        while let Some(outgoing) = self.queue.front() {
            let left = outgoing.bytes().len() - self.sent;
            if n < left {
                self.sent += n;
                return None;
            }
            n -= left;
            self.sent = 0;
            if let Some(Outgoing::Reply(bytes)) = self.queue.pop_front() {
                self.replies -= bytes.len();
            }
        }
        // An idle connection keeps no buffer.
        drop(mem::take(&mut self.queue));
        Some(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outbox: &Outbox) -> String {
        let mut slices = Slices::new();
        outbox.gather(&mut slices);
        slices.iter().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn what_is_written_in_parts_leaves_the_rest_and_its_count() {
        let mut outbox = Outbox::default();
        outbox.reply(|bytes| bytes.extend_from_slice(b"one"));
        outbox.reply(|bytes| bytes.extend_from_slice(b"two"));
        outbox.share(Bytes::from_static(b"chunk"));
        outbox.reply(|bytes| bytes.extend_from_slice(b"three"));
        assert_eq!((text(&outbox).as_str(), outbox.replies()), ("onetwo|chunk|three", 11));
        assert_eq!(outbox.wrote(2), None);
        assert_eq!((text(&outbox).as_str(), outbox.replies()), ("etwo|chunk|three", 11));
        assert_eq!(outbox.wrote(6), None);
        assert_eq!((text(&outbox).as_str(), outbox.replies()), ("unk|three", 5));
        assert_eq!(outbox.wrote(10), Some(2));
        assert_eq!((text(&outbox).as_str(), outbox.replies()), ("", 0));
    }

    #[test]
    fn a_client_that_takes_nothing_is_congested_and_then_full() {
        let mut outbox = Outbox::default();
        outbox.reply(|bytes| bytes.resize(REPLIES, 0));
        assert!(!outbox.is_congested());
        outbox.reply(|bytes| bytes.push(0));
        assert!(outbox.is_congested() && !outbox.is_full());
        outbox.reply(|bytes| bytes.resize(MOST_REPLIES, 0));
        assert!(outbox.is_full());
    }
}
