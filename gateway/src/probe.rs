//! Checks a ChatRoom from outside: joins a room over the native protocol, posts, and waits for its own message.
//!
//! Decides only whether the message came back in time. Called by `parlor-gateway probe`, which `helm test` runs in a
//! pod; blocking, as one connection needs no runtime.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use http::Uri;
use serde_json::{Value, json};
use thiserror::Error;
use tungstenite::{Message, WebSocket, client};

/// The room that probes talk in, away from people.
pub const ROOM: &str = "parlor-probe";
/// The most bytes of a frame or message that a probe reads.
const READ_LIMIT: usize = 1024 * 1024;

/// Why no message came back.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The URL cannot be probed.
    #[error("{0} is no URL of the form ws://host:port/path")]
    Url(String),
    /// There is no TCP connection.
    #[error("failed to connect to {0}: {1}")]
    Connect(String, io::Error),
    /// The server did not answer with a WebSocket.
    #[error("failed to open a WebSocket: {0}")]
    Open(String),
    /// The WebSocket ended.
    #[error("failed to talk over the WebSocket: {0}")]
    Talk(tungstenite::Error),
    /// The server answered with an error.
    #[error("the server refused: {0}")]
    Refused(Value),
    /// The time is over.
    #[error("no answer to {0} within {1:?}")]
    Late(&'static str, Duration),
}

/// Posts one message to [`ROOM`] at `url` and returns how long it took to come back; all in all at most `within`.
///
/// # Errors
/// Says at which step it failed.
pub fn probe(url: &str, within: Duration) -> Result<Duration, ProbeError> {
    let mut probe = Probe::open(url, within)?;
    let text = format!("probe {:016x}", rand::random::<u64>());
    probe.say(&json!({"op": "join", "id": 1, "room": ROOM, "name": "probe"}))?;
    probe.hear("join", |said| said["op"] == "joined")?;
    let posted = Instant::now();
    probe.say(&json!({"op": "post", "id": 2, "room": ROOM, "body": {"text": text}}))?;
    probe.hear("post", |said| carries(said, &text))?;
    Ok(posted.elapsed())
}

struct Probe {
    socket: WebSocket<TcpStream>,
    within: Duration,
    deadline: Instant,
}

impl Probe {
    fn open(url: &str, within: Duration) -> Result<Self, ProbeError> {
        let deadline = Instant::now() + within;
        let stream = connect(url, within)?;
        let limits = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(READ_LIMIT))
            .max_frame_size(Some(READ_LIMIT));
        let (socket, _) = client::client_with_config(url, stream, Some(limits))
            .map_err(|error| ProbeError::Open(error.to_string()))?;
        Ok(Self { socket, within, deadline })
    }

    fn say(&mut self, request: &Value) -> Result<(), ProbeError> {
        self.socket.send(Message::text(request.to_string())).map_err(ProbeError::Talk)
    }

    /// Reads until `wanted` accepts what the server says.
    fn hear(&mut self, request: &'static str, wanted: impl Fn(&Value) -> bool) -> Result<(), ProbeError> {
        loop {
            if Instant::now() >= self.deadline {
                return Err(ProbeError::Late(request, self.within));
            }
            let message = self.socket.read().map_err(|error| self.failed(request, error))?;
            let Ok(said) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
            if said["op"] == "error" {
                return Err(ProbeError::Refused(said));
            }
            if wanted(&said) {
                return Ok(());
            }
        }
    }

    fn failed(&self, request: &'static str, error: tungstenite::Error) -> ProbeError {
        match error {
            tungstenite::Error::Io(io) if matches!(io.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                ProbeError::Late(request, self.within)
            }
            other => ProbeError::Talk(other),
        }
    }
}

/// A connection of which every single read and write ends in time.
fn connect(url: &str, within: Duration) -> Result<TcpStream, ProbeError> {
    let wrong = || ProbeError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("ws") {
        return Err(wrong());
    }
    let place = format!("{}:{}", uri.host().ok_or_else(wrong)?, uri.port_u16().unwrap_or(80));
    let failed = |error| ProbeError::Connect(place.clone(), error);
    let addresses: Vec<SocketAddr> = place.to_socket_addrs().map_err(failed)?.collect();
    let address = addresses.first().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let stream = TcpStream::connect_timeout(address, within).map_err(failed)?;
    stream.set_read_timeout(Some(within)).map_err(failed)?;
    stream.set_write_timeout(Some(within)).map_err(failed)?;
    Ok(stream)
}

fn carries(said: &Value, text: &str) -> bool {
    let items = said["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    said["op"] == "messages" && items.iter().any(|item| item["body"]["text"] == text)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// Serves one connection, answering each request with what `answer` makes of it.
    fn serve(answer: impl Fn(&Value) -> Vec<Value> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let url = format!("ws://{}/chat", listener.local_addr().expect("address"));
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("accept");
            let mut socket = tungstenite::accept(stream).expect("upgrade");
            while let Ok(message) = socket.read() {
                let Ok(request) = serde_json::from_slice(&message.into_data()) else { continue };
                for said in answer(&request) {
                    socket.send(Message::text(said.to_string())).expect("answer");
                }
            }
        });
        url
    }

    fn chat(request: &Value) -> Vec<Value> {
        match request["op"].as_str() {
            Some("join") => vec![json!({"op": "joined", "id": 1, "room": ROOM, "epoch": "e", "seq": 0})],
            Some("post") => {
                let other = json!({"op": "messages", "room": ROOM, "items": [{"seq": 1, "body": {"text": "else"}}]});
                let own = json!({"op": "messages", "room": ROOM, "items": [{"seq": 2, "body": request["body"]}]});
                vec![other, json!({"op": "posted", "id": 2, "seq": 2}), own]
            }
            _ => vec![],
        }
    }

    #[test]
    fn a_message_that_comes_back_is_a_success() {
        probe(&serve(chat), PATIENCE).expect("the message comes back");
    }

    #[test]
    fn a_server_that_stays_silent_is_late() {
        let silent = |request: &Value| if request["op"] == "join" { chat(request) } else { vec![] };
        let error = probe(&serve(silent), PATIENCE).expect_err("nothing came back");
        assert!(matches!(error, ProbeError::Late("post", PATIENCE)), "{error}");
    }

    #[test]
    fn a_refusal_is_answered_with_its_reason() {
        let refuse = |_: &Value| vec![json!({"op": "error", "id": 1, "code": "room_limit", "message": "full"})];
        let error = probe(&serve(refuse), PATIENCE).expect_err("the server refuses");
        assert!(error.to_string().contains("room_limit"), "{error}");
    }

    #[test]
    fn only_plain_websocket_urls_are_probed() {
        for url in ["lobby", "http://lobby/chat", "wss://lobby/chat", "ws:///chat"] {
            let error = probe(url, PATIENCE).expect_err("no such URL");
            assert!(matches!(error, ProbeError::Url(_)), "{url}: {error}");
        }
    }
}
