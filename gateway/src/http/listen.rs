//! Accept loops: one per listener, HTTP/1 with a bounded number of peers, each of which has a bounded time.
//!
//! Decides how many peers may be talking HTTP at once, how long one may take for all it does, how much memory their answers may
//! take, and what happens when descriptors run out. What is served is the caller's [`Site`], which may take a peer over before HTTP begins.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    task::coop::consume_budget,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fanout::address::AddressClass,
    http::{
        client::Ends,
        peer::Peer,
        peers::Peers,
        pinned::{Counted, Pinned, Uploaded},
        proxies::{self, Proxies},
        refusals::Refusals,
    },
    rooms::rates::Rate,
};

/// What listeners of one kind grant their peers.
#[derive(Clone, Copy, Debug)]
struct Grant {
    /// How many may be in HTTP at once; each costs some 20 KB until its upgrade or its end.
    peers: usize,
    /// After so long a peer gets the answer that is under way, and no more: what it has not asked by then needs another
    /// connection.
    life: Duration,
    /// Requests of one connection; the last one's answer says that it closes.
    requests: u32,
    /// Bytes of answers that peers have not taken and of bodies that they have begun to send, all together.
    pinned: usize,
}

const PUBLIC: Grant = Grant { peers: 4096, life: Duration::from_secs(30), requests: 200, pinned: 64 << 20 };
/// The admin port has an acceptor of its own, so that probes never depend on what the internet does.
const ADMIN: Grant = Grant { peers: 256, ..PUBLIC };
/// Other servers keep their connections, and send many messages in one request.
const API: Grant = Grant { peers: 1024, life: Duration::from_secs(600), requests: 1_000_000, pinned: 256 << 20 };

/// A peer that has not sent its request's head by then is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A load balancer that has not said by then who its peer is, is dropped.
const INTRODUCED: Duration = Duration::from_secs(5);
/// A peer that has not taken its last answer by then is dropped.
const LAST_ANSWER: Duration = Duration::from_secs(15);
/// Largest head of a request in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes read of a peer when it is accepted: most heads of requests.
const GREETING: usize = 8 * 1024;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers the requests that one listener takes.
pub trait Site: Send + Sync + 'static {
    /// Takes a new peer over, as far as what it has said allows to answer it without HTTP; else gives it back.
    fn take(&self, peer: Peer) -> Option<Peer> {
        Some(peer)
    }

    fn call(&self, talk: &Talk, request: http::Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// One peer's HTTP connection, as the site that answers it sees it.
#[derive(Debug)]
pub struct Talk {
    pub ends: Ends,
    began: Instant,
    /// Requests so far.
    requests: AtomicU32,
    /// The last of its requests.
    last: u32,
    /// When its burst of requests is full again, in microseconds since it began.
    full: Mutex<u64>,
    share: Share,
}

/// A peer's share of the memory that all may pin, and what ends the peer when that is too much.
#[derive(Debug)]
struct Share {
    pinned: Pinned,
    ended: CancellationToken,
}

impl Talk {
    fn new(ends: Ends, last: u32, share: Share) -> Self {
        Self { ends, began: Instant::now(), requests: AtomicU32::new(0), last, full: Mutex::new(0), share }
    }

    /// The body of a request, which counts among what peers pin until the second is dropped.
    pub(super) fn upload(&self, body: Incoming) -> (Counted, Arc<Uploaded>) {
        self.share.pinned.upload(body, &self.share.ended)
    }

    /// Waits until the connection may make one more request. Pipelined requests wait in the kernel meanwhile.
    pub async fn paced(&self, rate: Rate) {
        loop {
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let taken = rate.take(&mut self.full.lock(), now);
            match taken {
                Ok(()) => return,
                Err(wait) => sleep(Duration::from_micros(wait)).await,
            }
        }
    }

    fn is_last(&self) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1 >= self.last
    }
}

/// A listener, and its socket once more.
struct Listener {
    watched: TcpListener,
    socket: mio::net::TcpListener,
}

impl Listener {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let watched = listener.into_std()?;
        let socket = mio::net::TcpListener::from_std(watched.try_clone()?);
        Ok(Self { watched: TcpListener::from_std(watched)?, socket })
    }

    /// The next connection. Of those that come together only the first goes through the runtime, which registers what
    /// it accepts with its epoll: most are a reactor's at once.
    async fn accept(&self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        consume_budget().await;
        match self.socket.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (stream, remote) = self.watched.accept().await?;
                Ok((mio::net::TcpStream::from_std(stream.into_std()?), remote))
            }
            accepted => accepted,
        }
    }
}

/// What listeners of one kind share.
#[derive(Clone)]
pub struct Acceptor {
    grant: Grant,
    peers: Peers,
    pinned: Pinned,
    tasks: TaskTracker,
    stop: CancellationToken,
    pauses: Arc<AtomicU64>,
    refusals: Refusals,
    proxies: Proxies,
}

impl Acceptor {
    /// For the listeners that the internet reaches, some of it through `proxies`. Stops accepting, and drops what is still
    /// in HTTP, when `stop` is cancelled.
    pub fn public(stop: CancellationToken, proxies: Proxies) -> Self {
        Self { proxies, ..Self::new(stop, PUBLIC, Refusals::default()) }
    }

    /// For the admin port.
    pub fn admin(stop: CancellationToken) -> Self {
        Self::new(stop, ADMIN, Refusals::default())
    }

