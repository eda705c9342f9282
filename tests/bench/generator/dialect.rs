//! How each server is spoken to: what a member says first, how it posts, what an answer means.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use super::wire::{BINARY, TEXT, frame};

/// A protocol, Parlor's or another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    OnlyOne,
    Relay,
    MultiPerson,
    SocketIo,
    Centrifuge,
    /// A message is a text frame, and everyone who is connected is a member.
    Plain,
}

/// Where and how members connect.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) dialect: Dialect,
    /// Members offer permessage-deflate.
    pub(super) inflates: bool,
    /// What members bring to the upgrade.
    pub(super) bearer: Option<String>,
    /// What relay members sign in with.
    token: String,
}

/// A place in a room's history to resume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// What a frame that holds no message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// In the room, at that position where it has any; not recovered when something was missed.
    Joined {
        position: Option<Position>,
        recovered: bool,
    },
    Posted,
    /// A post was refused: its id, where one is given.
    Refused(Option<u64>),
    /// To be answered with these bytes.
    Ask(Vec<u8>),
    Other,
}

impl Endpoint {
    /// A server on `address`.
    pub(crate) fn new(address: SocketAddr, dialect: Dialect) -> Result<Self> {
        let path = match dialect {
            Dialect::Native => "/chat",
            Dialect::OnlyOne => "/onlyone",
            Dialect::Relay | Dialect::Plain => "/room",
            Dialect::MultiPerson => "/multiperson",
            Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Dialect::Centrifuge => "/connection/websocket",
        };
        let token = if dialect == Dialect::Relay { relay_token(address)? } else { String::new() };
        Ok(Self { address, path, dialect, inflates: false, bearer: None, token })
    }

    /// With members who offer to inflate what comes.
    pub(crate) fn inflating(self) -> Self {
        Self { inflates: true, ..self }
    }

