//! The network between one gateway and its Redis, a client and its gateway, or replicas and their primary: passes
//! everything on until it is told to freeze or to cut.
//!
//! A link listens on an address of loopback of its own, on the ports of the servers, and writes that address into what
//! servers say of each other, so that the gateway dials all of them through it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// How servers name each other; a link's own address is as long, so that lengths in answers stay true.
const REAL: &[u8] = b"127.0.0.1:";

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Nothing passes and nobody notices; connections live on.
    Frozen,
    /// What servers answer is held back; what they are asked still arrives.
    Mute,
    /// What servers are asked is held back; what they have to say still arrives.
    Deaf,
    /// Connections are reset, new ones end at once.
    Cut,
}

/// A gateway's way to all servers of a cluster, or any client's to any server. Ends when dropped.
#[derive(Debug)]
pub struct Link {
    host: Ipv4Addr,
    ways: Vec<Way>,
    _servers: JoinSet<()>,
}

/// The way to one server.
#[derive(Debug)]
struct Way {
    /// The port under which it is known.
    announced: u16,
    /// The port that it listens on.
    port: u16,
    /// What the network does.
    state: watch::Sender<State>,
}

impl Link {
    /// The `number`-th link (0..=7) to the servers with these ports.
    pub async fn open(number: u8, ports: Vec<u16>) -> Result<Self> {
        Self::announced(number, ports.into_iter().map(|port| (port, port)).collect()).await
    }

    /// The `number`-th link (0..=7) to servers, each with the port that it announces and the one it listens on.
    pub async fn announced(number: u8, ports: Vec<(u16, u16)>) -> Result<Self> {
        Self::on(Ipv4Addr::new(127, 0, 0, 2 + number % 8), ports).await
    }

    /// What servers that announce the first of these ports and listen on the second are reached through by each other.
    pub async fn between(ports: Vec<(u16, u16)>) -> Result<Self> {
        Self::on(Ipv4Addr::LOCALHOST, ports).await
    }

    async fn on(host: Ipv4Addr, ports: Vec<(u16, u16)>) -> Result<Self> {
        let (mut ways, mut servers) = (Vec::new(), JoinSet::new());
        for (announced, port) in ports {
            let bound = TcpListener::bind((host, announced)).await;
            let listener = bound.with_context(|| format!("listen on {host}:{announced}"))?;
            let (state, watched) = watch::channel(State::Open);
            servers.spawn(accept(listener, SocketAddr::from(([127, 0, 0, 1], port)), host, watched));
            ways.push(Way { announced, port, state });
        }
        Ok(Self { host, ways, _servers: servers })
    }

    /// `host:port` of every server, through this link.
    pub fn seeds(&self) -> Vec<String> {
        self.ways.iter().map(|way| format!("{}:{}", self.host, way.announced)).collect()
    }

    /// Changes what the network does, at once.
    pub fn set(&self, state: State) {
        for way in &self.ways {
            way.state.send_replace(state);
        }
    }