    /// For the server API, whose peers have places of their own. What it refuses counts with the rest.
    pub fn for_api(&self) -> Self {
        Self { pauses: Arc::clone(&self.pauses), ..Self::new(self.stop.clone(), API, self.refusals.clone()) }
    }

    fn new(stop: CancellationToken, grant: Grant, refusals: Refusals) -> Self {
        Self {
            grant,
            peers: Peers::new(grant.peers),
            pinned: Pinned::new(grant.pinned, refusals.clone()),
            tasks: TaskTracker::new(),
            stop,
            pauses: Arc::default(),
            refusals,
            proxies: Proxies::default(),
        }
    }

    /// What was refused over HTTP, by all listeners of this kind.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// How often accepting paused because the process or the machine ran out of something.
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Accepts on `listener` until stopped.
    pub async fn serve<S: Site>(self, listener: TcpListener, site: Arc<S>) {
        let stop = self.stop.clone();
        match Listener::new(listener) {
            Ok(listener) => {
                stop.run_until_cancelled(self.accept(listener, site)).await;
            }
            Err(error) => tracing::error!(%error, "failed to watch a listener"),
        }
    }

    async fn accept<S: Site>(&self, listener: Listener, site: Arc<S>) {
        let mut buffer = vec![0; GREETING];
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let local = stream.local_addr().unwrap_or_else(|_| (Ipv4Addr::UNSPECIFIED, 0).into());
                    let ends = Ends { remote: remote.ip(), local };
                    let peer = Peer::greet(stream, ends, &mut buffer);
                    if self.proxies.expect(ends.remote) {
                        self.introduce(peer, &site)
                    } else {
                        self.welcome(peer, &site)
                    }
                }
                Err(error) if is_the_peers_fault(&error) => {}
                Err(error) => {
                    self.pauses.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "accepting paused");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Answers a peer of which the address is known.
    fn welcome<S: Site>(&self, peer: Peer, site: &Arc<S>) {
        if let Some(peer) = site.take(peer) {
            self.talk(peer, site);
        }
    }

    /// Learns from a load balancer who its peer is. What has not come yet is waited for, in a place among the peers.
    fn introduce<S: Site>(&self, mut peer: Peer, site: &Arc<S>) {
        match peer.introduced() {
            Ok(true) => self.welcome(peer, site),
            Err(proxies::Unfit) => self.refusals.count(None, "proxy_header"),
            Ok(false) => {
                let (place, _) = self.peers.enter(&self.stop);
                let (acceptor, site) = (self.clone(), Arc::clone(site));
                self.tasks.spawn(async move {
                    let introduced = place.ended.run_until_cancelled(timeout(INTRODUCED, introduction(peer))).await;
                    match introduced.map(|in_time| in_time.ok().flatten()) {
                        Some(Some(peer)) => acceptor.welcome(peer, &site),
                        Some(None) => acceptor.refusals.count(None, "proxy_header"),
                        None => {}
                    }
                });
            }
        }
    }

    /// Gives the peer a place, and lets it talk HTTP for as long as it may.
    fn talk<S: Site>(&self, peer: Peer, site: &Arc<S>) {
        let (place, gave_way) = self.peers.enter(&self.stop);
        if gave_way {
            self.refusals.count(None, "gave_way");
        }
        let (site, grant, refusals) = (Arc::clone(site), self.grant, self.refusals.clone());
        let share = Share { pinned: self.pinned.clone(), ended: place.ended.clone() };
        self.tasks.spawn(async move {
            place.ended.run_until_cancelled(serve_peer(peer, site, grant, &refusals, share)).await;
        });
    }
}

/// Reads until it is known who the peer is; None if that does not come.
async fn introduction(peer: Peer) -> Option<Peer> {
    let mut peer = peer.watched().ok()?;
    loop {
        if peer.hear().await.ok()? == 0 {
            return None;
        }
        if peer.introduced().ok()? {
            return peer.unwatched().ok();
        }
    }
}

async fn serve_peer<S: Site>(peer: Peer, site: Arc<S>, grant: Grant, refusals: &Refusals, share: Share) {
    let address = AddressClass::of(peer.ends.remote);
    let talk = Arc::new(Talk::new(peer.ends, grant.requests, share));
    let peer = match peer.watched() {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!(%address, %error, "failed to watch a peer"),
    };
    let service = service_fn(move |request| {
        let (site, talk) = (Arc::clone(&site), Arc::clone(&talk));
        async move {
            let answer = site.call(&talk, request).await;
            let mut answer = talk.share.pinned.hold(answer, &talk.share.ended).await;
            if talk.is_last() {
                answer.headers_mut().entry(header::CONNECTION).or_insert(HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(peer), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = sleep(grant.life) => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_ANSWER, connection).await {
                Ok(served) => served,
                Err(_) => return refusals.count(None, "slow_peer"),
            }
        }
    };
    if let Err(error) = served {
        if let Some(reason) = refused(&error) {
            refusals.count(None, reason);
        }
        tracing::debug!(%address, %error, "an HTTP connection ended with an error");
    }
}

/// Why a peer's HTTP was ended by us; None when the peer ended it.
fn refused(error: &hyper::Error) -> Option<&'static str> {
    match error {
        error if error.is_timeout() => Some("head_timeout"),
        error if error.is_parse_too_large() => Some("head_too_large"),
        error if error.is_parse() => Some("malformed"),
        _ => None,
    }
}

/// The peer went away between the kernel's accept and ours; says nothing about this process.
fn is_the_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
