//! What hostile clients send, to each protocol: it ends with the right close code or is ignored, it is counted, and
//! well-behaved neighbours on the same gateway chat on.

mod tables;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_tests::{
    client::{Frame, Socket, http::Request, native::Native},
    gateway::{Gateway, Setup},
    table::play,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use self::tables::{FRAMES, MESSAGES, PATHS, REASONS, REQUESTS, frames, wrong};

/// Room for ten thousand levels, and for a crowd of wrong frames.
const SPEC: &str = "
protocols: {native: {}, onlyone: {}, relay: {}, match: {}, multiperson: {}}
limits: {messageBytes: 65536, messagesPerSecond: 1000000}
";

/// Two people who chat whatever happens around them.
struct Neighbours {
    gateway: Gateway,
    ada: Native,
    bob: Native,
    said: usize,
}

impl Neighbours {
    async fn new() -> Self {
        let gateway = Gateway::start(&Setup::spec(SPEC)).await.unwrap();
        let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
        let mut bob = Native::connect(&gateway.url("/chat")).await.unwrap();
        ada.join("neighbours", "ada").await.unwrap();
        bob.join("neighbours", "bob").await.unwrap();
        Self { gateway, ada, bob, said: 0 }
    }

    async fn chat(&mut self) -> Result<()> {
        self.said += 1;
        let text = format!("message {}", self.said);
        self.ada.post("neighbours", &text, &text).await?;
        for person in [&mut self.ada, &mut self.bob] {
            ensure!(person.messages(1).await?[0].1 == text, "something else than {text} came");
        }
        Ok(())
    }

    async fn count(&self, protocol: &str, reason: &str) -> Result<u64> {
        let counts = self.gateway.refusals().await?;
        Ok(counts.get(&(protocol.to_owned(), reason.to_owned())).copied().unwrap_or(0))
    }

