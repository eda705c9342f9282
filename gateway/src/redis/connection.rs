//! One connection to one Redis server: commands go out once, and what comes back is told apart.
//!
//! Never redirects, replays or reconnects: when the connection ends, so does the node, and its owner opens another.
//! That makes a WAIT count for the script that was sent before it.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{
        ClusterHash, ConnectHandle, CustomCommand, Value,
        config::{Config, ConnectionConfig, PerformanceConfig, Server as FredServer, ServerConfig},
    },
};
use parlor_redis::Address;
use tokio::time::timeout;

use super::access::{Access, Presented};
pub(crate) use super::fault::{Fault, failed_to};
use crate::rooms::Cause;

/// Longest time to open a connection.
const OPENING: Duration = Duration::from_secs(2);

/// Pub/sub messages that may wait for a subscriber; a slower one loses the oldest. They take some 2 MB a connection.
const UNHEARD: usize = 4096;

/// A command with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    name: &'static str,
    args: Vec<Value>,
}

impl Command {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, args: Vec::new() }
    }

    pub(crate) fn arg(mut self, arg: impl Into<Value>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<A: Into<Value>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// A live connection. Dropping it closes it.
pub(crate) struct Node {
    pub(crate) server: Address,
    client: Client,
    task: ConnectHandle,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.server)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn config(server: &Address, access: &Access) -> Result<Config, Fault> {
    let Presented { username, password, tls } = access.present()?;
    let mut dialled = FredServer::new(server.host.to_string(), server.port);
    dialled.tls_server_name = access.tls.as_ref().and_then(|tls| tls.name.as_deref()).map(Into::into);
    Ok(Config {
        server: ServerConfig::Centralized { server: dialled },
        username,
        password,
        tls,
        fail_fast: true,
        ..Config::default()
    })
}

impl Node {
    /// Opens a connection, within two seconds.
    pub(crate) async fn open(server: &Address, access: &Access) -> Result<Self, Fault> {
        Self::connect(server, access, PerformanceConfig::default()).await
    }

    /// Opens a connection for pub/sub, within two seconds.
    pub(crate) async fn open_to_hear(server: &Address, access: &Access) -> Result<Self, Fault> {
        let performance = PerformanceConfig { broadcast_channel_capacity: UNHEARD, ..PerformanceConfig::default() };
        Self::connect(server, access, performance).await
    }

    async fn connect(server: &Address, access: &Access, performance: PerformanceConfig) -> Result<Self, Fault> {
        let connection = ConnectionConfig {
            connection_timeout: OPENING,
            internal_command_timeout: OPENING,
            max_command_attempts: 1,
            max_redirections: 1,
            tcp: fred::types::config::TcpConfig { nodelay: Some(true), ..Default::default() },
            ..ConnectionConfig::default()
        };
        let client = Client::new(config(server, access)?, Some(performance), Some(connection), None);
        let task = client.connect();
        let node = Self { server: server.clone(), client, task };
        match timeout(OPENING, node.client.wait_for_connect()).await {
            Ok(Ok(())) => Ok(node),
            Ok(Err(error)) => Err(match Fault::of(&error) {
                Fault::Denied(reason) => Fault::Denied(format!("{reason} ({server})")),
                _ => Fault::Gone(Cause::because(format!("failed to connect to {server}"), error)),
            }),
            Err(_) => Err(Fault::Gone(format!("{server} does not answer").into())),
        }
    }

    /// False when the connection ended.
    pub(crate) fn alive(&self) -> bool {
        !self.task.is_finished()
    }

    /// The client, for pub/sub.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The run id of the process at the other end, within `limit`.
    pub(crate) async fn run_id(&self, limit: Duration) -> Result<String, Fault> {
        let info = self.call(Command::new("INFO").arg("server"), limit).await?;
        let info = info.as_str().ok_or_else(|| Fault::Refused("INFO is no text".into()))?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        run.map(|run| run.trim().to_owned()).ok_or_else(|| Fault::Refused("INFO names no run_id".into()))
    }

    /// One command, within `limit`.
    pub(crate) async fn call(&self, command: Command, limit: Duration) -> Result<Value, Fault> {
        let mut answers = self.all(vec![command], limit).await?;
        answers.pop().unwrap_or_else(|| Err(Fault::Gone("no answer".into())))
    }

    /// Commands one behind the other on this connection, within `limit`; one answer each.
    pub(crate) async fn all(
        &self,
        commands: Vec<Command>,
        limit: Duration,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let (number, pipeline) = (commands.len(), self.client.pipeline());
        for Command { name, args } in commands {
            let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
            let queued: Result<Value, _> = pipeline.custom(command, args).await;
            queued.map_err(|error| Fault::of(&error))?;
        }
        let answers = timeout(limit, pipeline.try_all::<Value>());
        let answers = answers.await.map_err(|_| Fault::Gone(format!("{} does not answer", self.server).into()))?;
        if answers.len() != number {
            let error = answers.into_iter().find_map(Result::err);
            return Err(error.map_or_else(|| Fault::Gone("answers are missing".into()), |error| Fault::of(&error)));
        }
        Ok(answers.into_iter().map(|answer| answer.map_err(|error| Fault::of(&error))).collect())
    }
}

/// The fields of an answer that is a list.
pub(crate) fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Map(map) => map.inner().into_iter().flat_map(|(key, value)| [Value::from(key), value]).collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// A number, whether Redis sent it as one or as text; None for nil and anything else.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(n) => u64::try_from(*n).ok(),
        other => other.as_str()?.parse().ok(),
    }
}

/// First number that some clients cannot read exactly.
pub(crate) const LARGE: u64 = 1 << 53;

/// A number that clients are shown as one: an id.
pub(crate) fn exact(value: &Value) -> Option<u64> {
    number(value).filter(|number| *number < LARGE)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[tokio::test]
    async fn an_error_names_the_action_that_failed_and_keeps_the_error_of_the_connection() {
        // Nobody listens on a port that was given back.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let server: Address = free.to_string().parse().unwrap();
        let fault = Node::open(&server, &Access::default()).await.unwrap_err();
        let error = failed_to("read a page of history")(fault);
        let told = error.to_string();
        assert!(told.contains("failed to read a page of history") && told.contains(&server.to_string()), "{told}");
        let mut chain = std::iter::successors(error.source(), |error| (*error).source());
        assert!(chain.any(|error| error.is::<fred::error::Error>()), "{error:?}");
    }
}
