//! Where this process runs: in a pod, or on somebody's machine. Decides what is an error and what a warning.

use std::{env, fs};

use parlor_crds::contract::POD_NAME_ENV;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::disable_transparent_huge_pages,
};

/// A pod or a laptop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Environment {
    /// With the pod's name.
    Pod(String),
    /// With the host's name.
    Laptop(String),
}

impl Environment {
    /// A pod sets its name in the environment.
    pub(super) fn detect() -> Self {
        match env::var(POD_NAME_ENV) {
            Ok(pod) if !pod.is_empty() => Self::Pod(pod),
            _ => {
                let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                let host = host.trim();
                Self::Laptop(if host.is_empty() { "localhost" } else { host }.to_owned())
            }
        }
    }

    /// The name to show.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Pod(name) | Self::Laptop(name) => name,
        }
    }

    /// True in a pod.
    pub(super) fn is_pod(&self) -> bool {
        matches!(self, Self::Pod(_))
    }
}

/// Has the kernel hand out memory in small pages, where it would do otherwise unasked: of a huge one, 2 MiB count as used
/// from the first byte on, which makes a third of an idle gateway.
pub(super) fn use_small_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "failed to turn off huge pages");
    }
}

/// Raises the soft limit of descriptors to the hard one, and says when that is too few for `connections`: beyond it
/// accepting pauses.
pub(super) fn raise_descriptor_limit(connections: u64) {
    /// Listeners, Redis connections, epolls and files.
    const BESIDES: u64 = 256;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < connections + BESIDES) {
        tracing::warn!(
            "{limit} open files are too few for {connections} connections: accepting will pause when they run out"
        );
    }
}
