//! What the kernel knows: which core runs whom, how much CPU and memory they used, what machine this is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Core of the gateway, and of the bare sender that it is compared with.
pub(crate) const SERVER_CORE: usize = 1;
/// Core of the load generator, and of Redis, which inherits it.
pub(crate) const LOAD_CORE: usize = 0;

/// Pins the calling thread, and what it starts from now on.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pin to core {core}"))
}

/// Two cores and all the descriptors that the process may have.
pub(crate) fn prepare() -> Result<()> {
    let cores = std::thread::available_parallelism().context("count cores")?.get();
    ensure!(cores > SERVER_CORE, "the benchmark needs two cores: one for the gateway, one for everything else");
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("raise the descriptor limit")
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// CPU time of a process that ends no threads: the sum over its threads, in nanoseconds' resolution.
pub(crate) fn process_cpu(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("read the threads of {pid}"))? {
        let path = task.context("read a thread")?.path().join("schedstat");
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(&path) else { continue };
        nanos += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("read the status of {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("read VmRSS")?;
    Ok(kilobytes * 1024)
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
