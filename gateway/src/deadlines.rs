//! Deadlines and limits that depend on each other, in one place.

use std::time::Duration;

/// How long the key of a post is remembered, at least.
pub const DEDUPE: Duration = Duration::from_secs(600);

/// The hub: posts, joins, and what people are told of each other.
pub(crate) mod hub {
    use std::time::Duration;

    /// A call of the bus. The bus bounds its own calls; this bounds the bus.
    pub(crate) const CALL: Duration = Duration::from_secs(5);

    /// A post, from when it was taken to when it fails: longer than a failover takes, shorter than people wait.
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
    // A change is heard up to `FRESH` after it happened, and is to be told within a second of that.
    const _: () = assert!(GATHER_AT_MOST.as_millis() + FRESH.as_millis() < BETWEEN_PRESENCE.as_millis());
}
