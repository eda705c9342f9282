//! Whether the password of the managed Redis may take its next turn (no client).
//!
//! A function of what servers and gateways say. Where the rotation is, is read from the generated Secret; nothing here
//! remembers. Called by `decide::redis`.

use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use parlor_crds::contract;

use crate::{
    reconcile::{
        build::secret::{self, Turn},
        observed::{self, Observed},
    },
    redis::passwords::{Doors, Passwords, Second},
};

/// How long a gateway is waited for that does not say which password it reads: the kubelet writes a changed Secret into a pod
/// within two minutes.
const READ_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// How the rotation continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// None is under way.
    Idle,
    /// Somebody is waited for.
    Waits(String),
    /// The Secret takes its next turn.
    Turns(Turn),
}

impl Rotation {
    /// The turn that is due.
    pub fn turn(&self) -> Option<Turn> {
        match self {
            Self::Turns(turn) => Some(*turn),
            Self::Idle | Self::Waits(_) => None,
        }
    }
}

/// Decides it.
pub fn rotation(observed: &Observed) -> Rotation {
    let Some(passwords) = observed.secret.as_ref().and_then(secret::redis_passwords) else { return Rotation::Idle };
    let Some((second, _)) = passwords.second else { return Rotation::Idle };
    let (turn, missing) = match second {
        Second::Next => (Turn::Switch, server_behind(observed)),
        Second::Former => (Turn::Retire, server_behind(observed).or_else(|| gateway_behind(&passwords, observed))),
        // What servers still let in is a matter of the planner.
        Second::Retired => return Rotation::Idle,
    };
    missing.map_or(Rotation::Turns(turn), Rotation::Waits)
}

/// The first server that does not do with both passwords what it should, or does not answer.
fn server_behind(observed: &Observed) -> Option<String> {
    if observed.redis.is_empty() {
        return Some("no Redis server was seen".into());
    }
    let is_done = |doors: Doors| doors == Doors::default();
    let behind = observed.redis.iter().find(|member| !member.view.as_ref().is_some_and(|view| is_done(view.doors)))?;
    Some(format!("{} must let both passwords in", behind.pod))
}

/// The first gateway that may still present the former password to a new connection.
fn gateway_behind(passwords: &Passwords, observed: &Observed) -> Option<String> {
    let current = contract::fingerprint(passwords.current.as_bytes());
    let waited = observed.password_switched.map(|since| observed.now.duration_since(since));
    let is_overdue = waited.is_some_and(|waited| waited >= READ_WITHIN);
    let running = observed.gateways.iter().filter(|pod| !observed::has_ended(pod)).map(ResourceExt::name_any);
    let mut behind = running.filter(|pod| {
        let said = observed.reports.get(pod).and_then(|report| report.redis_password.as_ref());
        said.map_or(!is_overdue, |said| *said != current)
    });
    behind.next().map(|pod| format!("gateway {pod} must read the new password"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        ByteString,
        api::core::v1::{Pod, Secret},
        jiff::Timestamp,
    };
    use parlor_crds::contract::{BusStatus, GatewayStatus};

    use super::*;
    use crate::redis::plan::sketch::Sketch;

    /// A formed cluster with one gateway, whose Secret has these keys.
    fn observed(keys: [(&str, &str); 2]) -> Observed {
        let data = keys.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec()))).into();
        let mut gateway = Pod::default();
        gateway.metadata.name = Some("gateway".into());
        Observed {
            secret: Some(Secret { data: Some(data), ..Secret::default() }),
            redis: Sketch::formed().members,
            gateways: vec![gateway],
            ..Observed::default()
        }
    }

    fn report(read: Option<&str>) -> GatewayStatus {
        GatewayStatus {
            gateway: "gateway".into(),
            version: "0".into(),
            ready: true,
            connections: 0,
            connections_limit: 1,
            refused: 0,
            rooms: 0,
            drain: None,
            bus: BusStatus::Replicated,
            refusal: None,
            shards: Vec::new(),
            redis_password: read.map(|password| contract::fingerprint(password.as_bytes())),
        }
    }

    #[test]
    fn the_password_is_switched_when_every_server_lets_the_next_one_in() {
        let mut observed = observed([("redis-password", "old"), ("redis-password-next", "new")]);
        observed.redis[3].view.as_mut().unwrap().doors.lacks_second = true;
        assert_eq!(rotation(&observed), Rotation::Waits("redis-3 must let both passwords in".into()));
        observed.redis[3].view.as_mut().unwrap().doors.lacks_second = false;
        assert_eq!(rotation(&observed), Rotation::Turns(Turn::Switch));
        observed.redis[3].view = None;
        assert!(matches!(rotation(&observed), Rotation::Waits(_)), "one that is absent may start with an old file");
    }

    #[test]
    fn the_former_password_is_retired_when_every_gateway_has_read_the_new_one() {
        let mut observed = observed([("redis-password", "new"), ("redis-password-former", "old")]);
        let behind = Rotation::Waits("gateway gateway must read the new password".into());
        for read in [None, Some("old")] {
            observed.reports.insert("gateway".into(), report(read));
            assert_eq!(rotation(&observed), behind);
        }
        observed.reports.insert("gateway".into(), report(Some("new")));
        assert_eq!(rotation(&observed), Rotation::Turns(Turn::Retire));
    }

    #[test]
    fn a_gateway_that_does_not_say_what_it_reads_is_waited_for_ten_minutes() {
        let mut observed = observed([("redis-password", "new"), ("redis-password-former", "old")]);
        observed.password_switched = Some(Timestamp::UNIX_EPOCH);
        observed.now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(599);
        assert!(matches!(rotation(&observed), Rotation::Waits(_)));
        observed.now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(600);
        assert_eq!(rotation(&observed), Rotation::Turns(Turn::Retire));
        observed.reports.insert("gateway".into(), report(Some("old")));
        assert!(matches!(rotation(&observed), Rotation::Waits(_)), "it says that it reads the old one");
    }
}
