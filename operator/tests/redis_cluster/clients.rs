//! Clients that write all the while, and know what was acknowledged to them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parlor_operator::redis::{
    client::PORT,
    connection::{AskError, Connection},
    tls::Tls,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

use crate::pods::Pods;

/// Keys that are counted up in turn, each in a slot of its own.
const KEYS: usize = 64;
/// How long a server may be silent.
const ANSWER: Duration = Duration::from_secs(2);

/// A client that counts keys up until it is told to stop.
pub(crate) struct Counting {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Client>,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    acknowledged: u64,
    /// Not answered, and so perhaps done.
    unsure: u64,
}

/// A stream of bytes, secured or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Writes, and follows the cluster as it changes.
#[derive(Default)]
pub(crate) struct Client {
    servers: Vec<String>,
    password: Option<String>,
    tls: Option<Tls>,
    connections: BTreeMap<String, Connection<Box<dyn Stream>>>,
    /// Where each key was last.
    homes: BTreeMap<String, String>,
    counts: BTreeMap<String, Count>,
}

impl Counting {
    pub(crate) fn start(pods: &Pods) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = Client {
            servers: pods.pods.iter().map(|pod| pod.ip.clone()).collect(),
            password: pods.passwords.as_ref().map(|passwords| passwords.current.clone()),
            tls: pods.tls.clone(),
            ..Client::default()
        };
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            for turn in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                client.count(&format!("{{k{}}}:{}", turn % KEYS, turn % 5)).await;
            }
            client
        });
        Self { stop, task }
    }

    /// Ends for now. Answers how many counts there were, and the client with what it knows.
    pub(crate) async fn pause(self) -> (u64, Client) {
        self.stop.store(true, Ordering::SeqCst);
        let client = self.task.await.unwrap();
        (client.counted(), client)
    }

    /// Ends, and compares every key with what was acknowledged. Answers how many counts there were.
    pub(crate) async fn verify(self) -> u64 {
        let (counted, mut client) = self.pause().await;
        client.verify().await;
        counted
    }
}

impl Client {
    fn counted(&self) -> u64 {
        self.counts.values().map(|count| count.acknowledged).sum()
    }

    /// Compares every key with what was acknowledged, at servers that are elsewhere now or have another password.
    pub(crate) async fn verify_at(mut self, pods: &Pods) {
        self.servers = pods.pods.iter().map(|pod| pod.ip.clone()).collect();
        self.password = pods.passwords.as_ref().map(|passwords| passwords.current.clone());
        (self.connections, self.homes) = Default::default();
        self.verify().await;
    }

    async fn verify(&mut self) {
        for (key, Count { acknowledged, unsure }) in self.counts.clone() {
            let found = self.until_done(&["INCRBY", &key, "0"]).await;
            assert!(found >= acknowledged, "{key} has {found}, {acknowledged} were acknowledged");
            assert!(found <= acknowledged + unsure, "{key} has {found}, {acknowledged} + {unsure} were asked for");
        }
    }

    async fn count(&mut self, key: &str) {
        let answer = self.once(&["INCR", key]).await;
        let count = self.counts.entry(key.to_owned()).or_default();
        match answer {
            Ok(_) => count.acknowledged += 1,
            Err(AskError::Refused(_)) => {}
            Err(_) => count.unsure += 1,
        }
    }

    async fn until_done(&mut self, words: &[&str]) -> u64 {
        for _ in 0..1000 {
            if let Ok(number) = self.once(words).await {
                return number;
            }
        }
        panic!("{words:?} is never answered");
    }

    /// Follows redirections. An error that is no refusal leaves open whether it was done.
    async fn once(&mut self, words: &[&str]) -> Result<u64, AskError> {
        let first = self.servers[rand::random_range(0..self.servers.len())].clone();
        let mut server = self.homes.get(words[1]).cloned().unwrap_or(first);
        let mut asking = false;
        for _ in 0..20 {
            let answer = self.at(&server, words, asking).await;
            match answer {
                Err(AskError::Refused(reason)) if reason.starts_with("MOVED") || reason.starts_with("ASK") => {
                    asking = reason.starts_with("ASK");
                    let address = reason.rsplit(' ').next().unwrap_or_default();
                    server = address.rsplit_once(':').map_or(server, |(host, _)| host.to_owned());
                    if !asking {
                        self.homes.insert(words[1].to_owned(), server.clone());
                    }
                }
                Ok(number) => return Ok(number),
                Err(error) => {
                    self.homes.remove(words[1]);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Err(error);
                }
            }
        }
        Err(AskError::Refused("referred to and fro".into()))
    }

    async fn at(&mut self, server: &str, words: &[&str], asking: bool) -> Result<u64, AskError> {
        let answered = tokio::time::timeout(ANSWER, self.say(server, words, asking)).await;
        let answer = answered.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        if !matches!(answer, Ok(_) | Err(AskError::Refused(_))) {
            self.connections.remove(server);
        }
        answer
    }

    async fn say(&mut self, server: &str, words: &[&str], asking: bool) -> Result<u64, AskError> {
        if !self.connections.contains_key(server) {
            let refused = |error: std::io::Error| AskError::Refused(error.to_string());
            let stream = TcpStream::connect((server, PORT)).await.map_err(refused)?;
            let stream: Box<dyn Stream> = match &self.tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.secure(stream).await.map_err(refused)?.0),
            };
            let mut connection = Connection::new(stream);
            if let Some(password) = &self.password {
                connection.ask(&["AUTH", password]).await?;
            }
            self.connections.insert(server.to_owned(), connection);
        }
        let connection = self.connections.get_mut(server).unwrap();
        if asking {
            connection.ask(&["ASKING"]).await?;
        }
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        connection.numbers(&[words]).await.map(|numbers| numbers[0])
    }
}
