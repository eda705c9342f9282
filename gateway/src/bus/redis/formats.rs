//! Which formats of entries every live gateway reads.
//!
//! A gateway says what it reads in the name under which it counts its members; releases that knew one format only say
//! nothing. Decides whether amendments may be written: not while a gateway with members lives that could not read them,
//! because it would have to stop reading there. Asked for a group with amendments, and at no other time.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::{sync::Mutex, time::Instant};

use super::{super::AppendError, entry::FORMAT};
use crate::{
    deadlines::COUNT_LEASE,
    redis::{
        Servers,
        connection::{Command, Fault, list, number},
    },
    rooms::{Cause, Partition},
};

/// How long it counts that every gateway reads amendments: as long as the lease of one that has gone.
const GOOD: Duration = COUNT_LEASE;

/// How long it counts that one does not.
const BAD: Duration = Duration::from_secs(1);

const ANSWER: Duration = Duration::from_secs(2);

/// What was last found.
#[derive(Clone, Copy, Debug)]
struct Found {
    all_read: bool,
    at: Instant,
}

/// The formats that live gateways read.
#[derive(Debug)]
pub(super) struct Formats {
    servers: Arc<Servers>,
    found: Mutex<Option<Found>>,
}

/// The name under which a gateway counts members: says up to which format it reads.
pub(super) fn announced(gateway: &str) -> String {
    format!("{gateway}#{FORMAT}")
}

/// Up to which format the gateway of this name reads.
fn reads(name: &str) -> u8 {
    name.rsplit_once('#').and_then(|(_, format)| format.parse().ok()).unwrap_or(1)
}

impl Formats {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        Self { servers, found: Mutex::default() }
    }

    /// Whether amendments may be written now.
    pub(super) async fn check(&self) -> Result<(), AppendError> {
        let mut found = self.found.lock().await;
        let valid = |found: &Found| found.at.elapsed() < if found.all_read { GOOD } else { BAD };
        let all_read = match found.filter(valid) {
            Some(known) => known.all_read,
            None => {
                let looks = join_all(Partition::all().map(|partition| self.all_read_in(partition))).await;
                let looks: Result<Vec<bool>, Fault> = looks.into_iter().collect();
                let failed = |fault| {
                    AppendError::Unavailable(Cause::because("failed to find out what live gateways can read", fault))
                };
                let all_read = looks.map_err(failed)?.into_iter().all(|read| read);
                *found = Some(Found { all_read, at: Instant::now() });
                all_read
            }
        };
        if all_read { Ok(()) } else { Err(AppendError::OlderGateway) }
    }

    /// Whether every gateway with members in the partition reads what this one writes.
    async fn all_read_in(&self, partition: Partition) -> Result<bool, Fault> {
        let keys = &self.servers.keys;
        let listed = Command::new("ZRANGE").arg(keys.gateways(partition)).arg(0_u32).arg(-1_i64);
        let names = list(self.call(partition, listed).await?).into_iter().filter_map(|name| name.into_string());
        for name in names.filter(|name| reads(name) < FORMAT) {
            // It stays listed for a while after its lease has ended.
            let lives = Command::new("EXISTS").arg(keys.counts(partition, &name));
            if number(&self.call(partition, lives).await?) != Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn call(&self, partition: Partition, command: Command) -> Result<fred::types::Value, Fault> {
        self.servers.cluster.call(&self.servers.cluster.primary(partition)?.server, command, ANSWER).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_up_to_which_format_its_gateway_reads() {
        assert_eq!(reads(&announced("b2c4")), FORMAT);
        assert_eq!(reads("b2c4"), 1, "releases that read one format say nothing");
        assert_eq!(reads("b2c4#7"), 7);
    }
}
