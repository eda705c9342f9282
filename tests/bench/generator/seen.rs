//! What the members were shown, and whether it is what was sent.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::{
    member::{Checked, Order},
    text::Scan,
};

/// Counts over all members of a load.
pub(crate) struct Seen {
    /// Messages over all members.
    pub(crate) delivered: u64,
    /// That came over all sockets.
    pub(crate) bytes: u64,
    /// Microseconds from when a message was due until a checked member had it.
    pub(crate) latency: Histogram<u64>,
    /// Posts that were acknowledged to native members, and those that were refused.
    pub(super) posted: u64,
    pub(super) refused: u64,
    /// What the first refusal said.
    pub(super) refusal: Option<String>,
    /// Frames that hold no message.
    pub(super) others: u64,
    /// Connections that the server ended.
    pub(super) closed: u64,
    /// Members that received a gap.
    pub(super) gaps: u64,
    /// Messages of checked members that are not as they were sent, that came again or late, and that were left out.
    damaged: u64,
    again: u64,
    skipped: u64,
}

/// What went wrong in a load; all zero when every member was shown every message once, whole and in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) surplus: u64,
    pub(crate) disordered: u64,
    pub(crate) damaged: u64,
    /// Not wrong in itself: a full server may refuse, and says so.
    pub(crate) refused: u64,
}

impl Faults {
    /// Nothing lost, repeated, out of order or damaged.
    pub(crate) fn none(&self) -> bool {
        let Self { lost, surplus, disordered, damaged, refused: _ } = *self;
        lost + surplus + disordered + damaged == 0
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            surplus: self.surplus + other.surplus,
            disordered: self.disordered + other.disordered,
            damaged: self.damaged + other.damaged,
            refused: self.refused + other.refused,
        }
    }
}

impl Seen {
    pub(super) fn new() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 600_000_000, 3).context("make a histogram")?;
        Ok(Self {
            delivered: 0,
            bytes: 0,
            latency,
            posted: 0,
            refused: 0,
            refusal: None,
            others: 0,
            closed: 0,
            gaps: 0,
            damaged: 0,
            again: 0,
            skipped: 0,
        })
    }

    /// Checks the messages in a frame; `now` is the generator's time.
    pub(super) fn check(&mut self, checked: &mut Checked, scan: &Scan, payload: &[u8], bytes: usize, now: u64) {
        scan.read(payload, bytes, |sent| {
            let Some(sent) = sent else {
                self.damaged += 1;
                return;
            };
            self.latency.saturating_record(now.saturating_sub(sent.due).max(1));
            match checked.take(sent) {
                Order::Next => {}
                Order::Skipped(count) => self.skipped += count,
                Order::Again => self.again += 1,
            }
        });
    }

    /// The faults, given how many deliveries are missing and too many, and how many messages checked members may
    /// have been spared because their posts were refused.
    pub(super) fn faults(&self, lost: u64, surplus: u64, spared: u64) -> Faults {
        Faults {
            lost,
            surplus,
            disordered: self.again + self.skipped.saturating_sub(spared) + self.gaps,
            damaged: self.damaged,
            refused: self.refused,
        }
    }
}
