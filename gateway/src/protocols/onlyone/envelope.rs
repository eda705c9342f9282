//! Requests, responses and pushes, with their keys in the order that the original writes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::identity::User;
use crate::protocols::json;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    NoHandler,
    Failed,
    NoRoute,
}

impl Code {
    fn number(self) -> u16 {
        match self {
            Self::Ok => 0,
            Self::NoHandler => 404,
            Self::Failed => 500,
            Self::NoRoute => 501,
        }
    }

    /// What a response with this code carries as data, and the label of the refusals metric.
    pub(super) fn fault(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ok => None,
            Self::NoHandler => Some(("找不到对应的 handler", "no_handler")),
            Self::Failed => Some(("服务器错误", "failed")),
            Self::NoRoute => Some(("服务器收到未知消息", "no_route")),
        }
    }
}

/// A message from a client, its values not read yet.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) request_id: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) route: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// None when `text` is no JSON object, or one so deep that it would break other readers.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let [request_id, kind, route, data] = json::fields(text, ["requestId", "type", "route", "data"])?;
        json::shallow(text).then_some(Self { request_id, kind, route, data })
    }
}

/// The answer to a request; `data` and `request_id` are left out where there is none.
pub(super) fn response<T: Serialize>(code: Code, data: Option<&T>, request_id: Option<&RawValue>) -> String {
    #[derive(Serialize)]
    struct Response<'a, T> {
        r#type: &'static str,
        code: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a T>,
        #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a RawValue>,
    }
    json::write(&Response { r#type: "response", code: code.number(), data, request_id })
}

/// Something that happened in a room.
pub(super) fn push<T: Serialize>(route: &'static str, data: &T) -> String {
    #[derive(Serialize)]
    struct Push<'a, T> {
        route: &'static str,
        data: &'a T,
        r#type: &'static str,
    }
    json::write(&Push { route, data, r#type: "push" })
}

/// Data of `joinRoom`'s response and of the pushes `room.join` and `room.leave`.
#[derive(Serialize)]
pub(super) struct Presence<'a> {
    pub(super) room_id: &'a str,
    pub(super) user: User<'a>,
}
