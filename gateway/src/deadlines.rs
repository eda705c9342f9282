//! Deadlines and limits that depend on each other: one table, and the order that they must keep.
//!
//! A duration that only one place knows stays there. What is here is compared with another one below, at compile time.

use std::time::Duration;

/// How long the key of a post is remembered, at least.
pub const DEDUPE: Duration = Duration::from_secs(600);
/// How long a room of few messages and no members is kept, at least, where there are too many rooms: its last messages
/// are no longer sent again by then.
pub const EARLY: Duration = DEDUPE;

/// How often a Redis server is asked how it is.
pub const PROBE_PERIOD: Duration = Duration::from_millis(500);
/// How long a Redis server may take to answer a probe, its connection included.
pub const PROBE: Duration = Duration::from_secs(1);
/// A Redis server that has not answered for this long counts as dead. Two probes in a row are lost before that.
pub const SILENT: Duration = Duration::from_millis(1500);
/// Within this everything that used a silent server has let go of it.
const DEAD: Duration = Duration::from_secs(2);
/// How long a replica's link may be down before its shard counts as unreplicated.
pub const LINK_DOWN: Duration = Duration::from_secs(5);

/// How long a Redis server may take for a request: a script and a WAIT, or a read that blocks for [`TAIL_WAIT`].
pub const ANSWER: Duration = Duration::from_secs(2);
/// How long one WAIT waits: long enough for a busy replica, short enough to look around meanwhile.
pub const WAIT: Duration = Duration::from_millis(500);
/// Longest wait of a read for something new.
pub const TAIL_WAIT: Duration = Duration::from_secs(1);
/// How long a request waits for the copy of what it wrote.
pub const COPIED: Duration = Duration::from_secs(3);
/// How long one call of the bus tries to append a group. A failover with a node timeout of 3 s takes about 5 s.
pub const APPEND: Duration = Duration::from_secs(6);
/// How long after a loss those who hold nothing of it wait for others to give it back.
pub const BARRIER: Duration = Duration::from_secs(3);
/// How long the directory tries to decide.
pub const DECIDE: Duration = Duration::from_secs(5);
/// How long a gateway's hold on its accounts lasts without a tick of the directory.
pub const ACCOUNT_LEASE: Duration = Duration::from_secs(5);
/// How long the counts of a gateway's members last without being renewed.
pub const COUNT_LEASE: Duration = Duration::from_secs(5);
/// How often they are renewed.
pub const COUNT_RENEWAL: Duration = Duration::from_millis(1500);

const fn less(a: Duration, b: Duration) -> bool {
    a.as_millis() < b.as_millis()
}

const _: () = assert!(less(PROBE, SILENT) && less(PROBE_PERIOD, SILENT), "one slow probe must not call a server dead");
const _: () = assert!(less(SILENT, DEAD), "a silent server is let go within two seconds");
const _: () = assert!(less(DEAD, LINK_DOWN), "a shard is not called unreplicated before its replica is called silent");
const _: () = assert!(COUNT_LEASE.as_millis() > 3 * COUNT_RENEWAL.as_millis(), "a renewal may be lost");
const _: () = assert!(less(WAIT, ANSWER), "the answer of a WAIT must arrive before the request is given up");
const _: () = assert!(less(TAIL_WAIT, ANSWER), "a read that finds nothing must arrive before it is given up");
const _: () = assert!(less(ANSWER, COPIED) && less(COPIED, APPEND), "an append waits for its copy within its time");
const _: () = assert!(less(BARRIER, APPEND), "an append outlasts the wait for what was lost");
const _: () = assert!(less(LINK_DOWN, APPEND), "an append outlasts the time after which one copy will do");
const _: () = assert!(less(APPEND, hub::POST), "a post is tried by more than one call");
const _: () = assert!(less(hub::POST, DEDUPE), "the key of a post is known for as long as it is tried");

/// The hub: posts, joins, and what people learn of each other.
pub(crate) mod hub {
    use std::time::Duration;

    /// A call of the bus. The bus bounds its own calls; this bounds the bus.
    pub(crate) const CALL: Duration = Duration::from_secs(5);

    /// A post, from when it was taken to when it fails: longer than a failover takes, shorter than people
    /// and HTTP clients wait.
    pub(crate) const POST: Duration = Duration::from_secs(10);

    /// A group of posts gets at least this long, however old its posts are.
    pub(crate) const GROUP_AT_LEAST: Duration = Duration::from_secs(1);

    /// A join, until it is answered as unavailable.
    pub(crate) const JOIN: Duration = Duration::from_secs(5);

    /// A position ahead of the log, before it counts as one of another history.
    pub(crate) const AHEAD: Duration = Duration::from_secs(2);

    /// Between two looks at joins that wait while nothing happens.
    pub(crate) const LOOK: Duration = Duration::from_millis(250);

    /// A sum of members, in a call of the bus.
    pub(crate) const SUM: Duration = Duration::from_millis(500);

    /// How long a sum of members is good for, and the least time between two writes of counts.
    pub(crate) const FRESH: Duration = Duration::from_millis(250);

    /// From the last change of who is in a room to telling it: by then the counts of all gateways are written.
    pub(crate) const GATHER: Duration = Duration::from_millis(300);

    /// From the first change to telling it, at most.
    pub(crate) const GATHER_AT_MOST: Duration = Duration::from_millis(600);

    /// Between two presence messages about one room.
    pub(crate) const BETWEEN_PRESENCE: Duration = Duration::from_secs(1);

    // A position that is ahead is judged by at least two reads of the history before the join's own time is over.
    const _: () = assert!(2 * LOOK.as_millis() < AHEAD.as_millis() && AHEAD.as_millis() < JOIN.as_millis());
    const _: () = assert!(SUM.as_millis() < CALL.as_millis() && CALL.as_millis() < POST.as_millis());
    const _: () = assert!(GROUP_AT_LEAST.as_millis() < POST.as_millis());
    const _: () = assert!(FRESH.as_millis() < GATHER.as_millis());
    // A gateway hears of a change up to `FRESH` after it happened, and shows it within one second of that.
    const _: () = assert!(GATHER_AT_MOST.as_millis() + FRESH.as_millis() < BETWEEN_PRESENCE.as_millis());
}
