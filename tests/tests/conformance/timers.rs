//! Every timer once for real, all at the same time: never sooner than it says, and not much later. How timers behave
//! in all their cases is tested beside the sessions, in virtual time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_tests::{
    client::{Frame, Socket},
    gateway::Gateway,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{SPEC, World};

/// Checks that something took as long as its timer says: coarse clocks and busy machines are forgiven.
fn took(what: &str, took: Duration, seconds: u64) -> Result<()> {
    let timer = Duration::from_secs(seconds);
    let most = 2 * timer + Duration::from_secs(5);
    ensure!(took + Duration::from_millis(100) >= timer && took <= most, "{what} took {took:?} instead of {timer:?}");
    Ok(())
}

/// Waits for the end of a socket that nothing is said on; it must come without a close frame.
async fn ends(what: &str, mut socket: Socket, seconds: u64) -> Result<()> {
    let since = Instant::now();
    loop {
        match timeout(Duration::from_secs(60), socket.next()).await.with_context(|| format!("{what} never ends"))? {
            Frame::Ended => return took(what, since.elapsed(), seconds),
            Frame::Closed(code, _) => anyhow::bail!("{what} was closed with {code}"),
            Frame::Text(_) | Frame::Binary(_) => {}
        }
    }
}

async fn relay_waits_five_seconds_for_a_sign_in(gateway: &Gateway) -> Result<()> {
    let mut refused = Socket::dial(&gateway.url("/room")).await?;
    // Being refused does not give more time.
    refused.binary(b"\x08\x02".to_vec()).await?;
    let silent = Socket::dial(&gateway.url("/room")).await?;
    tokio::try_join!(ends("relay, refused", refused, 5), ends("relay, silent", silent, 5)).map(drop)
}

async fn multiperson_waits_seven_seconds_for_json(gateway: &Gateway) -> Result<()> {
    let silent = Socket::dial(&gateway.url("/multiperson")).await?;
    let mut broken = Socket::dial(&gateway.url("/multiperson")).await?;
    let mut alive = Socket::dial(&gateway.url("/multiperson")).await?;
    let ping = async {
        for _ in 0..5 {
            sleep(Duration::from_secs(2)).await;
            alive.text(r#"{"type":"PING","from_user_id":1}"#).await?;
            let pong = alive.soon_text().await?;
            ensure!(pong == r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#, "{pong}");
        }
        Ok(())
    };
    let since = Instant::now();
    let babble = async {
        // Neither what is no JSON nor a ws-level ping counts as a sign of life.
        for _ in 0..3 {
            sleep(Duration::from_secs(2)).await;
            broken.text("{").await?;
            broken.settled().await?;
        }
        ensure!(broken.soon().await? == Frame::Ended, "no end without a close frame");
        took("multiperson, no JSON", since.elapsed(), 7)
    };
    tokio::try_join!(ends("multiperson, silent", silent, 7), babble, ping).map(drop)
}

/// The next frame with that `cmd`; pings to `answers` are answered.
async fn command(socket: &mut Socket, cmd: &str, answers: Option<&Value>) -> Result<Value> {
    loop {
        let Frame::Text(text) = timeout(Duration::from_secs(60), socket.next()).await? else {
            anyhow::bail!("the end came before {cmd}")
        };
        let frame: Value = serde_json::from_str(&text)?;
        if frame["cmd"] == cmd {
            return Ok(frame);
        }
        if let (true, Some(account)) = (frame["cmd"] == "PING_REQ", answers) {
            socket.text(json!({"cmd": "PING_RESP", "accountId": account}).to_string()).await?;
        }
    }
}

async fn account(gateway: &Gateway, name: &str) -> Result<(Socket, Value)> {
    let mut socket = Socket::dial(&gateway.url("/ws")).await?;
    socket.text(json!({"cmd": "CRT_ACCOUNT_REQ", "nickName": name}).to_string()).await?;
    let made = command(&mut socket, "CRT_ACCOUNT_RESP", None).await?;
    Ok((socket, made["accountId"].clone()))
}

async fn match_pings_every_three_seconds_and_logs_the_silent_out_after_twenty(gateway: &Gateway) -> Result<()> {
    let since = Instant::now();
    let (mut silent, silent_id) = account(gateway, "silent").await?;
    let (mut ada, ada_id) = account(gateway, "ada").await?;
    ada.text(json!({"cmd": "MATCH_REQ", "accountId": ada_id}).to_string()).await?;
    let matched = command(&mut ada, "MATCH_RESP", Some(&ada_id)).await?;
    ensure!(matched["partnerId"] == silent_id, "{matched}");
    for n in 1..=3 {
        command(&mut silent, "PING_REQ", None).await?;
        took("match, PING_REQ", since.elapsed(), 3 * n)?;
    }
    loop {
        let signal = command(&mut ada, "PUSH_SIGNAL_REQ", Some(&ada_id)).await?;
        if signal["signalType"] == "PartnerExit" {
            // The silence, and then the grace of two seconds.
            took("match, PartnerExit", since.elapsed(), 20 + 2)?;
            break;
        }
    }
    // The account is logged out, the socket stays.
    silent.settled().await?;
    ada.text(json!({"cmd": "PING_REQ", "accountId": ada_id}).to_string()).await?;
    command(&mut ada, "PING_RESP", None).await.map(drop)
}

/// A client that answers no ws-level ping: when its pings came, and its end.
async fn deaf(gateway: &Gateway, path: &str) -> Result<Vec<Duration>> {
    let address = gateway.address("shared")?;
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "no upgrade");
    }
    let (since, mut came) = (Instant::now(), Vec::new());
    loop {
        let mut frame = [0; 16];
        let read = timeout(Duration::from_secs(160), stream.read(&mut frame)).await.context("it is never ended")?;
        came.push(since.elapsed());
        match read.unwrap_or(0) {
            0 => return Ok(came),
            n => ensure!(frame[..n] == [0x89, 0], "{:02x?} is no ping", &frame[..n]),
        }
    }
}

async fn the_deaf_are_cut(gateway: &Gateway, path: &str, every: u64, pings: u64) -> Result<()> {
    let came = deaf(gateway, path).await?;
    ensure!(came.len() as u64 == pings + 1, "{path}: {came:?}");
    for (at, seconds) in came.iter().zip((1..).map(|n| n * every)) {
        took(path, *at, seconds)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_timer_runs_out_when_it_should() {
    let world = World::memory(SPEC).await;
    let gateway = &world.gateways[0];
    tokio::try_join!(
        relay_waits_five_seconds_for_a_sign_in(gateway),
        multiperson_waits_seven_seconds_for_json(gateway),
        match_pings_every_three_seconds_and_logs_the_silent_out_after_twenty(gateway),
        the_deaf_are_cut(gateway, "/chat", 25, 2),
        the_deaf_are_cut(gateway, "/onlyone", 30, 1),
    )
    .unwrap();
}
