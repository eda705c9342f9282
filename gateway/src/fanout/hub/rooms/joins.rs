//! Joins that wait, and what each of them is sent.
//!
//! Decides when a join can be answered: once the room's log is in memory and reaches the position asked for. All that
//! wait for a room are answered by the same reads. A join never waits for a number of members.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{readers::Readers, room_log::RoomLog};
use crate::{
    deadlines::hub::{AHEAD, JOIN, LOOK},
    fanout::{
        messages::ConnectionId,
        session::{Gap, Join},
    },
    rooms::{Author, Position, ProtocolId, log::Log, resume::Resume},
};

/// A join that was not answered yet.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) from: ConnectionId,
    pub(crate) protocol: ProtocolId,
    pub(crate) join: Join,
    since: Instant,
    /// Older entries were read for it.
    looked: bool,
}

/// What a join is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Entries after this seq are written.
    pub(crate) after: Option<u64>,
    pub(crate) gap: Option<Gap>,
    pub(crate) recovered: bool,
}

/// What is to be done with a join now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    /// The log may be late: read the history.
    LookAhead,
    /// The log must reach further back.
    Older,
    Refuse,
    Admit(Admission),
}

/// A join whose time to be answered has come.
#[derive(Debug)]
pub(crate) enum Settled {
    Admit(Waiter, Admission),
    Refuse(Waiter),
}

/// What the joins that still wait need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) look_ahead: bool,
    pub(crate) older: bool,
}

/// The joins that wait for a room.
#[derive(Debug, Default)]
pub(crate) struct WaitingJoins {
    waiting: VecDeque<Waiter>,
}

impl Waiter {
    pub(crate) fn new(from: ConnectionId, protocol: ProtocolId, join: Join) -> Self {
        Self { from, protocol, join, since: Instant::now(), looked: false }
    }
}

impl WaitingJoins {
    pub(crate) fn push(&mut self, waiter: Waiter) {
        self.waiting.push_back(waiter);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The connections whose joins wait, and who they are.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Author)> {
        self.waiting.iter().map(|waiter| (waiter.from, &waiter.join.who))
    }

    /// Forgets the joins of a connection.
    pub(crate) fn remove(&mut self, from: &ConnectionId) {
        self.waiting.retain(|waiter| waiter.from != *from);
    }

    /// The first seq that one of them wants to see, or one below it.
    pub(crate) fn floor(&self) -> Option<u64> {
        self.waiting.iter().filter_map(|waiter| waiter.join.after.map(|after| after.seq)).min()
    }

    /// Older entries are read for all that need them. Answers how far back.
    pub(crate) fn look_back(&mut self, log: &Log) -> Option<u64> {
        let positions = self.waiting.iter().filter_map(|waiter| waiter.join.after);
        let floor = positions.filter(|at| log.wants_older(*at)).map(|at| at.seq).min()?;
        self.waiting.iter_mut().for_each(|waiter| waiter.looked = true);
        Some(floor)
    }

    /// Older entries could not be read: that is tried again when joins are next looked at.
    pub(crate) fn look_back_again(&mut self) {
        self.waiting.iter_mut().for_each(|waiter| waiter.looked = false);
    }

    /// Hands the joins that can be answered to `settle`, at most `budget` admissions, and answers what the others need.
    pub(crate) fn settle(
        &mut self,
        log: &RoomLog,
        readers: &mut Readers,
        budget: &mut usize,
        mut settle: impl FnMut(&mut Readers, Settled),
    ) -> Needs {
        let mut needs = Needs::default();
        for _ in 0..self.waiting.len() {
            let Some(waiter) = self.waiting.pop_front() else { break };
            match if *budget == 0 { Verdict::Wait } else { waiter.judge(log, readers) } {
                Verdict::Admit(admission) => {
                    *budget -= 1;
                    settle(readers, Settled::Admit(waiter, admission));
                    continue;
                }
                Verdict::Refuse => {
                    settle(readers, Settled::Refuse(waiter));
                    continue;
                }
                Verdict::LookAhead => needs.look_ahead = true,
                Verdict::Older => needs.older = true,
                Verdict::Wait => {}
            }
            self.waiting.push_back(waiter);
        }
        needs
    }
}

