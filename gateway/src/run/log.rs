//! Where the log goes and how it looks.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{args::LogFormat, run::environment::Environment};

/// Logs to stderr what `PARLOR_LOG` lets through. Without a format: JSON in a pod, text elsewhere.
pub(super) fn to_stderr(format: Option<LogFormat>, environment: &Environment) {
    // fred warns of every lost connection; the bus logs those where they matter.
    let filter = EnvFilter::try_from_env("PARLOR_LOG").unwrap_or_else(|_| EnvFilter::new("info,fred=error"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format.unwrap_or(if environment.is_pod() { LogFormat::Json } else { LogFormat::Text }) {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.without_time().with_target(false).with_ansi(io::stderr().is_terminal()).init(),
    }
}
