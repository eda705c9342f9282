//! Conformance tables: what clients send and what they must be shown, one line each, over real sockets.
//!
//! ```text
//! a > {"op":"ping","id":1}          client a sends this as TEXT
//! a < {"op":"pong","id":1}          the next frame of a contains this
//! a = {"op":"pong","id":1}          the next frame of a is this, byte for byte; ${*} stands for anything
//! a <~ {"op":"posted","seq":"$n"}   as <, but others may come before it; they stay to be read
//! a <+ {"room":"r","items":[1,2]}   the next frames contain this, their items taken together
//! a ? {"op":"x"} => {"n":2}         asks until this is the answer: for what is true after a while
//! a .                               nothing more has come by the time the server answers a ws-level ping
//! a . 500                           nor within that many milliseconds: for what nobody receives, but takes a moment
//! a x 1009                          a is closed with this code; 1006 is an end without a close frame
//! a >x 1000                         a closes with this code; without one it just goes
//! ```
//! What is sent as BINARY: `BINARY some text`, `HEX 08 02 "text"` and the relay's frames by their names, as
//! [`relay::frame`] reads them; behind `TEXT` such bytes go as TEXT. A relay's frames are shown as JSON, see
//! [`relay::read`]. Bytes that no client would send are written as in `HEX`, where `"a"*3` and `00*3` repeat:
//! ```text
//! a >f 81 "hello"                   a frame with this first byte, masked with zeros
//! a >! 81 05 "hello"                just these bytes
//! ```
//! HTTP goes over a connection of its own each time; `UPGRADE` is a GET that asks for a WebSocket:
//! ```text
//! w > POST /msg [authorization: ${token}] room_id=r&msg=x
//! w < 200 [content-type: application/json] {"code":1}
//! ```
//! In patterns objects may hold more than what is written, arrays may not. `"*"` is anything; `"$n"` is anything the
//! first time and the same from then on; `"$n>m"` is new and greater than `$m`, as a number or as text. In what is
//! sent and in verbatim lines `"$n"` is the value as JSON, and everywhere `${n}` its bare text. Each client has a
//! connection of its own, made when first needed, and at the end none may have been shown more than was expected.

mod notation;
mod pattern;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    net::lookup_host,
    time::{Instant, sleep},
};

use self::notation::{Line, Payload, Sign};
pub use self::pattern::Variables;
use crate::client::{Frame, PATIENCE, Socket, relay};

/// Pause before something is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Plays a table. `url` names each client's endpoint; `ROOM` in the lines becomes `room`.
pub async fn play(table: &str, room: &str, url: impl Fn(&str) -> String) -> Result<()> {
    play_via(None, table, room, url).await
}

/// The same through a proxy in front of the endpoints, such as an ingress.
pub async fn play_via(via: Option<SocketAddr>, table: &str, room: &str, url: impl Fn(&str) -> String) -> Result<()> {
    let mut play = Play { url, via, clients: HashMap::new(), variables: Variables::default() };
    for (i, line) in table.lines().enumerate() {
        let line = line.trim().replace("ROOM", room);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        play.line(&line).await.with_context(|| format!("line {}: {line}", i + 1))?;
    }
    play.nothing_is_left().await
}

/// Frames that may come at any time and are skipped when they are not expected.
fn background(frame: &Value) -> bool {
    frame["op"] == "presence" || frame["cmd"] == "PING_REQ"
}

/// What came: to be looked into, and as it was.
#[derive(Debug)]
struct Arrived {
    value: Value,
    raw: Vec<u8>,
}

#[derive(Default)]
struct Client {
    socket: Option<Socket>,
    arrived: VecDeque<Arrived>,
}

struct Play<U> {
    url: U,
    via: Option<SocketAddr>,
    clients: HashMap<String, Client>,
    variables: Variables,
}