impl Waiter {
    fn judge(&self, log: &RoomLog, readers: &Readers) -> Verdict {
        let waited = self.since.elapsed();
        let Some(held) = log.held() else {
            return if waited >= JOIN { Verdict::Refuse } else { Verdict::Wait };
        };
        let Some(position) = self.join.after else { return Verdict::Admit(Admission::default()) };
        if self.was_shown(position, held, readers) {
            return Verdict::Admit(Admission { recovered: true, ..Admission::default() });
        }
        if held.wants_older(position) {
            match (self.looked, log.older_under_way()) {
                (false, _) if waited >= JOIN => return Verdict::Refuse,
                (false, _) => return Verdict::Older,
                (true, true) => return Verdict::Wait,
                // What could be read has been read.
                (true, false) => {}
            }
        }
        match held.resume(position) {
            Resume::Complete { after } => Verdict::Admit(Admission { after: Some(after), gap: None, recovered: true }),
            Resume::Partial { gap, after } => {
                let gap = Some(Gap { from: gap.first, to: Some(gap.last) });
                Verdict::Admit(Admission { after: Some(after), gap, recovered: false })
            }
            Resume::UnknownBranch => Verdict::Admit(Admission::unknown_branch(position)),
            // The history itself ends before it: the position is of another history.
            Resume::Ahead if waited >= AHEAD && log.read_since(self.since) => {
                Verdict::Admit(Admission::unknown_branch(position))
            }
            Resume::Ahead if waited >= AHEAD => Verdict::Refuse,
            // The stream is seldom later than this; a later epoch only the history knows.
            Resume::Ahead if waited < LOOK && position.seq > held.head().seq => Verdict::Wait,
            Resume::Ahead => Verdict::LookAhead,
        }
    }

    /// True when the connection reads the room already and was shown everything after the position.
    fn was_shown(&self, position: Position, held: &Log, readers: &Readers) -> bool {
        let shown = readers.shown_after(&self.from).is_some_and(|shown| position.seq >= shown);
        shown && matches!(held.resume(position), Resume::Complete { .. } | Resume::Partial { .. })
    }
}

impl Admission {
    /// Nothing can be said to follow the position.
    fn unknown_branch(position: Position) -> Self {
        Self { gap: Some(Gap { from: position.seq.saturating_add(1), to: None }), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fanout::{
            encoding::EncodingId,
            hub::{delivery::Seat, rooms::readers::Member},
            messages::{ReactorId, RoomId},
        },
        rooms::{Author, Epoch, RoomName, follow::ReadHistory, log::Window, model::entry},
    };

    const AT: ConnectionId = ConnectionId { reactor: ReactorId(0), slot: 1, generation: 1 };

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    fn author() -> Author {
        Author { id: "u1".into(), name: "ada".into(), extra: None }
    }

    /// A room of 5 entries in epoch 2.
    fn log() -> RoomLog {
        let (mut log, window) = (RoomLog::new(), Window { entries: 10, bytes: 1 << 20 });
        read(&mut log, window);
        log
    }

    fn read(log: &mut RoomLog, window: Window) {
        let head = Position { epoch: Epoch(2), seq: 5 };
        log.begin_reading();
        let entries = (1..=5).map(|seq| entry(seq, 2)).collect();
        log.read(&ReadHistory { head, entries, complete: true }, window, &mut Vec::new());
    }

    fn readers(shown_after: Option<u64>) -> Readers {
        let mut readers = Readers::new(RoomId(1), room());
        if let Some(shown_after) = shown_after {
            let seat = Seat { encoding: EncodingId(1), reactor: ReactorId(0), presence: false };
            let member = Member { who: author(), protocol: ProtocolId::Native, announce: false, shown_after };
            readers.insert(AT, seat, member);
        }
        readers
    }

    fn waiter(epoch: u64, seq: u64) -> Waiter {
        let after = Some(Position { epoch: Epoch(epoch), seq });
        let encoding = EncodingId(1);
        let join = Join { room: room(), who: author(), encoding, after, presence: false, announce: false };
        Waiter::new(AT, ProtocolId::Native, join)
    }

    fn nothing_missing(after: Option<u64>) -> Verdict {
        Verdict::Admit(Admission { after, gap: None, recovered: true })
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_join_is_sent_only_what_its_connection_was_not_shown() {
        let (log, readers) = (log(), readers(Some(3)));
        assert_eq!(waiter(2, 3).judge(&log, &readers), nothing_missing(None));
        assert_eq!(waiter(2, 5).judge(&log, &readers), nothing_missing(None));
        assert_eq!(waiter(2, 2).judge(&log, &readers), nothing_missing(Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_join_from_an_unknown_branch_receives_a_gap_like_the_first() {
        let (log, gap) = (log(), Some(Gap { from: 5, to: None }));
        for readers in [readers(None), readers(Some(0))] {
            assert_eq!(waiter(1, 4).judge(&log, &readers), Verdict::Admit(Admission { gap, ..Admission::default() }));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_ahead_is_given_up_only_when_the_history_was_read_meanwhile() {
        let (mut log, readers) = (log(), readers(None));
        for (epoch, seq) in [(2, 9), (7, 3)] {
            tokio::time::sleep(LOOK).await;
            let waiter = waiter(epoch, seq);
            tokio::time::sleep(LOOK).await;
            assert_eq!(waiter.judge(&log, &readers), Verdict::LookAhead);
            tokio::time::sleep(AHEAD).await;
            assert_eq!(waiter.judge(&log, &readers), Verdict::Refuse, "the bus may be late or unavailable");
            read(&mut log, Window { entries: 10, bytes: 1 << 20 });
            let gap = Some(Gap { from: seq + 1, to: None });
            assert_eq!(waiter.judge(&log, &readers), Verdict::Admit(Admission { gap, ..Admission::default() }));
        }
    }
}
