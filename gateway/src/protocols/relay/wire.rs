//! The frames of `relay.proto` as Rust types, and the items inside a message.

use prost::{Enumeration, Message};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum PackageType {
    Unknown = 0,
    SignIn = 1,
    Heartbeat = 2,
    Message = 3,
    Members = 4,
}

/// Whether a message may wait to be merged with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum MsgLevel {
    Normal = 0,
    Important = 1,
}

/// Every frame, in both directions: `Req` and `Reply` have the same fields.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Package {
    #[prost(enumeration = "PackageType", tag = "1")]
    pub(super) r#type: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Err {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) msg: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SignIn {
    #[prost(string, tag = "1")]
    pub(super) token: String,
    #[prost(string, tag = "2")]
    pub(super) room_id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct BroadcastRoom {
    #[prost(string, tag = "1")]
    pub(super) room_id: String,
    #[prost(enumeration = "MsgLevel", tag = "2")]
    pub(super) level: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) data: Vec<u8>,
}

/// A frame to a client.
pub(super) fn reply(kind: PackageType, data: Vec<u8>) -> Vec<u8> {
    Package { r#type: kind.into(), data }.encode_to_vec()
}

/// The answer to a sign-in and to what came before one; code 0 is success.
pub(super) fn status(code: i32, msg: impl Into<String>) -> Vec<u8> {
    reply(PackageType::Unknown, Err { code, msg: msg.into() }.encode_to_vec())
}

/// Adds one item to a message's data.
pub(super) fn push_item(data: &mut Vec<u8>, item: &[u8]) {
    // Items are within the message limit, far below 4 GiB.
    data.extend_from_slice(&(item.len() as u32).to_le_bytes());
    data.extend_from_slice(item);
}

/// What is stored of a message: its level in one byte, then its data.
pub(super) fn verbatim(level: i32, data: &[u8]) -> bytes::Bytes {
    let important = level == MsgLevel::Important as i32;
    let mut stored = Vec::with_capacity(1 + data.len());
    stored.push(u8::from(important));
    stored.extend_from_slice(data);
    stored.into()
}

/// Reads what [`verbatim`] made.
pub(super) fn read_verbatim(stored: &[u8]) -> Option<(MsgLevel, &[u8])> {
    let (level, data) = stored.split_first()?;
    Some((if *level == 1 { MsgLevel::Important } else { MsgLevel::Normal }, data))
}
