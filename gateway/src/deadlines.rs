//! Deadlines and limits that depend on each other, in one place.

use std::time::Duration;

/// How long the key of a post is remembered, at least.
pub const DEDUPE: Duration = Duration::from_secs(600);
