//! What people in a room learn of each other.

use crate::rooms::Author;

/// Who is in a room, as far as people learn it: the number always, names at most 20 of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    pub members: u64,
    pub joined: Vec<Author>,
    pub left: Vec<Author>,
}
