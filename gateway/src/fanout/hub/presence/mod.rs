//! How many members rooms have, and what travels beside the log.

pub(crate) mod counts;
pub(crate) mod rosters;
pub(crate) mod signals;
pub(crate) mod sums;
