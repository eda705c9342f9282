//! One HTTP request and its answer, byte by byte, so that requests may be as wrong as a test wants them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// A request; `Host`, `Content-Length` and `Connection` are added.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// Makes it ask for a WebSocket.
    pub fn upgrade(mut self) -> Self {
        let asks = [
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        self.headers.extend(asks.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Carries a token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Carries a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it to `host` over a connection of its own to `to`, which is that host or a proxy in front of it.
    pub async fn send(&self, host: &str, to: SocketAddr) -> Result<Answer> {
        timeout(PATIENCE, self.exchange(host, to)).await.context("be answered in time")?
    }

    async fn exchange(&self, host: &str, to: SocketAddr) -> Result<Answer> {
        let mut stream = TcpStream::connect(to).await.context("connect")?;
        let upgrades = self.headers.iter().any(|(name, _)| name == "Upgrade");
        let connection = if upgrades { "Upgrade" } else { "close" };
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.context("send the head")?;
        // A server may answer and close before it has read a body that it does not want.
        let sent = stream.write_all(&self.body).await;
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await.unwrap_or(0) > 0 && !whole(&answer) {}
        parse(&answer).with_context(|| format!("no HTTP answer, and sending the body ended in {sent:?}"))
    }
}

/// Whether an answer is complete before its connection ends: an upgrade, or a body of the announced length.
fn whole(answer: &[u8]) -> bool {
    parse(answer).is_some_and(|answer| {
        let length = answer.headers.iter().find(|(name, _)| name == "content-length");
        answer.status == 101 || length.is_some_and(|(_, length)| *length == answer.body.len().to_string())
    })
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    Some(Answer { status, headers, body: if chunked { unchunked(body) } else { body.to_owned() } })
}

/// The body in chunks, as far as it has come.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let chunk =
            usize::from_str_radix(size, 16).ok().filter(|size| *size > 0).and_then(|size| rest.split_at_checked(size));
        let Some((chunk, rest)) = chunk else { break };
        whole.push_str(chunk);
        body = rest.trim_start_matches("\r\n");
    }
    whole
}
