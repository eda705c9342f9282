//! Which replicas follow their primary, from what the primary says of them again and again.
//!
//! Decides that a replica which is silent, or which does not move while its primary continues to write, follows no
//! longer: Redis itself calls both online until `repl-timeout`, which is a minute by default. A replica that hears nothing
//! still says every second how far it is. Pure: called by the prober, one for each server.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// How far the last sign of a replica may lie back, in seconds, as its primary counts them; each sends one every second.
const LAG: u64 = 2;

/// For how long a replica may stay where it is, behind its primary. One that receives moves with each of its signs.
const STILL: Duration = Duration::from_secs(2);

/// The replicas of one primary.
#[derive(Debug, Default)]
pub struct Followers {
    seen: HashMap<String, Progress>,
}

/// How far a replica is.
#[derive(Debug)]
struct Progress {
    offset: u64,
    /// When it last moved, or held all that its primary does.
    at: Instant,
}

/// The value of a field in a line of `slaveN:name=value,…`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(':')?.1.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

fn number(line: &str, name: &str) -> Option<u64> {
    field(line, name)?.parse().ok()
}

impl Followers {
    /// How many replicas follow, as the primary's `INFO replication` says at `now`.
    pub fn count(&mut self, info: &str, now: Instant) -> usize {
        let lines = || info.lines().map(str::trim);
        let written = lines().find_map(|line| line.strip_prefix("master_repl_offset:")?.parse().ok()).unwrap_or(0);
        let mut before = std::mem::take(&mut self.seen);
        let mut follow = 0;
        for line in lines().filter(|line| line.starts_with("slave") && line.contains("state=online")) {
            let (Some(ip), Some(port)) = (field(line, "ip"), field(line, "port")) else { continue };
            let (name, offset) = (format!("{ip}:{port}"), number(line, "offset").unwrap_or(0));
            let stood = before.remove(&name).filter(|last| last.offset == offset && offset < written);
            let progress = stood.unwrap_or(Progress { offset, at: now });
            let heard = number(line, "lag").unwrap_or(0) <= LAG;
            follow += usize::from(heard && now.saturating_duration_since(progress.at) < STILL);
            self.seen.insert(name, progress);
        }
        follow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(written: u64, replicas: &[(&str, u64, u64)]) -> String {
        let line = |(n, (state, offset, lag)): (usize, &(&str, u64, u64))| {
            format!("slave{n}:ip=127.0.0.1,port=700{n},state={state},offset={offset},lag={lag}\r\n")
        };
        let lines: String = replicas.iter().enumerate().map(line).collect();
        format!("# Replication\r\nrole:master\r\n{lines}master_repl_offset:{written}\r\n")
    }

    #[test]
    fn only_replicas_that_are_online_and_were_heard_of_lately_follow() {
        let replicas = [("online", 5, 0), ("wait_bgsave", 0, 0), ("online", 5, 3), ("online", 5, 2)];
        assert_eq!(Followers::default().count(&info(5, &replicas), Instant::now()), 2);
    }

    #[test]
    fn a_replica_that_does_not_move_while_its_primary_writes_on_follows_no_longer_although_it_is_heard() {
        let (mut followers, start) = (Followers::default(), Instant::now());
        let mut at = |seconds: f64, written, offset| {
            followers.count(&info(written, &[("online", offset, 0)]), start + Duration::from_secs_f64(seconds))
        };
        // Nothing is written: it has all there is.
        assert_eq!((at(0.0, 5, 5), at(9.0, 5, 5)), (1, 1));
        // It is behind, and moves.
        assert_eq!((at(10.0, 20, 6), at(11.5, 30, 7), at(13.0, 40, 8)), (1, 1, 1));
        assert_eq!((at(14.5, 50, 8), at(15.1, 60, 8)), (1, 0));
        assert_eq!((at(15.6, 60, 60), at(30.0, 60, 60)), (1, 1));
    }
}
