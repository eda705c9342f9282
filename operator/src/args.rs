//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{chat_room_name::ChatRoomName, reconcile::build::Defaults};

/// Turns ChatRooms into gateways, a Redis Cluster and a way in.
#[derive(Clone, Debug, Parser)]
#[command(name = "parlor-operator", version)]
pub struct Args {
    /// What to do; `run` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of `run` and `explain`.
    #[command(flatten)]
    pub settings: OperatorSettings,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Reconcile ChatRooms until asked to stop.
    Run,
    /// Print the CustomResourceDefinition of ChatRoom.
    Crd,
    /// Say why a ChatRoom has as many gateways as it has, and what it is waiting for.
    Explain {
        /// NAMESPACE/NAME of the ChatRoom.
        room: ChatRoomName,
    },
    /// Run the autoscaler over a recorded load, and print every change of size with its reason.
    Simulate {
        /// Lines of SECONDS,CONNECTIONS in ascending order; a heading is allowed.
        load: PathBuf,
        /// The ChatRoom whose scaling is simulated.
        chatroom: PathBuf,
    },
}

/// In which form the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Settings, by flag or environment.
#[derive(Clone, Debug, clap::Args)]
pub struct OperatorSettings {
    /// Namespaces to watch, separated by commas; all when absent.
    #[arg(long, global = true, env = "PARLOR_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Image of gateways whose ChatRoom names none.
    #[arg(long, global = true, env = "PARLOR_GATEWAY_IMAGE", default_value = concat!("parlor-gateway:", env!("CARGO_PKG_VERSION")))]
    pub gateway_image: String,
    /// Address of /metrics, /livez and /readyz.
    #[arg(long, global = true, env = "PARLOR_LISTEN", default_value = "127.0.0.1:9101")]
    pub listen: SocketAddr,
    /// Namespace of the lease that decides who leads.
    #[arg(long, global = true, env = "PARLOR_LEASE_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,
    /// Form of the log; text on a terminal and JSON in a pod when absent. What is logged is in PARLOR_LOG.
    #[arg(long, global = true)]
    pub log: Option<LogFormat>,
    /// Let the cluster choose the users that pods run as, as OpenShift's restricted SCC demands.
    #[arg(long, global = true, env = "PARLOR_NO_FIXED_USERS")]
    pub no_fixed_users: bool,
}

impl OperatorSettings {
    /// What objects depend on.
    pub fn defaults(&self) -> Defaults {
        Defaults {
            gateway_image: self.gateway_image.clone(),
            namespace: self.lease_namespace.clone(),
            fixed_users: !self.no_fixed_users,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn run_is_what_happens_without_a_command_and_flags_may_follow_it() {
        let bare = Args::try_parse_from(["parlor-operator", "--watch-namespaces", "a,b"]).unwrap();
        assert!(bare.command.is_none());
        assert_eq!(bare.settings.watch_namespaces, ["a", "b"]);
        let named = Args::try_parse_from(["parlor-operator", "run", "--gateway-image=g:1"]).unwrap();
        assert_eq!(named.settings.gateway_image, "g:1");
    }

    #[test]
    fn a_chatroom_is_named_with_its_namespace() {
        assert!(Args::try_parse_from(["parlor-operator", "explain", "lobby"]).is_err());
        assert!(Args::try_parse_from(["parlor-operator", "explain", "chat/lobby"]).is_ok());
    }
}
