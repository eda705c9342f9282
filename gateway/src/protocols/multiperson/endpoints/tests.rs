//! The endpoints over the memory bus, as a table of requests and answers.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{
    super::{MultiPerson, MultiPersonSettings},
    image::image,
};
use crate::{
    bus::{Bus, History, memory::MemoryBus},
    directory::{memory::MemoryDirectory, people::inbox},
    fanout::{poster::Poster, recent::Recent},
    moderation::Moderation,
    protocols::{Protocol, script::name},
};

fn desk() -> (Arc<MemoryBus>, Router) {
    let bus = Arc::new(MemoryBus::new(History { messages: 10, age: Duration::from_secs(60) }));
    let directory = Arc::new(MemoryDirectory::new(bus.clock()));
    let (poster, recent) =
        (Poster::new(bus.clone(), Moderation::in_memory(bus.clock(), Arc::default())), Recent::new(bus.clone()));
    let settings =
        MultiPersonSettings { room: name("0"), access: Arc::default(), welcome: false, directory, poster, recent };
    let protocol = MultiPerson::new(settings);
    (bus, protocol.routes())
}

async fn ask(routes: &Router, method: &str, target: &str, body: &str) -> (u16, String) {
    let request = http::Request::builder().method(method).uri(target).body(Body::from(body.to_owned())).unwrap();
    let answer = routes.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["access-control-allow-headers"], "content-type");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Asks line by line: method, target, body, and what is answered.
async fn table(routes: &Router, rows: &[(&str, &str, &str, u16, &str)]) {
    for (method, target, body, status, expected) in rows {
        assert_eq!(
            ask(routes, method, target, body).await,
            (*status, (*expected).to_owned()),
            "{method} {target} {body}"
        );
    }
}

#[tokio::test]
async fn a_login_gives_a_name_its_number_again_and_again() {
    let row = |id, name| {
        let image = image(id);
        format!(r#"{{"code":200,"message":"","data":{{"user_id":{id},"user_name":"{name}","user_img":"{image}"}}}}"#)
    };
    let (ada, bob) = (row(2, "ada"), row(3, "bob"));
    let nobody = r#"{"code":200,"message":"","data":{}}"#;
    let nothing = r#"{"code":200,"message":"","data":[]}"#;
    let long = r#"{"code":400,"message":"the body must have at most 4096 bytes","success":false,"data":{}}"#;
    let method = r#"{"code":405,"message":"method not allowed","success":false,"data":{}}"#;
    let rows = [
        ("POST", "/ws/login", r#"{"name":"ada"}"#, 200, ada.as_str()),
        ("POST", "/ws/login", r#"{"user_name":"bob"}"#, 200, bob.as_str()),
        ("POST", "/ws/login", r#"{"name":"ada"}"#, 200, ada.as_str()),
        ("POST", "/ws/add", r#"{"name":"ada"}"#, 200, r#"{"user":{"name":"ada","id":2}}"#),
        ("OPTIONS", "/ws/login", "", 204, ""),
        ("OPTIONS", "/ws/block/join", "", 204, ""),
        ("POST", "/ws/login", "{}", 200, nobody),
        ("GET", "/ws/search/contacter", "", 200, nothing),
        ("GET", "/ws/search/block", "", 200, nothing),
        ("POST", "/ws/login", &"x".repeat(5000), 400, long),
        ("GET", "/ws/login", "", 405, method),
        ("DELETE", "/ws/user?user_id=1", "", 405, method),
    ];
    table(&desk().1, &rows).await;
}

#[tokio::test]
async fn an_entry_into_a_block_is_told_to_the_persons_inbox() {
    let (bus, routes) = desk();
    for (name, told) in [("ada", 0), ("bob", 0)] {
        ask(&routes, "POST", "/ws/login", &format!(r#"{{"name":"{name}"}}"#)).await;
        assert_eq!(bus.head(&inbox(2)).await.unwrap().seq, told);
    }
    ask(&routes, "GET", "/ws/block/new?user_id=2&block_name=tea", "").await;
    ask(&routes, "GET", "/ws/block/join?user_id=3&block_id=2", "").await;
    ask(&routes, "GET", "/ws/block/join?user_id=3&block_id=99", "").await;
    for person in [2, 3] {
        let page = bus.history(&inbox(person), None, 10).await.unwrap();
        assert_eq!(page.entries.len(), 1, "{person}");
        assert_eq!(page.entries[0].content.verbatim.as_deref(), Some(&b"N"[..]));
    }
}
