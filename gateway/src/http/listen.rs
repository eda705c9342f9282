//! Accept loops: one a listener, HTTP/1 with a header timeout and a bounded number of peers.
//!
//! Decides how many peers may be talking HTTP at once and what happens when descriptors run out. What is served is
//! the caller's [`Site`], which may take a peer over before HTTP begins.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::coop::consume_budget};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::http::{peer::Peer, refusals::Refusals};

/// Peers that may be in HTTP at once, over all listeners; each costs some 20 KB until its upgrade or its end.
const HTTP_PEERS: usize = 4096;
/// A peer that has not sent its request's head by then is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
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

    fn call(&self, request: http::Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
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
    async fn accept(&self) -> io::Result<mio::net::TcpStream> {
        consume_budget().await;
        match self.socket.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (stream, _) = self.watched.accept().await?;
                Ok(mio::net::TcpStream::from_std(stream.into_std()?))
            }
            accepted => accepted.map(|(stream, _)| stream),
        }
    }
}

/// What all listeners share.
#[derive(Clone)]
pub struct Acceptor {
    peers: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    pauses: Arc<AtomicU64>,
    refusals: Refusals,
}

impl Acceptor {
    /// Stops accepting, and drops what is still in HTTP, when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        let (peers, pauses) = (Arc::new(Semaphore::new(HTTP_PEERS)), Arc::default());
        Self { peers, tasks: TaskTracker::new(), stop, pauses, refusals: Refusals::default() }
    }

    /// What was refused over HTTP, by all listeners.
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
            Err(error) => tracing::error!(%error, "a listener cannot be watched"),
        }
    }

    async fn accept<S: Site>(&self, listener: Listener, site: Arc<S>) {
        let mut buffer = vec![0; GREETING];
        // A permit is taken before accepting, so that peers beyond the bound wait in the kernel's backlog.
        while let Ok(permit) = Arc::clone(&self.peers).acquire_owned().await {
            match listener.accept().await {
                Ok(stream) => {
                    let Some(peer) = site.take(Peer::greet(stream, &mut buffer)) else { continue };
                    let (stop, site, refusals) = (self.stop.clone(), Arc::clone(&site), self.refusals.clone());
                    self.tasks.spawn(async move {
                        stop.run_until_cancelled(serve_peer(peer, site, &refusals)).await;
                        drop(permit);
                    });
                }
                Err(error) if is_the_peers_fault(&error) => {}
                Err(error) => {
                    self.pauses.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "accepting paused");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve_peer<S: Site>(peer: Peer, site: Arc<S>, refusals: &Refusals) {
    let peer = match peer.watched() {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!(%error, "a peer cannot be watched"),
    };
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.call(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(peer), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        if let Some(reason) = refused(&error) {
            refusals.count(None, reason);
        }
        tracing::debug!(%error, "a peer's HTTP ended");
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
