//! Speaks to single Redis servers: asks each for its view and carries orders out.
//!
//! A connection per server and pass, one command after another, one attempt, everything under one deadline: what fails is
//! simply seen again at the next pass. It decides nothing. Called by `observe` and `apply`.

use super::connection::{AskError, Connection};
use super::plan::{Command, Order};
use super::view::{View, ViewError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Port of every managed Redis server; its cluster bus is 10,000 above.
pub const PORT: u16 = 6379;
/// Longest conversation with one server; a healthy one answers within milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);
/// What a server says to a password when it has none.
const NO_PASSWORD: &str = "without any password configured";

/// The reason why a server could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("failed to connect to the redis server at {ip}: {source}")]
    Connect {
        /// Address of the server.
        ip: String,
        /// What happened.
        source: std::io::Error,
    },
    /// No complete answer within 2 s.
    #[error("the redis server at {ip} did not answer within 2 s")]
    Deadline {
        /// Address of the server.
        ip: String,
    },
    /// No answer, or a refusal.
    #[error("the redis server at {ip} did not do `{command}`: {source}")]
    Ask {
        /// Address of the server.
        ip: String,
        /// The command's name, without arguments, which may be secret.
        command: String,
        /// What happened.
        source: AskError,
    },
    /// The answer makes no sense.
    #[error("failed to read what the redis server at {ip} says of its cluster: {source}")]
    View {
        /// Address of the server.
        ip: String,
        /// What is wrong with it.
        source: ViewError,
    },
}

/// Asks the server at `ip` for its view of the cluster and of itself.
pub async fn view(ip: &str, password: Option<&str>) -> Result<View, ClientError> {
    within_deadline(ip, async {
        let (mut server, open) = Server::connect(ip, password).await?;
        let nodes = server.ask(&["CLUSTER", "NODES"]).await?;
        let info = server.ask(&["INFO", "replication", "memory", "persistence"]).await?;
        let view = View::parse(&nodes, &info).map_err(|source| ClientError::View { ip: ip.to_owned(), source })?;
        Ok(View { open, ..view })
    })
    .await
}

/// Gives one order to its server.
pub async fn carry_out(order: &Order, password: Option<&str>) -> Result<(), ClientError> {
    within_deadline(&order.ip, async {
        let (mut server, _) = Server::connect(&order.ip, password).await?;
        match (&order.command, password) {
            (Command::Protect, Some(password)) => server.protect(password).await,
            (command, _) => {
                let words = command.words();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                server.ask(&words).await.map(drop)
            }
        }
    })
    .await
}

async fn within_deadline<T>(ip: &str, talk: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(DEADLINE, talk).await.unwrap_or_else(|_| Err(ClientError::Deadline { ip: ip.to_owned() }))
}

/// A server that is spoken to.
struct Server {
    ip: String,
    connection: Connection<TcpStream>,
}

impl Server {
    /// Connects, and says whether the server lets everybody in though there is a password.
    async fn connect(ip: &str, password: Option<&str>) -> Result<(Self, bool), ClientError> {
        let connected = TcpStream::connect((ip, PORT)).await;
        let stream = connected.map_err(|source| ClientError::Connect { ip: ip.to_owned(), source })?;
        let mut server = Self { ip: ip.to_owned(), connection: Connection::new(stream) };
        let Some(password) = password else { return Ok((server, false)) };
        match server.ask(&["AUTH", password]).await {
            Ok(_) => Ok((server, false)),
            Err(ClientError::Ask { source: AskError::Refused(reason), .. }) if reason.contains(NO_PASSWORD) => {
                Ok((server, true))
            }
            Err(error) => Err(error),
        }
    }

    /// First what it says to its primary, then what clients must say: the other way round it could lose its primary.
    async fn protect(&mut self, password: &str) -> Result<(), ClientError> {
        for setting in ["masterauth", "requirepass"] {
            self.ask(&["CONFIG", "SET", setting, password]).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, words: &[&str]) -> Result<String, ClientError> {
        let answer = self.connection.ask(words).await;
        answer.map_err(|source| ClientError::Ask { ip: self.ip.clone(), command: named(words), source })
    }
}

/// The name of a command: two words where the first only names a family, and no argument.
fn named(words: &[&str]) -> String {
    let family = matches!(words.first(), Some(&("ACL" | "CLUSTER" | "CONFIG")));
    words.iter().take(if family { 2 } else { 1 }).copied().collect::<Vec<_>>().join(" ")
}
