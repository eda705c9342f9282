//! The admin ports of gateways that are only played: they answer `/status` and obey `/drain`.
//!
//! People who are asked to move come to all gateways alike. What else gateways answer is set by the test. Called by the played
//! kubelet.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use parlor_crds::contract::{BusStatus, DrainRequest, DrainStatus, GatewayStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What runs, and what tests change.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) gateways: BTreeMap<String, Gateway>,
    /// Images whose containers never start.
    pub(crate) broken: Vec<String>,
}

/// A gateway as its admin port shows it.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// Open connections.
    pub connections: u32,
    /// Told to empty itself.
    pub draining: bool,
    /// Continues to answer `/status`.
    pub silent: bool,
    /// Fingerprint of the password of Redis as it was mounted last.
    pub password: Option<String>,
}

/// Answers for the gateway of this pod.
pub(crate) async fn serve(listener: TcpListener, pod: String, world: Arc<Mutex<World>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, pod.clone(), world.clone()));
    }
}

/// Answers requests, one after another.
async fn answer(mut stream: TcpStream, pod: String, world: Arc<Mutex<World>>) {
    let mut request = Vec::new();
    let mut bytes = [0; 2048];
    loop {
        let Ok(read @ 1..) = stream.read(&mut bytes).await else { return };
        request.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n").filter(|(head, body)| body.len() >= body_length(head))
        else {
            continue;
        };
        request.clear();
        let (code, reply) = respond(head, body, &pod, &world);
        if code == 0 {
            std::future::pending::<()>().await;
        }
        let reply = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{reply}",
            reply.len()
        );
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn body_length(head: &str) -> usize {
    let lower = head.to_lowercase();
    let value = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn respond(head: &str, body: &str, pod: &str, world: &Mutex<World>) -> (u16, String) {
    let mut world = world.lock();
    let Some(gateway) = world.gateways.get_mut(pod) else { return (500, String::new()) };
    if head.starts_with("GET /status") {
        return if gateway.silent { (0, String::new()) } else { (200, status(pod, gateway)) };
    }
    if !head.to_lowercase().contains("authorization: bearer ") {
        return (401, String::new());
    }
    let wanted: Option<DrainRequest> = serde_json::from_str(body).ok();
    match (head.starts_with("POST /drain"), wanted.and_then(|wanted| wanted.connections)) {
        (true, Some(connections)) => world.give_away(pod, connections),
        (is_drain, _) => gateway.draining = is_drain,
    }
    (200, "{}".into())
}

impl World {
    fn give_away(&mut self, pod: &str, connections: u32) {
        let Some(gateway) = self.gateways.get_mut(pod) else { return };
        let moved = connections.min(gateway.connections);
        gateway.connections -= moved;
        let all = u32::try_from(self.gateways.len()).unwrap_or(u32::MAX);
        for (at, gateway) in (0_u32..).zip(self.gateways.values_mut()) {
            gateway.connections += moved / all + u32::from(at < moved % all);
        }
    }
}

fn status(pod: &str, gateway: &Gateway) -> String {
    let drain = gateway.draining.then_some(DrainStatus { started_at: 0, initial: 0, remaining: gateway.connections });
    let status = GatewayStatus {
        gateway: pod.to_owned(),
        version: "0".into(),
        ready: !gateway.draining,
        connections: gateway.connections,
        connections_limit: 15_000,
        refused: 0,
        rooms: 1,
        drain,
        bus: BusStatus::Replicated,
        refusal: None,
        shards: Vec::new(),
        redis_password: gateway.password.clone(),
    };
    serde_json::to_string(&status).unwrap_or_default()
}
