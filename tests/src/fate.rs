//! A client of the API server to which happens what happens to processes and networks: it dies at a write, it is cut off, it
//! is slow, and it is refused.
//!
//! Decides what becomes of each request. Heartbeats (Leases) and the log (Events) are no writes. Called by the operator's
//! proofs, which give it to an operator as its only way to the API server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use rand::Rng;
use serde_json::json;
use tokio::sync::Notify;
use tower::BoxError;

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Calm,
    /// The process dies at its `n`th write from now on: before the API server has it, or when it has carried it out.
    DiesAt {
        /// Counted from 1.
        write: u32,
        /// Whether the write is carried out; the process never hears of it in either case.
        carried_out: bool,
    },
    /// No request arrives, and no answer.
    CutOff,
    /// So many of 100 requests are refused with 409, 429 or 500, or their connection breaks.
    Refused(u32),
    /// Every answer comes so much later.
    Slow(Duration),
}

/// The fate of one process; clones share it.
#[derive(Clone)]
pub struct Life(Arc<State>);

struct State {
    fate: Mutex<Fate>,
    written: Mutex<Vec<Instant>>,
    died: Notify,
}

#[derive(Debug, thiserror::Error)]
#[error("the connection broke")]
struct Broken;

impl Life {
    /// With this fate.
    pub fn with(fate: Fate) -> Self {
        Self(Arc::new(State { fate: Mutex::new(fate), written: Mutex::default(), died: Notify::new() }))
    }

    /// From now on it has another one.
    pub fn turn(&self, fate: Fate) {
        *self.0.fate.lock() = fate;
    }

    /// Resolves when it has died.
    pub async fn died(&self) {
        self.0.died.notified().await;
    }

    /// When the API server carried out each of its writes.
    pub fn writes(&self) -> Vec<Instant> {
        self.0.written.lock().clone()
    }

    /// A client of this life.
    pub fn client(&self, client: Client) -> Client {
        let (life, namespace) = (self.clone(), client.default_namespace().to_owned());
        let service = tower::service_fn(move |request| life.clone().carry(client.clone(), request));
        Client::new(service, namespace)
    }

    async fn carry(self, client: Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let is_write = is_write(request.method(), request.uri().path());
        let fate = *self.0.fate.lock();
        match fate {
            Fate::CutOff => std::future::pending().await,
            Fate::Slow(pause) => tokio::time::sleep(pause).await,
            Fate::Refused(percent) if rand::rng().random_range(0..100) < percent => return refusal(),
            Fate::DiesAt { write: 1, carried_out: false } if is_write => self.die().await,
            Fate::DiesAt { write, carried_out } if is_write && write > 1 => {
                self.turn(Fate::DiesAt { write: write - 1, carried_out });
            }
            Fate::Calm | Fate::Refused(_) | Fate::DiesAt { .. } => {}
        }
        let answer = client.send(request).await?;
        if is_write && answer.status().is_success() {
            self.0.written.lock().push(Instant::now());
            if fate == (Fate::DiesAt { write: 1, carried_out: true }) {
                self.die().await;
            }
        }
        Ok(answer)
    }

    /// Nothing of it happens any longer.
    async fn die(&self) -> ! {
        self.turn(Fate::CutOff);
        self.0.died.notify_one();
        std::future::pending::<()>().await;
        unreachable!("it is dead")
    }
}

fn is_write(method: &Method, path: &str) -> bool {
    method != Method::GET && !path.contains("/leases") && !path.contains("/events")
}

fn refusal() -> Result<Response<Body>, BoxError> {
    let (code, reason) = match rand::rng().random_range(0..4) {
        0 => (StatusCode::CONFLICT, "Conflict"),
        1 => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        2 => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        _ => return Err(Broken.into()),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code.as_u16(),
        "message": "refused by the test",
    });
    let response = Response::builder().status(code).header("content-type", "application/json");
    Ok(response.body(Body::from(status.to_string().into_bytes()))?)
}
