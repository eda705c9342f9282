//! A connection to one Redis server, with what went wrong in words that name the server and never an argument.
//!
//! Decides nothing and has no deadline; called by `client` and `handing`.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    access::Access,
    connection::{AskError, Connection},
    passwords::{Doors, Passwords, Which},
    view::ViewError,
};

/// Port of every managed Redis server; its cluster bus is 10,000 above.
pub const PORT: u16 = 6379;
/// What a server says to a password when it has none.
const NO_PASSWORD: &str = "without any password configured";
/// What it says to a wrong one.
const WRONG_PASSWORD: &str = "WRONGPASS";

/// The reason why an exchange with a server failed.
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
    /// No complete answer in time.
    #[error("the redis server at {ip} did not answer within {} s", limit.as_secs())]
    Deadline {
        /// Address of the server.
        ip: String,
        /// How long it had.
        limit: Duration,
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
    /// It received keys that no replica of it holds yet.
    #[error("no replica of the redis server at {ip} confirmed the keys that it received within 1 s")]
    NotCopied {
        /// Address of the server.
        ip: String,
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

/// A stream of bytes, secured or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A server that is spoken to.
pub(super) struct Server {
    ip: String,
    connection: Connection<Box<dyn Stream>>,
}

/// What was seen on the way in.
pub(super) struct Entered {
    /// The server lets everybody in though there is a password.
    pub(super) open: bool,
    /// It presents another certificate than the newest one.
    pub(super) certificate_is_old: bool,
}

impl Server {
    /// Connects, and presents what there is to present. A server that is to speak TLS is never given a password without it.
    pub(super) async fn connect(ip: &str, access: &Access) -> Result<(Self, Entered), ClientError> {
        let failed = |source| ClientError::Connect { ip: ip.to_owned(), source };
        let stream = TcpStream::connect((ip, PORT)).await.map_err(failed)?;
        let (stream, certificate_is_old): (Box<dyn Stream>, bool) = match &access.tls {
            None => (Box::new(stream), false),
            Some(tls) => {
                let (stream, is_old) = tls.secure(stream).await.map_err(failed)?;
                (Box::new(stream), is_old)
            }
        };
        let mut server = Self { ip: ip.to_owned(), connection: Connection::new(stream) };
        let open = server.present(access.passwords.as_ref()).await?;
        Ok((server, Entered { open, certificate_is_old }))
    }

    /// Presents the password, and says whether the server asks nobody for it.
    async fn present(&mut self, passwords: Option<&Passwords>) -> Result<bool, ClientError> {
        let Some(passwords) = passwords else { return Ok(false) };
        let entered = match (self.enter(&passwords.current).await, passwords.get(Which::Second)) {
            (Err(error), Some(second)) if error.says(WRONG_PASSWORD) => self.enter(second).await,
            (entered, _) => entered,
        };
        match entered {
            Ok(()) => Ok(false),
            Err(error) if error.says(NO_PASSWORD) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn enter(&mut self, password: &str) -> Result<(), ClientError> {
        self.ask(&["AUTH", password]).await.map(drop)
    }

    /// Which passwords the server lets in. One that let the only password in does all that it should.
    pub(super) async fn doors(&mut self, passwords: &Passwords) -> Result<Doors, ClientError> {
        if passwords.second.is_none() {
            return Ok(Doors::default());
        }
        let acl = self.list(&["ACL", "LIST"]).await?;
        let setting = self.list(&["CONFIG", "GET", "masterauth"]).await?;
        let presented = setting.get(1).map(|value| String::from_utf8_lossy(value)).unwrap_or_default();
        Ok(passwords.doors(&acl, &presented))
    }

    /// A server reads its files again whenever the settings that name them are written, though they stay the same.
    pub(super) async fn reload_certificate(&mut self) -> Result<(), ClientError> {
        let files = self.list(&["CONFIG", "GET", "tls-cert-file", "tls-key-file"]).await?;
        let files = files.iter().map(|word| String::from_utf8_lossy(word).into_owned());
        let set = ["CONFIG", "SET"].map(str::to_owned).into_iter().chain(files).collect();
        self.order(&[set]).await
    }

    pub(super) async fn ask(&mut self, words: &[&str]) -> Result<String, ClientError> {
        let answer = self.connection.ask(words).await;
        answer.map_err(|source| failed(&self.ip, words.iter().copied(), source))
    }

    /// Commands one behind the other; the first refusal is the result.
    pub(super) async fn order(&mut self, commands: &[Vec<String>]) -> Result<(), ClientError> {
        let answer = self.connection.order(commands).await;
        answer.map_err(|source| failed(&self.ip, first(commands), source))
    }

    pub(super) async fn numbers(&mut self, commands: &[Vec<String>]) -> Result<Vec<u64>, ClientError> {
        let answer = self.connection.numbers(commands).await;
        answer.map_err(|source| failed(&self.ip, first(commands), source))
    }

    pub(super) async fn list(&mut self, words: &[&str]) -> Result<Vec<Vec<u8>>, ClientError> {
        let answer = self.connection.list(words).await;
        answer.map_err(|source| failed(&self.ip, words.iter().copied(), source))
    }

    /// Deletes a key that another server has.
    pub(super) async fn forget_key(&mut self, key: &[u8]) -> Result<(), ClientError> {
        self.ask_bytes(&[b"UNLINK", key]).await
    }

    /// A command of any bytes, of which only the name is shown.
    pub(super) async fn ask_bytes(&mut self, words: &[&[u8]]) -> Result<(), ClientError> {
        let answer = self.connection.ask_bytes(words).await;
        let name = words.first().and_then(|word| str::from_utf8(word).ok());
        answer.map_err(|source| failed(&self.ip, name, source))
    }
}

impl ClientError {
    /// Whether the server refused a command with these words.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Ask { source: AskError::Refused(reason), .. } if reason.contains(words))
    }
}

fn failed<'w>(ip: &str, words: impl IntoIterator<Item = &'w str>, source: AskError) -> ClientError {
    ClientError::Ask { ip: ip.to_owned(), command: named(words), source }
}

fn first(commands: &[Vec<String>]) -> impl Iterator<Item = &str> {
    commands.iter().take(1).flatten().map(String::as_str)
}

/// The name of a command: two words where the first only names a family, and no argument.
fn named<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut words = words.into_iter().peekable();
    let family = matches!(words.peek(), Some(&("ACL" | "CLUSTER" | "CONFIG")));
    words.take(if family { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
}
