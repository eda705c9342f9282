//! One condition before it is written.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// Longest message that is written; the API server refuses more than 32 KiB.
const MAX_MESSAGE: usize = 1_000;

/// True, false, or not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Seen to be so.
    True,
    /// Seen not to be so.
    False,
    /// Not seen.
    Unknown,
}

impl Truth {
    /// As a condition writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition before it is compared with the one written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its type.
    pub kind: &'static str,
    /// Its status.
    pub truth: Truth,
    /// Its reason, in CamelCase.
    pub reason: &'static str,
    /// One sentence with numbers.
    pub message: String,
}

impl Claim {
    /// A claim of that type.
    pub fn new(kind: &'static str, truth: Truth, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, truth, reason, message: message.into().chars().take(MAX_MESSAGE).collect() }
    }

    /// The condition, with the time of `old` unless the status changed.
    pub fn condition(self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = self.truth.name();
        let same = old.iter().find(|known| known.type_ == self.kind && known.status == status);
        Condition {
            type_: self.kind.into(),
            status: status.into(),
            reason: self.reason.into(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |known| known.last_transition_time.clone()),
        }
    }
}
