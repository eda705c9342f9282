//! What `getRoomInfo` tells of this process. Sampled by the wiring every few seconds, read by sessions without I/O.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::Serialize;

/// Linux counts process times in hundredths of a second, on every architecture.
const MILLIS_PER_TICK: u64 = 10;

/// Shared by the sampler and all sessions.
#[derive(Debug)]
pub struct ProcessStats {
    workers: u64,
    sessions: AtomicU64,
    data_kib: AtomicU64,
    anonymous_kib: AtomicU64,
    resident_kib: AtomicU64,
    user_ms: AtomicU64,
    system_ms: AtomicU64,
}

impl ProcessStats {
    /// Nothing sampled yet, in a process with `workers` reactor threads.
    pub fn new(workers: usize) -> Self {
        let [sessions, data_kib, anonymous_kib, resident_kib, user_ms, system_ms] = Default::default();
        let workers = workers as u64;
        Self { workers, sessions, data_kib, anonymous_kib, resident_kib, user_ms, system_ms }
    }

    /// Reads `/proc/self`; `sessions` is the number of open connections.
    pub fn sample(&self, sessions: u64) -> io::Result<()> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        self.sessions.store(sessions, Relaxed);
        self.data_kib.store(kib(&status, "VmData:"), Relaxed);
        self.anonymous_kib.store(kib(&status, "RssAnon:"), Relaxed);
        self.resident_kib.store(kib(&status, "VmRSS:"), Relaxed);
        let (user, system) = ticks(&stat);
        self.user_ms.store(user * MILLIS_PER_TICK, Relaxed);
        self.system_ms.store(system * MILLIS_PER_TICK, Relaxed);
        Ok(())
    }

    pub(super) fn info(&self) -> SystemInfo {
        let megabytes = |kib: &AtomicU64| decimals(kib.load(Relaxed) as f64 / 1024.0);
        let millis = |ms: &AtomicU64| decimals(ms.load(Relaxed) as f64);
        SystemInfo {
            process: Process {
                worker_num: self.workers,
                process_id: std::process::id(),
                process_session_num: self.sessions.load(Relaxed),
            },
            memory: Memory {
                heap_total: megabytes(&self.data_kib),
                heap_used: megabytes(&self.anonymous_kib),
                rss: megabytes(&self.resident_kib),
            },
            cpu_usage: CpuUsage { user: millis(&self.user_ms), system: millis(&self.system_ms) },
        }
    }
}

/// Numbers of the process as these clients read them: text with two decimals.
#[derive(Serialize)]
pub(super) struct SystemInfo {
    process: Process,
    memory: Memory,
    cpu_usage: CpuUsage,
}

#[derive(Serialize)]
struct Process {
    worker_num: u64,
    process_id: u32,
    process_session_num: u64,
}

/// In megabytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    heap_total: String,
    heap_used: String,
    rss: String,
}

/// In milliseconds since the process began.
#[derive(Serialize)]
struct CpuUsage {
    user: String,
    system: String,
}

fn decimals(number: f64) -> String {
    format!("{number:.2}")
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time. Fields are counted from behind the command's name, which may hold spaces and brackets.
fn ticks(stat: &str) -> (u64, u64) {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_this_process_are_real() {
        let process_stats = ProcessStats::new(2);
        process_stats.sample(5).unwrap();
        let info = process_stats.info();
        assert_eq!(info.process.process_id, std::process::id());
        assert_eq!((info.process.worker_num, info.process.process_session_num), (2, 5));
        assert!(info.memory.rss.parse::<f64>().unwrap() > 0.5, "{}", info.memory.rss);
        assert!(info.memory.heap_used.ends_with(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn process_times_are_found_behind_any_command_name() {
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 70 31 0 0 20";
        assert_eq!(ticks(stat), (70, 31));
        assert_eq!(ticks(""), (0, 0));
    }
}
