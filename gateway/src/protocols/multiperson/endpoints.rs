//! `POST /ws/login`: the number of a name, made at its first use.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;

use crate::{
    bus::{
        Bus,
        directory::{
            self,
            people::{Query, Reply},
        },
    },
    protocols::json,
};

/// Longest body, in bytes: a name and what surrounds it.
const BODY: usize = 4096;
/// Longest name, in bytes.
const NAME: usize = 255;

/// The endpoints.
pub(super) fn routes(bus: Arc<dyn Bus>) -> Router {
    Router::new().route("/ws/login", any(login)).layer(DefaultBodyLimit::max(BODY)).with_state(bus)
}

async fn login(State(bus): State<Arc<dyn Bus>>, request: Request) -> Response {
    // Every call of the client has a JSON content type, so that browsers ask first.
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, cors()).into_response();
    }
    if request.method() != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    let body = http_body_util::Limited::new(request.into_body(), BODY).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_else(|_| Bytes::new());
    let Some(name) = name_in(&body) else { return refused(StatusCode::BAD_REQUEST, "name is missing") };
    let query = directory::Query::People(Query::Login { name: name.into() });
    match bus.directory().ask(query).await {
        Ok(directory::Reply::People(Reply::User { id, name })) => {
            #[derive(Serialize)]
            struct Row<'a> {
                user_id: u64,
                user_name: &'a str,
                user_img: &'static str,
            }
            #[derive(Serialize)]
            struct Answer<'a> {
                code: u16,
                message: &'static str,
                data: Row<'a>,
            }
            let data = Row { user_id: id, user_name: &name, user_img: "" };
            (cors(), Json(Answer { code: 200, message: "", data })).into_response()
        }
        Ok(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "too many users"),
        Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "try again"),
    }
}

/// The name, under either of the keys that clients use.
fn name_in(body: &[u8]) -> Option<String> {
    let fields = json::fields(std::str::from_utf8(body).ok()?, ["name", "user_name"])?;
    let name = fields.into_iter().flatten().find_map(json::string)?;
    (1..=NAME).contains(&name.len()).then(|| name.into_owned())
}

fn cors() -> HeaderMap {
    HeaderMap::from_iter([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,PUT,POST,DELETE,PATCH")),
    ])
}

fn refused(status: StatusCode, message: &'static str) -> Response {
    #[derive(Serialize)]
    struct Empty {}
    #[derive(Serialize)]
    struct Answer {
        code: u16,
        message: &'static str,
        success: bool,
        data: Empty,
    }
    let answer = Answer { code: status.as_u16(), message, success: false, data: Empty {} };
    (status, cors(), Json(answer)).into_response()
}