    /// Changes what the network does on the way to the server that listens on this port, at once.
    pub fn set_for(&self, port: u16, state: State) {
        for way in self.ways.iter().filter(|way| way.port == port) {
            way.state.send_replace(state);
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, host: Ipv4Addr, state: watch::Receiver<State>) {
    // Servers reach each other under the names that they have. What passes there has no lines, and a snapshot may end with
    // what begins a name: held back, it would keep its reader waiting.
    let own: Option<Arc<[u8]>> = (host != Ipv4Addr::LOCALHOST).then(|| format!("{host}:").into_bytes().into());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(pass(client, server, own.clone(), state.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Waits while the network holds back what goes one way; false when it is cut, or gone.
async fn passes(state: &mut watch::Receiver<State>, answers: bool) -> bool {
    let held =
        |state: &State| matches!((state, answers), (State::Frozen, _) | (State::Mute, true) | (State::Deaf, false));
    matches!(state.wait_for(|state| !held(state)).await.as_deref(), Ok(State::Open | State::Mute | State::Deaf))
}

async fn cut(mut state: watch::Receiver<State>) {
    // An error says that the link itself is gone, which ends connections as well.
    state.wait_for(|state| *state == State::Cut).await.ok();
}

async fn pass(client: TcpStream, server: SocketAddr, own: Option<Arc<[u8]>>, mut state: watch::Receiver<State>) {
    if !passes(&mut state, false).await {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Delays of small segments would be measured as the gateway's.
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok();
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server, Says::Questions, state.clone()) => {}
        () = copy(from_server, to_client, Says::Answers(own.as_deref()), state.clone()) => {}
        () = cut(state.clone()) => {}
    }
}

/// What passes one way.
#[derive(Clone, Copy)]
enum Says<'a> {
    Questions,
    /// With the name to write for [`REAL`], if any.
    Answers(Option<&'a [u8]>),
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, says: Says<'_>, mut state: watch::Receiver<State>) {
    let (answers, own) = match says {
        Says::Questions => (false, None),
        Says::Answers(own) => (true, own),
    };
    let mut buffer = Vec::with_capacity(64 << 10);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        let ready = own.map_or(buffer.len(), |own| rename(&mut buffer, own));
        if !passes(&mut state, answers).await || to.write_all(&buffer[..ready]).await.is_err() {
            return;
        }
        buffer.drain(..ready);
    }
}

/// Writes `own` for every [`REAL`]; answers how many bytes may be passed on: all but the beginning of another one.
fn rename(bytes: &mut [u8], own: &[u8]) -> usize {
    let found: Vec<_> = memchr::memmem::find_iter(bytes, REAL).collect();
    for at in found {
        bytes[at..at + REAL.len()].copy_from_slice(own);
    }
    let held = (1..REAL.len()).rev().find(|length| bytes.ends_with(&REAL[..*length])).unwrap_or(0);
    bytes.len() - held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_renamed_wherever_the_stream_is_split() {
        let (text, own) = (b"$9\r\na 127.0.0.1:7@8 b 127.0.0.1:9\r\n+127\r\n", b"127.0.0.3:");
        for split in 0..text.len() {
            let (mut passed, mut buffer) = (Vec::new(), Vec::new());
            for part in [&text[..split], &text[split..]] {
                buffer.extend_from_slice(part);
                let ready = rename(&mut buffer, own);
                passed.extend(buffer.drain(..ready));
            }
            assert_eq!(passed, b"$9\r\na 127.0.0.3:7@8 b 127.0.0.3:9\r\n+127\r\n", "split at {split}");
        }
    }

    #[tokio::test]
    async fn what_servers_send_each_other_arrives_whole_whatever_it_ends_with() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let announced = crate::redis::free_port().unwrap();
        let link = Link::between(vec![(announced, server.local_addr().unwrap().port())]).await.unwrap();
        let mut client = TcpStream::connect(&link.seeds()[0]).await.unwrap();
        let (mut there, _) = server.accept().await.unwrap();
        let snapshot = b"a snapshot that ends with 127.0.0.1";
        there.write_all(snapshot).await.unwrap();
        let mut arrived = vec![0; snapshot.len()];
        let whole = tokio::time::timeout(std::time::Duration::from_secs(5), client.read_exact(&mut arrived)).await;
        whole.expect("the end is held back").unwrap();
        assert_eq!(arrived, snapshot);
    }

    #[tokio::test]
    async fn what_a_frozen_link_holds_back_comes_later_and_a_cut_one_ends_connections() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let link = Link::open(7, vec![port]).await.unwrap();
        let mut client = TcpStream::connect(&link.seeds()[0]).await.unwrap();
        let (mut there, _) = server.accept().await.unwrap();
        link.set(State::Frozen);
        client.write_all(b"ping").await.unwrap();
        let mut text = [0; 4];
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), there.read_exact(&mut text)).await;
        assert!(early.is_err(), "a frozen link lets something through");
        link.set(State::Open);
        there.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"ping");
        link.set(State::Deaf);
        client.write_all(b"ping").await.unwrap();
        there.write_all(b"pong").await.unwrap();
        client.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"pong");
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), there.read_exact(&mut text)).await;
        assert!(early.is_err(), "a deaf server hears something");
        link.set(State::Open);
        there.read_exact(&mut text).await.unwrap();
        link.set(State::Cut);
        assert_eq!(client.read(&mut text).await.unwrap_or(0), 0);
    }
}
