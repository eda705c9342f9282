//! The command line, as typed: checked and completed by `run`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Serves a ChatRoom: holds its sockets, speaks its protocols, fans its rooms out.
#[derive(Debug, Parser)]
#[command(name = "parlor-gateway", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub serve: Option<Serve>,
}

/// What a gateway's binary does besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a room over the native protocol, post a message, and wait for it to come back
    Probe {
        /// For example ws://lobby.chat.svc/chat
        #[arg(value_name = "URL")]
        url: String,

        /// Seconds that it may take
        #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
        within: Duration,
    },
}

/// Serving, which needs no word for it.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The ChatRoom manifest: the same YAML that kubectl applies
    #[arg(value_name = "CHATROOM.yaml")]
    pub chatroom: PathBuf,

    /// Shared port: the page, and every protocol on its path. Own ports bind the same address; port 0 picks a free one
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Admin port: /livez, /readyz, /metrics, /status and /drain
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,

    /// Server API, instead of spec.api.port on the address of the shared port. Without spec.api its tokens are the files
    /// in the directory `api` of the Secrets
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub api: Option<SocketAddr>,

    /// Directory with the server API's tokens, one file each. Default: the Secret that spec.api.tokensRef names, in the
    /// directory of the Secrets
    #[arg(long, value_name = "DIR")]
    pub api_tokens: Option<PathBuf>,

    /// Redis nodes to start from, as host:port,host:port; needed in a pod with managed Redis
    #[arg(long, value_name = "SEEDS", value_delimiter = ',')]
    pub redis: Vec<String>,

    /// Directory with the ChatRoom's Secrets, as NAME/KEY files
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,

    /// How the log looks: text, or one JSON object per line. Default: JSON in a pod, text elsewhere
    #[arg(long, value_name = "FORMAT")]
    pub log: Option<LogFormat>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("1 to 3600 seconds".to_owned()),
    }
}
