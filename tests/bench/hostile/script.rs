//! What each kind of hostile peer sends.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

/// What a kind of peer does.
#[derive(Clone)]
pub(super) struct Script {
    /// Sent at once.
    pub(super) first: Vec<u8>,
    /// Sent again and again after a pause: by peer and turn.
    pub(super) then: Arc<dyn Fn(usize, usize) -> Vec<u8> + Send + Sync>,
    pub(super) pause: Duration,
    /// Whether it takes what is sent to it.
    pub(super) reads: bool,
}

const SOON: Duration = Duration::from_millis(100);
const SLOWLY: Duration = Duration::from_secs(1);

/// All kinds; `room` is that of the honest members.
pub(super) fn scripts(room: &str) -> Vec<Script> {
    let join = text(&format!(r#"{{"op":"join","id":1,"room":"{room}","name":"mallory"}}"#));
    let history = text(&format!(r#"{{"op":"history","id":2,"room":"{room}","limit":100}}"#)).repeat(20);
    let own = |op: &str| {
        let op = op.to_owned();
        move |peer: usize, turn: usize| {
            let room = format!("hostile{peer}-{}", turn % 5);
            [format!(r#"{{"op":"join","room":"{room}","name":"mallory"}}"#), op.replace("ROOM", &room)]
                .iter()
                .flat_map(|said| text(said))
                .collect::<Vec<_>>()
        }
    };
    vec![
        // Heads that never come, or come letter by letter, and bodies likewise.
        kind(b"".to_vec(), SLOWLY, true, |_, _| Vec::new()),
        kind(b"GET /chat HTTP/1.1\r\nHost: a\r\nX-Drip: ".to_vec(), SOON, true, |_, _| b"x".to_vec()),
        kind(request("POST", "/ws/login", "Content-Length: 4000\r\n"), SOON, true, |_, _| b"{".to_vec()),
        // Answers that nobody takes.
        kind(request("GET", "/page/page.css", "").repeat(300), SLOWLY, false, |_, _| Vec::new()),
        kind(request("GET", "/ws/messages", "").repeat(100), SLOWLY, false, |_, _| Vec::new()),
        kind([upgrade("/chat"), join.clone(), history].concat(), SLOWLY, false, |_, _| Vec::new()),
        kind([upgrade("/chat"), join].concat(), SLOWLY, false, |_, _| text(r#"{"op":"ping"}"#).repeat(10)),
        // Floods: of nothing, of messages, of new rooms and of refused tokens.
        kind(upgrade("/chat"), SOON, true, |_, _| text("{}").repeat(100)),
        kind(upgrade("/chat"), SOON, true, own(r#"{"op":"post","room":"ROOM","body":{"text":"spam"}}"#)),
        kind(upgrade("/chat"), SOON, true, own(r#"{"op":"leave","room":"ROOM"}"#)),
        kind(upgrade("/chat"), SOON, true, |_, turn| text(&format!(r#"{{"op":"auth","token":"a.b.c{turn}"}}"#))),
        kind(upgrade("/chat"), SOON, true, |_, _| ping(&[b'p'; 100]).repeat(50)),
        // Mistakes, each of which ends a connection.
        kind(b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec(), SOON, true, |_, _| Vec::new()),
        kind([upgrade("/chat"), vec![0x83, 0x80, 0, 0, 0, 0]].concat(), SOON, true, |_, _| Vec::new()),
        kind([upgrade("/chat"), vec![0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0]].concat(), SOON, true, |_, _| Vec::new()),
        kind([upgrade("/chat"), frame(0x81, b"\xff\xfe")].concat(), SOON, true, |_, _| Vec::new()),
        // The other protocols.
        kind(upgrade("/ws"), SOON, true, |_, _| {
            let made = text(r#"{"cmd":"CRT_ACCOUNT_REQ","nickName":"mallory"}"#);
            [made, text(r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"guess"}"#)].concat()
        }),
        kind(upgrade("/multiperson"), SOON, true, |peer, turn| {
            let user = 1_000_000 + peer * 1000 + turn % 1000;
            text(&format!(r#"{{"type":"INIT","from_user_id":"{user}","message":"init"}}"#))
        }),
        kind(upgrade("/onlyone"), SOON, true, |_, turn| {
            text(&format!(r#"{{"requestId":{turn},"type":"request","route":"roomHandler.getRoomInfo"}}"#)).repeat(10)
        }),
        kind(upgrade("/room"), SOON, true, |_, _| frame(0x82, &[0x08, 1, 0x12, 0xff, 0xff]).repeat(10)),
        // New people over HTTP.
        kind(Vec::new(), SOON, true, |peer, turn| {
            let body = format!(r#"{{"name":"mallory {peer} {turn}"}}"#);
            let head = request("POST", "/ws/login", &format!("Content-Length: {}\r\n", body.len()));
            [head, body.into_bytes()].concat().repeat(10)
        }),
    ]
}

fn kind(
    first: Vec<u8>,
    pause: Duration,
    reads: bool,
    then: impl Fn(usize, usize) -> Vec<u8> + Send + Sync + 'static,
) -> Script {
    Script { first, then: Arc::new(then), pause, reads }
}

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").into_bytes()
}

fn upgrade(path: &str) -> Vec<u8> {
    let key = STANDARD.encode([7; 16]);
    let asks = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    request("GET", path, &format!("{asks}Sec-WebSocket-Key: {key}\r\n"))
}

fn text(said: &str) -> Vec<u8> {
    frame(0x81, said.as_bytes())
}

fn ping(payload: &[u8]) -> Vec<u8> {
    frame(0x89, payload)
}

/// Masked with zeros; at most 64 KiB.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match u8::try_from(length) {
        Ok(short @ ..126) => frame.push(0x80 | short),
        _ => frame.extend([0x80 | 126, (length >> 8) as u8, length as u8]),
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
