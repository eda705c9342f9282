//! The admin ports of gateways that are only played: they answer `/status` and obey `/drain`.
//!
//! People who are asked to move come to all gateways alike. What else gateways answer is set by the test. Called by the played
//! kubelet, whose own port answers how much CPU they use.

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Instant};

use parking_lot::Mutex;
use parlor_crds::contract::{BusStatus, DrainRequest, DrainStatus, GatewayStatus};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What runs, and what tests change.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) gateways: BTreeMap<String, Gateway>,
    /// Images whose containers never start.
    pub(crate) broken: Vec<String>,
    /// When the CPU time of the gateways was last added up.
    measured: Option<Instant>,
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
    /// Cores in use.
    pub cores: f64,
    /// Seconds of CPU time so far.
    used: f64,
}

/// Answers for the gateway of this pod.
pub(crate) async fn serve(listener: TcpListener, pod: String, world: Arc<Mutex<World>>) {
    serve_http(listener, move |head, body| respond(head, body, &pod, &world)).await;
}

/// Answers as the port of a kubelet, to whom a metrics server comes.
pub(crate) async fn serve_resources(listener: TcpListener, namespace: String, world: Arc<Mutex<World>>) {
    serve_http(listener, move |head, _| match head.starts_with("GET /metrics/resource ") {
        true => (200, world.lock().resources(&namespace)),
        false => (404, String::new()),
    })
    .await;
}

async fn serve_http(listener: TcpListener, respond: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) {
    let respond = Arc::new(respond);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, respond.clone()));
    }
}

/// Answers requests, one after another; not at all if the code is 0.
async fn answer(mut stream: TcpStream, respond: Arc<impl Fn(&str, &str) -> (u16, String)>) {
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
        let (code, reply) = respond(head, body);
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
    /// What a kubelet says of the containers, in Prometheus' format. One that has used no CPU at all does not count as measured.
    fn resources(&mut self, namespace: &str) -> String {
        let now = Instant::now();
        let passed = self.measured.replace(now).map_or(1.0, |then| now.duration_since(then).as_secs_f64());
        let mut text = String::from("node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 1\n");
        for (pod, gateway) in &mut self.gateways {
            gateway.used += (gateway.cores * passed).max(0.001);
            let labels = format!("{{container=\"gateway\",namespace=\"{namespace}\",pod=\"{pod}\"}}");
            let _ = writeln!(text, "container_cpu_usage_seconds_total{labels} {:.6}", gateway.used);
            let _ = writeln!(text, "container_memory_working_set_bytes{labels} 50000000");
        }
        text
    }

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
