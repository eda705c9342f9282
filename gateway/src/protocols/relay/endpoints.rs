//! `POST /msg` and `POST /tk`: other servers post into rooms, and get tokens for their users.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Form, Json, Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use super::{
    RelaySettings, token,
    wire::{MsgLevel, verbatim},
};
use crate::{
    bus::Appended,
    fanout::{poster::Message, session::PostError},
    protocols::{Refused, canonical, json},
    rooms::{Content, ProtocolId, RoomName, Want, rates::Rates},
};

/// Room for the other fields, field names and the escapes of a form: every byte of a message may be written as three.
const FORM_OVERHEAD: usize = 16 * 1024;

const CORS: [(HeaderName, HeaderValue); 5] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Content-Type,AccessToken,X-CSRF-Token, Authorization, Token"),
    ),
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS")),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers, Content-Type",
        ),
    ),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
];

/// People whose rate is remembered; each takes some 100 bytes.
const PEOPLE: usize = 16 * 1024;

/// What the endpoints answer from.
struct Desk {
    settings: Arc<RelaySettings>,
    /// By the id of the person who posts.
    posts: Mutex<Rates<Arc<str>>>,
    /// New rooms, by the same.
    opened: Mutex<Rates<Arc<str>>>,
}

/// The answer's fields, in alphabetic order.
#[derive(Serialize)]
struct Outcome {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    msg: String,
    /// Label of the refusals metric.
    #[serde(skip)]
    refused: Option<Refused>,
    /// When to try again, in seconds; the status is 429 then.
    #[serde(skip)]
    retry: Option<u64>,
}

impl Outcome {
    fn success(data: Option<String>) -> Self {
        Self { code: 1, data, msg: "suc".to_owned(), refused: None, retry: None }
    }

    fn bad_token(told: impl Into<String>) -> Self {
        Self { code: BAD_TOKEN, data: None, msg: told.into(), refused: Some(Refused("token")), retry: None }
    }

    fn refused(reason: &'static str, told: impl Into<String>) -> Self {
        Self { code: 0, data: None, msg: told.into(), refused: Some(Refused(reason)), retry: None }
    }

    /// `wait` in microseconds.
    fn over_rate(wait: u64) -> Self {
        Self { retry: Some(wait.div_ceil(1_000_000).max(1)), ..Self::refused("rate", "too many messages") }
    }
}

/// Code of a token that is missing, malformed or expired; 0 is every other error.
const BAD_TOKEN: u16 = 1001;

/// The endpoints; `/tk` exists only where tokens are issued.
pub(super) fn routes(settings: Arc<RelaySettings>) -> Router {
    let limit = DefaultBodyLimit::max(settings.message_bytes.saturating_mul(3).saturating_add(FORM_OVERHEAD));
    let mut router = Router::new().route("/msg", any(message));
    if settings.issue_tokens {
        router = router.route("/tk", any(issue));
    }
    let posts = Mutex::new(Rates::new(settings.rate, PEOPLE));
    let opened = Mutex::new(Rates::new(settings.new_rooms, PEOPLE));
    router.layer(limit).with_state(Arc::new(Desk { settings, posts, opened }))
}

async fn message(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    match post_only(&request) {
        Some(response) => response,
        None => answer(&post_message(&desk, request).await),
    }
}

async fn issue(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    if let Some(response) = post_only(&request) {
        return response;
    }
    let uid = fields(request).await.remove("uid").unwrap_or_default();
    answer(&Outcome::success(Some(token::issue(&desk.settings.key, &uid, desk.settings.clock.unix()))))
}

