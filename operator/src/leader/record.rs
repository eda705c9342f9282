//! When a lease may be taken, decided by the elapsed time of this process alone.
//!
//! A lease counts as abandoned when this process has watched it unchanged for its whole duration. Times that other machines
//! wrote into it are not compared with any clock. Pure; called by `leader`.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// What is seen of a lease, and since when it has been unchanged.
#[derive(Debug, Default)]
pub(super) struct Record {
    seen: Option<(LeaseSpec, Instant)>,
}

impl Record {
    /// Notes the lease as it is now; whether `me` may take it.
    pub(super) fn may_take(&mut self, lease: &LeaseSpec, me: &str, now: Instant) -> bool {
        match &self.seen {
            Some((known, _)) if known == lease => {}
            _ => self.seen = Some((lease.clone(), now)),
        }
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        holder.is_empty() || holder == me || self.unchanged_for(now) >= duration(lease)
    }

    fn unchanged_for(&self, now: Instant) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| now.duration_since(*since))
    }
}

fn duration(lease: &LeaseSpec) -> Duration {
    let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(crate::deadlines::LEASE, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};

    use super::*;

    fn held(by: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.into()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_only_after_it_was_seen_unchanged_for_its_duration_whatever_the_clocks_say() {
        let (mut record, start) = (Record::default(), Instant::now());
        // By the other machine's clock it was renewed decades ago.
        assert!(!record.may_take(&held("other", 0), "me", start));
        assert!(!record.may_take(&held("other", 0), "me", start + Duration::from_secs(14)));
        assert!(!record.may_take(&held("other", 1), "me", start + Duration::from_secs(15)), "it was renewed");
        assert!(record.may_take(&held("other", 1), "me", start + Duration::from_secs(30)));
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        assert!(Record::default().may_take(&held("", 0), "me", Instant::now()));
    }
}
