//! What `getRoomInfo` tells of this process, in the form in which these clients read it. The wiring measures it every
//! second and sets it here; sessions read it without I/O.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

/// What the process uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open connections.
    pub sessions: u64,
    pub data_kib: u64,
    pub anonymous_kib: u64,
    pub resident_kib: u64,
    /// Processor time since the process began, outside of the kernel and in it.
    pub user: Duration,
    pub system: Duration,
}

/// Shared by the wiring and all sessions.
#[derive(Debug)]
pub struct ProcessStats {
    workers: u64,
    usage: Mutex<Usage>,
}

impl ProcessStats {
    /// Nothing measured yet, in a process with `workers` reactor threads.
    pub fn new(workers: usize) -> Self {
        Self { workers: workers as u64, usage: Mutex::default() }
    }

    /// From now on sessions tell `usage`.
    pub fn set(&self, usage: Usage) {
        *self.usage.lock() = usage;
    }

    pub(super) fn info(&self) -> SystemInfo {
        let usage = *self.usage.lock();
        SystemInfo {
            process: Process {
                worker_num: self.workers,
                process_id: std::process::id(),
                process_session_num: usage.sessions,
            },
            memory: Memory {
                heap_total: megabytes(usage.data_kib),
                heap_used: megabytes(usage.anonymous_kib),
                rss: megabytes(usage.resident_kib),
            },
            cpu_usage: CpuUsage { user: millis(usage.user), system: millis(usage.system) },
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

fn megabytes(kib: u64) -> String {
    format!("{:.2}", kib as f64 / 1024.0)
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_millis() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_megabytes_and_times_in_milliseconds_with_two_decimals() {
        let process_stats = ProcessStats::new(2);
        process_stats.set(Usage {
            sessions: 5,
            data_kib: 3072,
            anonymous_kib: 1536,
            resident_kib: 2050,
            user: Duration::from_millis(700),
            system: Duration::from_millis(310),
        });
        let info = process_stats.info();
        assert_eq!((info.process.worker_num, info.process.process_session_num), (2, 5));
        assert_eq!(info.process.process_id, std::process::id());
        assert_eq!([info.memory.heap_total, info.memory.heap_used, info.memory.rss], ["3.00", "1.50", "2.00"]);
        assert_eq!([info.cpu_usage.user, info.cpu_usage.system], ["700.00", "310.00"]);
    }
}