async fn post_message(Desk { settings, posts, opened }: &Desk, request: Request) -> Outcome {
    let Some(token) = bearer(request.headers()) else { return Outcome::bad_token("无效token") };
    let from = match token::person(&settings.key, &token, settings.clock.unix()) {
        Ok(from) => from,
        Err(told) => return Outcome::bad_token(told),
    };
    let allowed = posts.lock().take(Arc::clone(&from.id), settings.clock.monotonic());
    if let Err(wait) = allowed {
        return Outcome::over_rate(wait);
    }
    let mut fields = fields(request).await;
    let mut field = |name| fields.remove(name).filter(|value| !value.is_empty());
    let (Some(room), Some(msg)) = (field("room_id"), field("msg")) else {
        return Outcome::refused("malformed", "参数错误");
    };
    // Servers post for people who need not be connected.
    let want = Want::Write { member: true };
    let room = RoomName::new(&room).ok().filter(|room| settings.may(want, room).is_ok());
    let Some(room) = room else { return Outcome::refused("room", "参数错误") };
    if msg.len() > settings.message_bytes {
        return Outcome::refused("too_large", "参数错误");
    }
    let payload = go_json(&msg);
    let content = Content {
        body: canonical::opaque_body(msg.as_bytes()),
        verbatim: Some(verbatim(MsgLevel::Important.into(), payload.as_bytes())),
    };
    let person = Arc::clone(&from.id);
    if !opened.lock().is_free(&person, settings.clock.monotonic()) {
        return Outcome::refused("room_limit", "too many new rooms");
    }
    let message = Message { room, protocol: ProtocolId::Relay, from, key: None, content, amends: None };
    match settings.poster.post(message).await {
        Ok(Appended { seq, duplicate, .. }) => {
            if (seq, duplicate) == (1, false) {
                // It is there now. If that was one too many, the next message is refused.
                let _ = opened.lock().take(person, settings.clock.monotonic());
            }
            Outcome::success(None)
        }
        Err(PostError::Moderated(refusal)) => Outcome::refused(refusal.code(), refusal.to_string()),
        Err(error) => Outcome::refused("unavailable", format!("rpc error: code = Unavailable desc = {error}")),
    }
}

/// Answers what is no POST: a preflight with 200, anything else with 405.
fn post_only(request: &Request) -> Option<Response> {
    let status = match *request.method() {
        Method::POST => return None,
        Method::OPTIONS => StatusCode::OK,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    Some((status, HeaderMap::from_iter(CORS)).into_response())
}

fn answer(outcome: &Outcome) -> Response {
    let mut headers = HeaderMap::from_iter(CORS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (headers, json::write(outcome)).into_response();
    if let Some(seconds) = outcome.retry {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(refused) = outcome.refused {
        response.extensions_mut().insert(refused);
    }
    response
}

/// The token of `Authorization`, with or without `Bearer`.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("Bearer ").unwrap_or(value).trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// The fields of a form, a multipart form or a JSON object; empty when the body is none of them.
async fn fields(request: Request) -> HashMap<String, String> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        let object = Json::<HashMap<String, Value>>::from_request(request, &()).await;
        let text = |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        return object.map(|Json(object)| object.into_iter().map(|(k, v)| (k, text(v))).collect()).unwrap_or_default();
    }
    if kind.starts_with("multipart/form-data") {
        return match Multipart::from_request(request, &()).await {
            Ok(form) => parts(form).await,
            Err(_) => HashMap::new(),
        };
    }
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let mut fields = HashMap::new();
    for (name, value) in form.map(|Form(form)| form).unwrap_or_default() {
        fields.entry(name).or_insert(value);
    }
    fields
}

async fn parts(mut form: Multipart) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while let Ok(Some(part)) = form.next_field().await {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        if let Ok(value) = part.text().await {
            fields.entry(name).or_insert(value);
        }
    }
    fields
}

/// `text` as the original's JSON encoder writes a string: with the escapes that make it safe inside HTML.
fn go_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posted_text_is_written_as_the_original_encodes_it() {
        assert_eq!(go_json(r#"{"a":1}"#), r#""{\"a\":1}""#);
        assert_eq!(go_json("<b>&\u{8}\u{2028}ü\\\n"), r#""\u003cb\u003e\u0026\u0008\u2028ü\\\n""#);
    }
}
