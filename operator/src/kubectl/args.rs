//! The command line of `kubectl parlor`.

use clap::{Parser, Subcommand};

/// Looks after ChatRooms.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl parlor", bin_name = "kubectl parlor", version)]
pub struct KubectlArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KubectlCommand,
    /// Namespace of the ChatRoom; that of the current context when absent.
    #[arg(long, short, global = true)]
    pub namespace: Option<String>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum KubectlCommand {
    /// Show the conditions of one ChatRoom, or of all in the namespace.
    Status {
        /// Name of the ChatRoom.
        name: Option<String>,
    },
    /// Say why a ChatRoom has as many gateways as it has, and what it is waiting for.
    Explain {
        /// Name of the ChatRoom.
        name: String,
    },
    /// Replace one gateway: its clients move to the others, then it goes.
    Drain {
        /// Name of the gateway's pod.
        pod: String,
    },
    /// Replace all gateways, as for a new template: new ones first, then the old ones drain.
    Restart {
        /// Name of the ChatRoom.
        name: String,
    },
    /// Give the managed Redis of a ChatRoom a new password, without disconnecting anyone.
    RotatePassword {
        /// Name of the ChatRoom.
        name: String,
    },
    /// Leave the ChatRoom and its objects as they are until `resume`.
    Pause {
        /// Name of the ChatRoom.
        name: String,
    },
    /// End `pause`.
    Resume {
        /// Name of the ChatRoom.
        name: String,
    },
    /// Print a bundle for a bug report: the ChatRoom, its objects and Events, without Secrets.
    Report {
        /// Name of the ChatRoom.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        KubectlArgs::command().debug_assert();
    }
}