impl<U: Fn(&str) -> String> Play<U> {
    async fn line(&mut self, line: &str) -> Result<()> {
        let line = self.variables.fill(line);
        let Line { name, sign, rest } = Line::read(&line)?;
        if !self.clients.contains_key(name) {
            self.clients.insert(name.to_owned(), Client::default());
        }
        match sign {
            Sign::Send => self.send(name, rest).await,
            Sign::Frame | Sign::Bytes => {
                let bytes = notation::bytes(rest)?;
                let bytes = if matches!(sign, Sign::Frame) { notation::masked(&bytes)? } else { bytes };
                self.socket(name).await?.bytes(&bytes).await
            }
            Sign::Expect => self.expect(name, &notation::pattern(rest)?, false).await,
            Sign::Anywhere => self.expect(name, &notation::pattern(rest)?, true).await,
            Sign::Together => self.together(name, &notation::pattern(rest)?).await,
            Sign::Verbatim => self.verbatim(name, rest).await,
            Sign::Ask => self.ask(name, rest).await,
            Sign::Nothing => {
                sleep(Duration::from_millis(if rest.is_empty() { 0 } else { rest.parse()? })).await;
                self.nothing(name).await
            }
            Sign::Closed => {
                let wanted: u16 = rest.parse().context("a close code is a number")?;
                let code = self.socket(name).await?.close_code().await?;
                ensure!(code == wanted, "closed with {code}");
                self.clients.remove(name);
                Ok(())
            }
            Sign::Close => {
                let client = self.clients.remove(name).unwrap_or_default();
                match (client.socket, rest) {
                    (Some(mut socket), code) if !code.is_empty() => socket.close(code.parse()?).await,
                    _ => Ok(()),
                }
            }
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client> {
        self.clients.get_mut(name).context("no such client")
    }

    async fn socket(&mut self, name: &str) -> Result<&mut Socket> {
        let (url, via) = ((self.url)(name), self.via);
        let client = self.client(name)?;
        if client.socket.is_none() {
            client.socket = Some(match via {
                Some(via) => Socket::dial_via(&url, via).await?,
                None => Socket::dial(&url).await?,
            });
        }
        client.socket.as_mut().context("just dialled")
    }

    async fn send(&mut self, name: &str, rest: &str) -> Result<()> {
        let rest = self.variables.values(rest);
        if let Some(request) = notation::request(&rest) {
            let url = (self.url)(name);
            let host = url.split('/').nth(2).context("a URL without a host")?;
            let to = match self.via {
                Some(via) => via,
                None => lookup_host(host).await?.next().context("a host without an address")?,
            };
            let answer = request.send(host, to).await?;
            let raw = format!("{} {}", answer.status, answer.body).into_bytes();
            let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
            let headers: HashMap<_, _> = answer.headers.into_iter().collect();
            let value = json!({"status": answer.status, "headers": headers, "body": body});
            self.client(name)?.arrived.push_back(Arrived { value, raw });
            return Ok(());
        }
        let socket = self.socket(name).await?;
        match notation::payload(&rest)? {
            Payload::Text(text) => socket.text(text).await,
            Payload::Binary(bytes) => socket.binary(bytes).await,
        }
    }

    /// The next frame that is no background, unless it is wanted; read from `at` in what came.
    async fn peek(&mut self, name: &str, at: usize) -> Result<&Arrived> {
        if self.client(name)?.arrived.len() <= at {
            let frame = self.socket(name).await?.soon().await;
            let client = self.client(name)?;
            let arrived = frame.and_then(arrived).with_context(|| format!("before it: {:?}", client.arrived))?;
            client.arrived.push_back(arrived);
        }
        self.client(name)?.arrived.get(at).context("just read")
    }

    async fn expect(&mut self, name: &str, pattern: &Value, anywhere: bool) -> Result<()> {
        let mut seen = 0;
        loop {
            let mut variables = self.variables.clone();
            let value = &self.peek(name, seen).await?.value;
            if variables.matches(pattern, value) {
                self.client(name)?.arrived.remove(seen);
                self.variables = variables;
                return Ok(());
            }
            ensure!(anywhere || background(value), "{value} came");
            seen += 1;
        }
    }

    /// Removes and returns the next frame that is no background.
    async fn take(&mut self, name: &str) -> Result<Arrived> {
        let mut seen = 0;
        while background(&self.peek(name, seen).await?.value) {
            seen += 1;
        }
        self.client(name)?.arrived.remove(seen).context("just seen")
    }

    async fn together(&mut self, name: &str, pattern: &Value) -> Result<()> {
        let wanted = pattern["items"].as_array().context("no items are wanted")?;
        let mut left = wanted.as_slice();
        while !left.is_empty() {
            let Arrived { value, .. } = self.take(name).await?;
            let count = value["items"].as_array().map_or(0, Vec::len);
            ensure!((1..=left.len()).contains(&count), "{value} came, {left:?} is still to come");
            let mut part = pattern.clone();
            let (these, rest) = left.split_at(count);
            part["items"] = these.into();
            ensure!(self.variables.matches(&part, &value), "{value} came instead of {part}");
            left = rest;
        }
        Ok(())
    }

    async fn verbatim(&mut self, name: &str, rest: &str) -> Result<()> {
        let wanted = self.variables.values(rest);
        let Arrived { raw, .. } = self.take(name).await?;
        let came = String::from_utf8_lossy(&raw);
        match wanted.strip_prefix("HEX ") {
            Some(bytes) => ensure!(raw == notation::bytes(bytes)?, "{raw:02x?} came"),
            None => ensure!(pattern::same(&wanted, &came), "{came} came"),
        }
        Ok(())
    }

    async fn ask(&mut self, name: &str, rest: &str) -> Result<()> {
        let (request, wanted) = rest.split_once(" => ").context("what is asked is: request => answer")?;
        let wanted = notation::pattern(wanted)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.send(name, request).await?;
            let Arrived { value, .. } = self.take(name).await?;
            let mut variables = self.variables.clone();
            if variables.matches(&wanted, &value) {
                self.variables = variables;
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the answer stays {value}");
            sleep(AGAIN).await;
        }
    }

    async fn nothing(&mut self, name: &str) -> Result<()> {
        let came = self.socket(name).await?.settled().await?;
        let client = self.client(name)?;
        for frame in came {
            client.arrived.push_back(arrived(frame)?);
        }
        let left: Vec<_> = client.arrived.iter().filter(|arrived| !background(&arrived.value)).collect();
        ensure!(left.is_empty(), "{name} was shown more than expected: {left:?}");
        Ok(())
    }

    async fn nothing_is_left(&mut self) -> Result<()> {
        let names: Vec<_> = self.clients.keys().cloned().collect();
        for name in names {
            let client = self.client(&name)?;
            if client.socket.is_some() {
                self.nothing(&name).await.context("at the end")?;
            } else {
                ensure!(client.arrived.is_empty(), "{name} was answered what was not expected: {:?}", client.arrived);
            }
        }
        Ok(())
    }
}

fn arrived(frame: Frame) -> Result<Arrived> {
    Ok(match frame {
        Frame::Text(text) => {
            Arrived { value: serde_json::from_str(&text).with_context(|| format!("read {text}"))?, raw: text.into() }
        }
        Frame::Binary(bytes) => {
            let value = relay::read(&bytes).with_context(|| format!("read {bytes:02x?}"))?;
            Arrived { value, raw: bytes }
        }
        ended => bail!("{ended:?} came"),
    })
}
