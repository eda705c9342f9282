//! One connection's turn to be read: reads and decodes until its session has received something.
//!
//! Decides when a turn is over. What bytes mean is decoded in `reading`; what the session wants is left in its effects.

use super::{
    connection::Connection,
    reading::{Heard, Intake, ReadOutcome},
    table::Table,
};
use crate::fanout::{
    reactor::{clock::Now, counters::Counters, ids::Slot},
    session::{Context, Effects},
};

/// What a turn needs besides the connection.
pub(super) struct Turn<'a> {
    pub(super) table: &'a mut Table,
    pub(super) counters: &'a Counters,
    pub(super) intake: &'a mut Intake,
    pub(super) now: Now,
    pub(super) cx: Context,
}

impl Turn<'_> {
    /// Reads and decodes until the session has received something, or this turn brings nothing more.
    pub(super) fn hear(&mut self, slot: Slot, out: &mut Effects) -> Heard {
        let Self { table, counters, intake, now, cx } = self;
        loop {
            let Some((hot, connection)) = table.both(slot) else { return Heard::Nothing };
            if hot.state.is_stopped() || hot.state.is_dropped() || connection.outbox.is_congested() {
                connection.unread = intake.rest();
                return Heard::Nothing;
            }
            if intake.has_bytes() && !hot.state.is_closing() {
                let decode = |connection: &mut Connection| intake.decode(connection, *now, cx, out);
                let heard = table.change(slot, decode).unwrap_or(Heard::Nothing);
                match heard {
                    Heard::Nothing => continue,
                    Heard::Handled { message } => Counters::add(&counters.messages_in, u64::from(message)),
                    _ => {}
                }
                return heard;
            }
            if !hot.state.is_readable() {
                return Heard::Nothing;
            }
            if !intake.may_read() {
                table.list_to_read(slot);
                return Heard::Nothing;
            }
            // What comes after our close frame is read away, so that the peer gets the frame and no reset.
            match intake.read(hot, hot.state.is_closing()) {
                ReadOutcome::Bytes(n) => Counters::add(&counters.bytes_in, n as u64),
                ReadOutcome::Nothing => {}
                ReadOutcome::Failed => table.drop(slot),
            }
        }
    }
}
