//! Posting and tokens over HTTP.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{
    super::{Relay, RelaySettings, token},
    KEY, bus, settings,
};
use crate::{
    bus::{Bus, memory::MemoryBus},
    protocols::{
        Protocol,
        script::{UNIX, name},
    },
};

struct Http(Arc<MemoryBus>);

impl Http {
    async fn send(&self, request: http::request::Builder, body: &str) -> (u16, String) {
        let router = Relay::new(settings(self.0.clone())).routes();
        let answer = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, path: &str, kind: &str, token: Option<&str>, body: &str) -> String {
        let mut request = http::Request::post(path).header("content-type", kind);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let (status, body) = self.send(request, body).await;
        assert_eq!(status, 200);
        body
    }

    /// The stored payloads of a room.
    async fn stored(&self, room: &str) -> Vec<String> {
        let page = self.0.history(&name(room), None, 100).await.unwrap();
        let text = |entry: &Arc<crate::rooms::Entry>| {
            String::from_utf8(entry.content.verbatim.as_deref().unwrap_or_default().to_vec()).unwrap()
        };
        page.entries.iter().map(text).collect()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

async fn issued(http: &Http) -> String {
    let answer = http.post("/tk", FORM, None, "uid=7").await;
    let token = answer.strip_prefix(r#"{"code":1,"data":""#).unwrap().strip_suffix(r#"","msg":"suc"}"#).unwrap();
    format!("Bearer {token}")
}

#[tokio::test]
async fn an_issued_token_posts_from_forms_multipart_and_json() {
    let http = Http(bus());
    let token = issued(&http).await;
    let done = r#"{"code":1,"msg":"suc"}"#;
    assert_eq!(http.post("/msg", FORM, Some(&token), "room_id=r&msg=%7B%22a%22%3A1%7D").await, done);
    let bare = token.strip_prefix("Bearer ").unwrap();
    assert_eq!(http.post("/msg", "application/json", Some(bare), r#"{"room_id":"r","msg":"<b>"}"#).await, done);
    let multipart = "--X\r\nContent-Disposition: form-data; name=\"room_id\"\r\n\r\nr\r\n--X\r\n\
                     Content-Disposition: form-data; name=\"msg\"\r\n\r\nhi\r\n--X--\r\n";
    assert_eq!(http.post("/msg", "multipart/form-data; boundary=X", Some(&token), multipart).await, done);
    assert_eq!(http.stored("r").await, ["\x01\"{\\\"a\\\":1}\"", "\x01\"\\u003cb\\u003e\"", "\x01\"hi\""]);
}

#[tokio::test]
async fn posting_without_a_good_token_is_1001_and_other_mistakes_are_0() {
    let http = Http(bus());
    let token = issued(&http).await;
    let no_token = r#"{"code":1001,"msg":"无效token"}"#;
    assert_eq!(http.post("/msg", FORM, None, "room_id=r&msg=a").await, no_token);
    assert_eq!(http.post("/msg", FORM, Some("Bearer "), "room_id=r&msg=a").await, no_token);
    let malformed = http.post("/msg", FORM, Some("Bearer a.b"), "room_id=r&msg=a").await;
    assert!(malformed.starts_with(r#"{"code":1001,"msg":"rpc error: code = Unknown desc = "#), "{malformed}");
    let missing = r#"{"code":0,"msg":"参数错误"}"#;
    let long = format!("room_id=r&msg={}", "x".repeat(101));
    for body in ["", "room_id=r", "msg=a", "room_id=&msg=a", "room_id=a%07&msg=b", &long] {
        assert_eq!(http.post("/msg", FORM, Some(&token), body).await, missing, "{body}");
    }
    assert_eq!(http.stored("r").await, [""; 0]);
}

#[tokio::test]
async fn preflights_pass_and_other_methods_do_not() {
    let http = Http(bus());
    for path in ["/msg", "/tk"] {
        let options = http::Request::builder().method("OPTIONS").uri(path);
        assert_eq!(http.send(options, "").await, (200, String::new()));
        assert_eq!(http.send(http::Request::get(path), "").await, (405, String::new()));
    }
}

#[tokio::test]
async fn tokens_are_issued_only_where_the_room_says_so() {
    let relay = Relay::new(RelaySettings { issue_tokens: false, ..settings(bus()) });
    let request = http::Request::post("/tk").body(Body::from("uid=1")).unwrap();
    assert_eq!(relay.routes().oneshot(request).await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn one_person_posts_no_faster_over_http_than_over_a_socket() {
    let routes = Relay::new(settings(bus())).routes();
    let post = async |uid: &str| {
        let token = token::issue(KEY, uid, UNIX);
        let request = http::Request::post("/msg").header("content-type", FORM).header("authorization", token);
        let request = request.body(Body::from("room_id=r&msg=a")).unwrap();
        routes.clone().oneshot(request).await.unwrap()
    };
    for _ in 0..40 {
        assert_eq!(post("7").await.status().as_u16(), 200);
    }
    let refused = post("7").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"code":0,"msg":"too many messages"}"#);
    assert_eq!(post("8").await.status().as_u16(), 200, "others may");
}

#[tokio::test]
async fn one_person_opens_few_new_rooms_over_http_and_posts_to_none_beyond_them_for_a_while() {
    let routes = Relay::new(settings(bus())).routes();
    let post = async |uid: &str, room: &str| {
        let token = token::issue(KEY, uid, UNIX);
        let request = http::Request::post("/msg").header("content-type", FORM).header("authorization", token);
        let request = request.body(Body::from(format!("room_id={room}&msg=a"))).unwrap();
        let body = routes.clone().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let done = r#"{"code":1,"msg":"suc"}"#;
    assert_eq!(post("8", "old").await, done);
    for room in ["a", "old", "b", "old", "c"] {
        assert_eq!(post("7", room).await, done, "{room}: only new rooms count");
    }
    assert_eq!(post("7", "d").await, r#"{"code":0,"msg":"too many new rooms"}"#);
    assert_eq!(post("8", "d").await, done, "others may");
}
