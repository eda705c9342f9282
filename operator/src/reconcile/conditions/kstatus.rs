//! `Reconciling` and `Stalled`: what tools that read any resource wait for, as kstatus and with it Flux and kpt do.
//!
//! Each exists only while it is true, as kstatus wants it. `Progressing` says the same to people, at all times.

use super::claim::{Claim, Truth};

const RECONCILING: &str = "Reconciling";
const STALLED: &str = "Stalled";
/// Reasons of `Ready` that only a person can do something about.
const FOR_PEOPLE: [&str; 2] = ["InvalidSpec", "NameTaken"];

/// Whether a condition of this type exists only while it is true.
pub fn is_passing(kind: &str) -> bool {
    [RECONCILING, STALLED].contains(&kind)
}

/// The one of the two that is true, if any. What waits for a person is not under way.
pub(super) fn claim(ready: &Claim, progress: Option<&Claim>) -> Option<Claim> {
    if ready.truth == Truth::False && FOR_PEOPLE.contains(&ready.reason) {
        return Some(Claim::new(STALLED, Truth::True, ready.reason, ready.message.clone()));
    }
    let progress = progress.filter(|progress| progress.truth == Truth::True)?;
    Some(Claim::new(RECONCILING, Truth::True, progress.reason, progress.message.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(ready: (Truth, &'static str), progress: Truth) -> Option<&'static str> {
        let ready = Claim::new("Ready", ready.0, ready.1, "");
        claim(&ready, Some(&Claim::new("Progressing", progress, "RollingOut", ""))).map(|claim| claim.kind)
    }

    #[test]
    fn a_rollout_is_reconciling_what_needs_a_person_is_stalled_and_at_rest_there_is_neither() {
        assert_eq!(kind((Truth::True, "Serving"), Truth::True), Some(RECONCILING));
        assert_eq!(kind((Truth::False, "NoneReady"), Truth::True), Some(RECONCILING));
        assert_eq!(kind((Truth::False, "NameTaken"), Truth::True), Some(STALLED));
        assert_eq!(kind((Truth::True, "Serving"), Truth::False), None);
    }
}
