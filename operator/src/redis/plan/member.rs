//! What the planner sees: the cluster that is asked for, and the pods that exist or should.

use crate::redis::{roles::Location, view::View};

/// The cluster that the ChatRoom asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Primaries.
    pub shards: usize,
    /// Replicas of each primary.
    pub replicas: usize,
}

impl Shape {
    /// Servers in all.
    pub fn servers(self) -> usize {
        self.shards * (1 + self.replicas)
    }
}

/// A Redis pod that exists or should, and what its server says when it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Pod name.
    pub pod: String,
    /// The host name that its server announces, by which others know it whatever its address is.
    pub name: String,
    /// Pod address; empty while it has none.
    pub ip: String,
    /// Where it runs.
    pub place: Location,
    /// It was asked to end, or its node is being drained.
    pub leaving: bool,
    /// It is one of more than the ChatRoom asks for, and goes once it is not needed.
    pub surplus: bool,
    /// `None` when the server did not answer.
    pub view: Option<View>,
}
