//! What this process uses, read from `/proc/self` every second, for the clients that may ask. Never decides who sees it,
//! or how.

use std::{io, sync::Arc, time::Duration};

use crate::{
    fanout::reactor::Reactors,
    protocols::onlyone::{ProcessStats, Usage},
};

/// Linux counts process times in hundredths of a second, on every architecture.
const MILLIS_PER_TICK: u64 = 10;

/// Keeps the numbers fresh that OnlyOne clients may ask for.
pub(super) async fn keep_fresh(process_stats: Arc<ProcessStats>, reactors: Arc<Reactors>) {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        each_second.tick().await;
        match read(reactors.connections() as u64) {
            Ok(usage) => process_stats.set(usage),
            Err(error) => tracing::debug!(%error, "failed to read /proc/self"),
        }
    }
}

/// Of now; `sessions` is the number of open connections.
fn read(sessions: u64) -> io::Result<Usage> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (user, system) = times(&stat);
    Ok(Usage {
        sessions,
        data_kib: kib(&status, "VmData:"),
        anonymous_kib: kib(&status, "RssAnon:"),
        resident_kib: kib(&status, "VmRSS:"),
        user,
        system,
    })
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time. Fields are counted from behind the command's name, which may hold spaces and brackets.
fn times(stat: &str) -> (Duration, Duration) {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis(ticks.saturating_mul(MILLIS_PER_TICK))
    };
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_this_process_are_real() {
        let usage = read(5).unwrap();
        assert_eq!(usage.sessions, 5);
        assert!(usage.resident_kib > 512, "{usage:?}");
        assert!(usage.anonymous_kib > 0 && usage.anonymous_kib <= usage.resident_kib, "{usage:?}");
        assert!(usage.data_kib > 0, "{usage:?}");
    }

    #[test]
    fn process_times_are_found_behind_any_command_name() {
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 70 31 0 0 20";
        assert_eq!(times(stat), (Duration::from_millis(700), Duration::from_millis(310)));
        assert_eq!(times(""), (Duration::ZERO, Duration::ZERO));
    }
}
