//! The commands: reading those of clients as the original's JSON decoder does, and writing the server's with their
//! keys in its order.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    protocols::{canonical, json},
    rooms::Content,
};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
pub(super) enum Code {
    Success,
    Internal,
    NoData,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        match code {
            Code::Success => 0,
            Code::Internal => 2,
            Code::NoData => 4,
        }
    }
}

/// What a client asks; fields that were left out are zero or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    CreateAccount { nick: String },
    Match { account: u64 },
    Dialogue { request: String, account: u64, session: u64, content: String },
    ViewedAck { session: u64, account: u64, message: u64 },
    Reconnect { account: u64, token: String },
    Ping { account: u64 },
    Pong { account: u64 },
}

/// Reads a frame; None when it is no command that a client sends, or has a field of a wrong type.
pub(super) fn read(text: &str) -> Option<Command> {
    let [cmd, nick, account, request, sender, session, content, message, token] = json::fields_any_case(
        text,
        ["cmd", "nickName", "accountId", "requestId", "senderId", "sessionId", "content", "msgId", "token"],
    )?;
    let command = string(cmd)?;
    Some(match command.as_str() {
        "CRT_ACCOUNT_REQ" => Command::CreateAccount { nick: string(nick)? },
        "MATCH_REQ" => Command::Match { account: number(account)? },
        "DIALOGUE_REQ" => Command::Dialogue {
            request: string(request)?,
            account: number(sender)?,
            session: number(session)?,
            content: string(content)?,
        },
        "VIEWED_ACK_REQ" => {
            Command::ViewedAck { session: number(session)?, account: number(account)?, message: number(message)? }
        }
        "RECONNECT_REQ" => Command::Reconnect { account: number(account)?, token: string(token)? },
        "PING_REQ" => Command::Ping { account: number(account)? },
        "PING_RESP" => Command::Pong { account: number(account)? },
        _ => return None,
    })
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    value(raw)
}

fn number(raw: Option<&RawValue>) -> Option<u64> {
    value(raw)
}

/// Left out and null are the zero value, as in the original.
fn value<T: Default + serde::de::DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    match raw {
        None => Some(T::default()),
        Some(raw) => json::read::<Option<T>>(raw).map(Option::unwrap_or_default),
    }
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "cmd", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub(super) enum Frame<'a> {
    CrtAccountResp {
        code: Code,
        nick_name: &'a str,
        account_id: u64,
        token: &'a str,
    },
    MatchResp {
        code: Code,
        #[serde(skip_serializing_if = "is_zero")]
        partner_id: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        partner_name: &'a str,
        #[serde(skip_serializing_if = "is_zero")]
        session_id: u64,
    },
    DialogueResp {
        code: Code,
        request_id: &'a str,
        msg_id: u64,
    },
    PushDialogueReq {
        msg_id: u64,
        sender_id: u64,
        session_id: u64,
        content: &'a str,
    },
    PushSignalReq {
        sender_id: u64,
        session_id: u64,
        receiver_id: u64,
        signal_type: &'static str,
        data: SignalData<'a>,
    },
    PingReq {
        account_id: u64,
    },
    PingResp {
        account_id: u64,
    },
    ViewedAckResp {
        code: Code,
    },
    PushViewedAckReq {
        session_id: u64,
        account_id: u64,
        msg_id: u64,
    },
    ReconnectResp {
        code: Code,
    },
}

/// What a signal is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignalData<'a> {
    pub(super) account_id: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) nick_name: &'a str,
}

impl Frame<'_> {
    /// The frame's payload.
    pub(super) fn text(&self) -> String {
        json::write(self)
    }
}

/// Tells `receiver` that `left` is gone from a session.
pub(super) fn partner_exit(session: u64, receiver: u64, left: u64) -> String {
    let data = SignalData { account_id: left, nick_name: "" };
    let signal_type = "PartnerExit";
    Frame::PushSignalReq { sender_id: 0, session_id: session, receiver_id: receiver, signal_type, data }.text()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What an inbox keeps of a frame.
pub(super) fn content(frame: String) -> Content {
    Content { body: canonical::text_body(""), verbatim: Some(Bytes::from(frame)) }
}