    /// With members who bring a token.
    pub(crate) fn signed_in(self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self }
    }

    /// What enters member `index` into `room`; none where connecting does.
    pub(crate) fn join(&self, room: &str, index: usize, position: Option<&Position>) -> Option<Vec<u8>> {
        Some(match self.dialect {
            Dialect::Native => {
                let resume =
                    position.map(|p| format!(r#","epoch":"{}","after":{}"#, p.epoch, p.seq)).unwrap_or_default();
                text(&format!(r#"{{"op":"join","id":0,"room":"{room}","name":"m{index}"{resume}}}"#))
            }
            Dialect::OnlyOne => text(&format!(
                r#"{{"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{{"room_id":"{room}"}}}}"#
            )),
            Dialect::Relay => {
                let sign_in = [field(1, self.token.as_bytes()), field(2, room.as_bytes())].concat();
                frame(BINARY, &[vec![0x08, 1], field(2, &sign_in)].concat())
            }
            Dialect::MultiPerson => text(&format!(
                r#"{{"user_name":"m{index}","user_id":{},"type":"INIT","message":"join"}}"#,
                1_000_000 + index
            )),
            Dialect::SocketIo => text("40"),
            Dialect::Centrifuge => {
                text(&format!(r#"{{"id":1,"connect":{{}}}}{}{{"id":2,"subscribe":{{"channel":"{room}"}}}}"#, "\n"))
            }
            Dialect::Plain => return None,
        })
    }

    /// A post of `message` by member `index`. `id` comes back in a native answer.
    pub(crate) fn post(&self, room: &str, index: usize, id: u64, message: &str) -> Vec<u8> {
        match self.dialect {
            Dialect::Native => {
                text(&format!(r#"{{"op":"post","id":{id},"room":"{room}","body":{{"text":"{message}"}}}}"#))
            }
            Dialect::OnlyOne => text(&format!(
                r#"{{"route":"chatHandler.chat","data":{{"room_id":"{room}","chat_message":{{"type":"text","content":"{message}"}}}}}}"#
            )),
            Dialect::Relay => {
                let broadcast = [field(1, room.as_bytes()), field(3, message.as_bytes())].concat();
                frame(BINARY, &[vec![0x08, 3], field(2, &broadcast)].concat())
            }
            Dialect::MultiPerson => text(&format!(
                r#"{{"user_name":"m{index}","user_id":{},"type":"USER","message":"{message}"}}"#,
                1_000_000 + index
            )),
            Dialect::SocketIo => text(&format!(r#"42["message","{message}"]"#)),
            Dialect::Centrifuge => text(&format!(
                r#"{{"id":{},"publish":{{"channel":"{room}","data":{{"text":"{message}"}}}}}}"#,
                // 1 and 2 are the ids of connecting and subscribing.
                id + 2
            )),
            Dialect::Plain => text(message),
        }
    }

    /// What a member must say every few seconds to stay.
    pub(crate) fn heartbeat(&self) -> Option<Vec<u8>> {
        (self.dialect == Dialect::MultiPerson).then(|| text(r#"{"type":"PING","message":"ping"}"#))
    }

    /// Reads a frame that holds no message.
    pub(crate) fn said(&self, payload: &[u8]) -> Said {
        let joined = Said::Joined { position: None, recovered: true };
        match self.dialect {
            Dialect::Native if payload.starts_with(br#"{"op":"posted""#) => Said::Posted,
            Dialect::Native if payload.starts_with(br#"{"op":"joined""#) => {
                let recovered = !payload.windows(17).any(|w| w == br#""recovered":false"#);
                let seq = value(payload, r#""seq":"#).and_then(|seq| seq.parse().ok());
                let position = value(payload, r#""epoch":""#).zip(seq).map(|(epoch, seq)| Position { epoch, seq });
                Said::Joined { position, recovered }
            }
            Dialect::Native if payload.starts_with(br#"{"op":"error""#) => {
                Said::Refused(value(payload, r#""id":"#).and_then(|id| id.parse().ok()))
            }
            Dialect::OnlyOne if payload.starts_with(br#"{"type":"response","code":0"#) => joined,
            Dialect::OnlyOne if payload.starts_with(br#"{"type":"response""#) => Said::Refused(None),
            Dialect::Relay if payload == b"\x12\x05\x12\x03suc" => joined,
            Dialect::Relay if payload.starts_with(&[0x12]) => Said::Refused(None),
            // A member is shown entrances, its own among them, from when it is in.
            Dialect::MultiPerson if memchr::memmem::find(payload, br#""SYSTEM""#).is_some() => joined,
            Dialect::SocketIo if payload.starts_with(b"40") => joined,
            Dialect::SocketIo if payload.starts_with(b"44") => Said::Refused(None),
            Dialect::SocketIo if payload == b"2" => Said::Ask(text("3")),
            Dialect::Centrifuge if memchr::memmem::find(payload, br#""subscribe":{"#).is_some() => joined,
            Dialect::Centrifuge if memchr::memmem::find(payload, br#""error":{"#).is_some() => Said::Refused(None),
            Dialect::Centrifuge if payload == b"{}" => Said::Ask(text("{}")),
            _ => Said::Other,
        }
    }
}

fn text(payload: &str) -> Vec<u8> {
    frame(TEXT, payload.as_bytes())
}

/// A field of Protocol Buffers that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

/// What is between `before` and the next quote, comma or brace.
fn value(payload: &[u8], before: &str) -> Option<String> {
    let at = memchr::memmem::find(payload, before.as_bytes())? + before.len();
    let value: Vec<u8> = payload[at..].iter().copied().take_while(|b| !b"\",}".contains(b)).collect();
    String::from_utf8(value).ok()
}

/// Asks a gateway for a token.
fn relay_token(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).context("connect for a token")?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).context("set a deadline")?;
    let request = format!(
        "POST /tk HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\nuid=7"
    );
    stream.write_all(request.as_bytes()).context("ask for a token")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("read the token")?;
    value(&answer, r#""data":""#).with_context(|| format!("no token in {}", String::from_utf8_lossy(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(dialect: Dialect, payload: &[u8]) -> Said {
        let endpoint = Endpoint {
            address: ([127, 0, 0, 1], 1).into(),
            path: "/",
            dialect,
            inflates: false,
            bearer: None,
            token: String::new(),
        };
        endpoint.said(payload)
    }

    #[test]
    fn a_native_answer_is_read_with_what_a_resume_needs() {
        let joined = br#"{"op":"joined","id":0,"room":"r","epoch":"k3","seq":131,"recovered":true}"#;
        let position = Some(Position { epoch: "k3".to_owned(), seq: 131 });
        assert_eq!(said(Dialect::Native, joined), Said::Joined { position, recovered: true });
        let refused = br#"{"op":"error","id":7,"code":"unavailable","message":"m"}"#;
        assert_eq!(said(Dialect::Native, refused), Said::Refused(Some(7)));
    }

    #[test]
    fn a_centrifuge_member_is_in_when_subscribed_and_answers_pings() {
        let joined = Said::Joined { position: None, recovered: true };
        assert_eq!(said(Dialect::Centrifuge, br#"{"id":2,"subscribe":{}}"#), joined);
        assert_eq!(said(Dialect::Centrifuge, b"{}"), Said::Ask(text("{}")));
        let refused = br#"{"id":3,"error":{"code":108,"message":"not available"}}"#;
        assert_eq!(said(Dialect::Centrifuge, refused), Said::Refused(None));
    }

    #[test]
    fn what_is_no_answer_is_other() {
        use Dialect::{Centrifuge, MultiPerson, OnlyOne, Plain, Relay, SocketIo};
        for dialect in [OnlyOne, Relay, MultiPerson, SocketIo, Centrifuge, Plain] {
            assert_eq!(said(dialect, br#"0{"sid":"x"}"#), Said::Other);
        }
    }

    #[test]
    fn lengths_of_protocol_buffers_take_as_many_bytes_as_they_need() {
        assert_eq!(field(1, b"ab"), [0x0a, 2, b'a', b'b']);
        assert_eq!(field(2, &[0; 300])[..3], [0x12, 0xac, 2]);
    }
}
