//! Speaks to single Redis servers: asks each for its view and carries a step out.
//!
//! A connection per server and pass, one command after another, one attempt, everything under one deadline: what fails is
//! simply seen again at the next reconcile. It decides nothing. Called by `observe` and `apply`.

use super::nodes::{ParseError, View};
use super::plan::Order;
use super::resp::{self, RespError};
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::TcpStream;

/// Port of every managed Redis server; its cluster bus is 10,000 above.
pub const PORT: u16 = 6379;
/// Longest conversation with one server; a healthy one answers within milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);

/// The reason why a server could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke.
    #[error("talk to the redis server at {0}: {1}")]
    Io(String, std::io::Error),
    /// No complete answer within 2 s.
    #[error("wait for the redis server at {0}")]
    Deadline(String),
    /// The server refused the command.
    #[error("order the redis server at {0}: {1}")]
    Refused(String, String),
    /// The answer is not what the command answers with.
    #[error("read the answer of the redis server at {0}: {1}")]
    Protocol(String, String),
    /// The table could not be read.
    #[error("read the node table of the redis server at {0}: {1}")]
    Table(String, ParseError),
}

/// Asks the server at `ip` for its view of the cluster and of itself.
pub async fn view(ip: &str) -> Result<View, ClientError> {
    within_deadline(ip, async {
        let mut server = Server::connect(ip).await?;
        let nodes = server.ask(&["CLUSTER", "NODES"]).await?;
        let replication = server.ask(&["INFO", "replication"]).await?;
        View::parse(&nodes, &replication).map_err(|error| ClientError::Table(ip.to_owned(), error))
    })
    .await
}

/// Gives one order to its server.
pub async fn carry_out(order: &Order) -> Result<(), ClientError> {
    within_deadline(&order.ip, async {
        let words = order.command.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Server::connect(&order.ip).await?.ask(&words).await.map(drop)
    })
    .await
}

async fn within_deadline<T>(ip: &str, talk: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(DEADLINE, talk).await.unwrap_or_else(|_| Err(ClientError::Deadline(ip.to_owned())))
}

struct Server {
    ip: String,
    stream: BufReader<TcpStream>,
}

impl Server {
    async fn connect(ip: &str) -> Result<Self, ClientError> {
        let stream = TcpStream::connect((ip, PORT)).await.map_err(|error| ClientError::Io(ip.to_owned(), error))?;
        Ok(Self { ip: ip.to_owned(), stream: BufReader::new(stream) })
    }

    /// Sends one command and reads its answer.
    async fn ask(&mut self, words: &[&str]) -> Result<String, ClientError> {
        resp::ask(&mut self.stream, words).await.map_err(|error| match error {
            RespError::Io(error) => ClientError::Io(self.ip.clone(), error),
            RespError::Refused(reason) => ClientError::Refused(self.ip.clone(), reason),
            RespError::Protocol(what) => ClientError::Protocol(self.ip.clone(), what),
        })
    }
}
