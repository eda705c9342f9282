//! What the kernel knows: which core runs whom, how much CPU and memory they used, what machine this is.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Core of the server that is measured, the bare sender among them.
pub(crate) const SERVER_CORE: usize = 1;
/// Core of the load generator, and of Redis, which inherits it.
pub(crate) const LOAD_CORE: usize = 0;

/// Pins the calling thread, and what it starts from now on.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pin to core {core}"))
}

/// Refuses a machine with one core.
pub(crate) fn two_cores() -> Result<()> {
    let cores = std::thread::available_parallelism().context("count cores")?.get();
    ensure!(cores > SERVER_CORE, "the benchmark needs two cores: one for the server, one for everything else");
    Ok(())
}

/// All the descriptors that the process may have.
pub(crate) fn raise_descriptors() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("raise the descriptor limit")
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// CPU time of processes that end no threads: the sum over their threads, in nanoseconds' resolution.
pub(crate) fn cpu(processes: &[u32]) -> Result<Duration> {
    let mut nanos = 0;
    for pid in processes {
        for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("read the threads of {pid}"))? {
            let path = task.context("read a thread")?.path().join("schedstat");
            // A thread may end meanwhile.
            let Ok(stat) = fs::read_to_string(&path) else { continue };
            nanos += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of processes in bytes.
pub(crate) fn resident(processes: &[u32]) -> Result<u64> {
    let one = |pid: &u32| {
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("read the status of {pid}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("read VmRSS")?;
        Ok(kilobytes * 1024)
    };
    processes.iter().map(one).sum()
}

/// The processes that a process has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// How a core, or all of them, spent their time until now.
#[derive(Clone, Copy)]
pub(crate) struct CoreTime {
    busy: u64,
    stolen: u64,
    all: u64,
}

impl CoreTime {
    /// Of the load generator's core, over all processes.
    pub(crate) fn now() -> Result<Self> {
        Self::read(&format!("cpu{LOAD_CORE} "))
    }

    /// Of all cores.
    pub(crate) fn of_all() -> Result<Self> {
        Self::read("cpu ")
    }

    fn read(name: &str) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let line = stat.lines().find_map(|line| line.strip_prefix(name)).context("a core without times")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|n| n.parse().ok()).collect();
        let all = ticks.iter().sum();
        // The fourth and fifth are idle and waiting for a disk, the eighth is stolen.
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: all - idle, stolen: ticks.get(7).copied().unwrap_or(0), all })
    }

    /// Share of the time since then that it was busy.
    pub(crate) fn busy_since(&self, before: Self) -> f64 {
        (self.busy - before.busy) as f64 / (self.all - before.all).max(1) as f64
    }

    /// Share of the time since then that the hypervisor kept for others.
    pub(crate) fn stolen_since(&self, before: Self) -> f64 {
        (self.stolen - before.stolen) as f64 / (self.all - before.all).max(1) as f64
    }
}

/// CPU model and kernel.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown CPU");
    let kernel = read("/proc/sys/kernel/osrelease");
    // Not what this thread may use: it is pinned.
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores, Linux {}", model.trim_start_matches(['\t', ' ', ':']), kernel.trim())
}
