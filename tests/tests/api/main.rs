//! The server API over real sockets: what other servers publish, members of every gateway read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bulk;
mod documented;
mod doors;
mod moderation;
mod publishing;

use std::net::SocketAddr;

use parlor_tests::{
    client::http::{Answer, Request},
    gateway::{Gateway, Setup},
};
use serde_json::Value;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const MEMORY: &str = "redis: {memory: {}}\nreplicas: 1\n";

/// A ChatRoom of that spec with the API and one token named `shop`.
fn setup(spec: &str) -> Setup {
    Setup::spec(spec).secret("api/shop", TOKEN).argument("--api").argument("127.0.0.1:0")
}

async fn memory() -> Api {
    Api::start(&setup(MEMORY)).await
}

/// A gateway, and its API.
struct Api {
    gateway: Gateway,
    address: SocketAddr,
}

impl Api {
    async fn start(setup: &Setup) -> Self {
        let gateway = Gateway::start(setup).await.unwrap();
        let address = gateway.address("api").unwrap();
        Self { gateway, address }
    }

    async fn send(&self, request: Request) -> Answer {
        request.send(&self.address.to_string(), self.address).await.unwrap()
    }

    /// Status and JSON of a request with the token.
    async fn ask(&self, request: Request) -> (u16, Value) {
        let answer = self.send(request.bearer(TOKEN)).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}")))
    }

    async fn publish(&self, room: &str, body: &str) -> (u16, Value) {
        self.ask(post(&format!("/v1/rooms/{room}/messages"), body)).await
    }
}

fn post(target: &str, body: &str) -> Request {
    let request = Request { method: "POST".into(), target: target.into(), body: body.into(), ..Request::default() };
    request.header("Content-Type", "application/json")
}

fn get(target: &str) -> Request {
    Request { method: "GET".into(), target: target.into(), ..Request::default() }
}
