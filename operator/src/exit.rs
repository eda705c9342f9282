//! How the process ends when it fails: one sentence on standard error, and a code from `sysexits.h`.

use std::process::ExitCode;

use crate::{explain::ExplainError, kubectl::KubectlError, run::RunError, simulate::SimulateError};

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The runtime or the signals.
    #[error("failed to start: {0}")]
    Start(#[source] std::io::Error),
    /// `run`.
    #[error(transparent)]
    Run(#[from] RunError),
    /// `explain`.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// `kubectl parlor`.
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    /// `simulate`.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

impl CommandError {
    /// 64 for wrong input, 66 for a file that cannot be read, 69 for something that the operator needs and does not find, 75
    /// for what a restart may mend, 70 for the rest.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Simulate(SimulateError::Unreadable(..)) => 66,
            Self::Simulate(_) | Self::Explain(ExplainError::Invalid(_)) => 64,
            Self::Run(RunError::Connect(_) | RunError::Resource(_)) | Self::Explain(_) | Self::Kubectl(_) => 69,
            Self::Run(RunError::Leader(_)) => 75,
            Self::Run(_) | Self::Start(_) => 70,
        })
    }
}