    /// Plays lines that are refused once, for this reason, and chats after it.
    async fn suffer(&mut self, protocol: &str, lines: &str, path: &str, reason: &str) -> Result<()> {
        let before = self.count(protocol, reason).await?;
        play(lines, "", |_| self.gateway.url(path)).await?;
        let counted = self.count(protocol, reason).await? - before;
        ensure!(counted == 1, "counted {counted} times as {protocol} {reason}: {:?}", self.gateway.refusals().await?);
        self.chat().await.context("the neighbours")
    }
}

#[tokio::test]
async fn broken_frames_end_their_own_connection_and_are_counted() {
    let mut neighbours = Neighbours::new().await;
    for (protocol, path) in PATHS {
        for (what, frames, code, reason) in FRAMES {
            let lines = format!("{frames}\nh x {code}");
            let suffered = neighbours.suffer(protocol, &lines, path, reason).await;
            suffered.with_context(|| format!("{what}, {protocol}")).unwrap();
        }
    }
}

#[tokio::test]
async fn messages_that_mean_nothing_are_refused_or_ignored_counted_and_survived() {
    let (mut neighbours, mut failed) = (Neighbours::new().await, Vec::new());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (protocol, lines, reason) in MESSAGES {
        let path = PATHS.iter().find(|(name, _)| *name == protocol).unwrap().1;
        // Nothing more than the answer comes, and the connection stays.
        let played = format!("{}\nh .", lines.replace("DEEP", &deep));
        if let Err(error) = neighbours.suffer(protocol, &played, path, reason).await {
            failed.push(format!("{protocol}: {lines}: {error:#}"));
        }
    }
    let token = Request { method: "POST".into(), target: "/tk?".into(), body: b"uid=1".into(), ..Request::default() };
    let token = Request { headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())], ..token };
    let shared = neighbours.gateway.address("shared").unwrap();
    let token = token.send(&shared.to_string(), shared).await.unwrap().body;
    let token: Value = serde_json::from_str(&token).unwrap();
    for (lines, protocol, reason) in REQUESTS {
        let played = lines.replace("TOKEN", token["data"].as_str().unwrap());
        let played = played.replace("DEEP", &deep).replace("HUGE", &"x".repeat(300_000));
        let played = played.replace("LONG", &"x".repeat(40_000));
        if let Err(error) = neighbours.suffer(protocol, &played, "/", reason).await {
            failed.push(format!("{protocol}: {lines}: {error:#}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let counts = neighbours.gateway.refusals().await.unwrap();
    let open: Vec<_> = counts.keys().filter(|(_, reason)| !REASONS.contains(&reason.as_str())).collect();
    assert!(open.is_empty(), "these reasons are in no list: {open:?}");
}

#[tokio::test]
async fn no_value_of_a_field_ends_anything() {
    let mut neighbours = Neighbours::new().await;
    for (path, frame) in frames() {
        let fields = frame.as_object().unwrap();
        for name in fields.keys() {
            let mut socket = Socket::dial(&neighbours.gateway.url(path)).await.unwrap();
            for wrong in wrong() {
                let field = |(key, value): (&String, &Value)| {
                    let value = if key == name { wrong.to_owned() } else { value.to_string() };
                    format!("{}:{value}", json!(key))
                };
                let members: Vec<_> = fields.iter().map(field).collect();
                // And once more with the right value first: the last of duplicate keys counts.
                for text in [members.join(","), format!("{}:{},{}", json!(name), fields[name], members.join(","))] {
                    socket.text(format!("{{{text}}}")).await.unwrap();
                }
            }
            socket.settled().await.with_context(|| format!("{path}: {name}")).unwrap();
        }
        neighbours.chat().await.with_context(|| path.to_owned()).unwrap();
    }
}

#[tokio::test]
async fn a_megabyte_of_pings_is_answered_and_holds_nobody_up() {
    let mut neighbours = Neighbours::new().await;
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    for (protocol, path) in PATHS {
        let mut socket = Socket::dial(&neighbours.gateway.url(path)).await.unwrap();
        socket.bytes(&ping.repeat(8_000)).await.unwrap();
        neighbours.chat().await.context(protocol).unwrap();
        socket.settled().await.context(protocol).unwrap();
    }
}

#[tokio::test]
async fn a_frame_that_drips_in_is_read_in_the_end() {
    let mut neighbours = Neighbours::new().await;
    let mut slow = Socket::dial(&neighbours.gateway.url("/chat")).await.unwrap();
    for byte in b"\x81\x95\0\0\0\0{\"op\":\"ping\",\"id\":12}" {
        slow.bytes(&[*byte]).await.unwrap();
        neighbours.chat().await.unwrap();
    }
    let Frame::Text(pong) = slow.soon().await.unwrap() else { panic!("no TEXT") };
    assert_eq!(pong, r#"{"op":"pong","id":12}"#);
}

/// Sends a beginning, then a byte a second; answers what came until the end, and after how long it came.
async fn drip(gateway: &Gateway, beginning: &str) -> Result<(Duration, String)> {
    let since = Instant::now();
    let mut stream = TcpStream::connect(gateway.address("shared")?).await?;
    stream.write_all(beginning.as_bytes()).await?;
    let mut came = Vec::new();
    loop {
        match timeout(Duration::from_secs(1), stream.read_buf(&mut came)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return Ok((since.elapsed(), String::from_utf8_lossy(&came).into_owned())),
            // It may have been closed meanwhile, which reading tells.
            Err(_) => drop(stream.write_all(b"x").await),
        }
        ensure!(since.elapsed() < Duration::from_secs(60), "it is never given up");
    }
}

#[tokio::test]
async fn a_request_that_drips_in_is_given_up() {
    let mut neighbours = Neighbours::new().await;
    let head = "GET /chat HTTP/1.1\r\nHost: x\r\nx: ";
    let body = "POST /msg HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 1000\r\n\r\n";
    let login = "POST /ws/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let gateway = &neighbours.gateway;
    let (head, body, login) = tokio::join!(drip(gateway, head), drip(gateway, body), drip(gateway, login));
    let (after, _) = head.unwrap();
    assert!(after >= Duration::from_secs(9), "a head was given up after {after:?}");
    // A token is looked at before the body is.
    assert!(body.unwrap().1.contains(r#"{"code":1001,"#));
    let (after, answer) = login.unwrap();
    assert!(after >= Duration::from_secs(19), "a body was given up after {after:?}");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(neighbours.count("none", "head_timeout").await.unwrap(), 1);
    assert_eq!(neighbours.count("none", "request_timeout").await.unwrap(), 1);
    neighbours.chat().await.unwrap();
}

#[tokio::test]
async fn peers_that_leave_in_the_middle_of_an_upgrade_leave_nothing_behind() {
    let mut neighbours = Neighbours::new().await;
    let to = neighbours.gateway.address("shared").unwrap();
    let upgrade = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for i in 0..200 {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // Some leave in the head, some with the answer unread, some with the first frame begun.
        let sent = [upgrade[..40 + i % 60].to_owned(), upgrade.to_owned(), format!("{upgrade}\u{1}")][i % 3].clone();
        stream.write_all(sent.as_bytes()).await.unwrap();
    }
    neighbours.chat().await.unwrap();
    for _ in 0..100 {
        if neighbours.gateway.status().await.unwrap().connections == 2 {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{} connections are still there", neighbours.gateway.status().await.unwrap().connections);
}
