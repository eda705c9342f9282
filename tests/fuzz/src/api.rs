//! The server API: a request head in lines, an empty line, a body. The token is added.

use std::{cell::RefCell, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use parlor_gateway::{
    fanout::{
        asker::Desk,
        hub::{Hub, HubSettings},
        moderating::Moderating,
        poster::Poster,
        recent::Recent,
    },
    http::api::{self, ApiSettings, Meter, Tokens},
    moderation::Moderator,
};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{
    endpoints::parse,
    seed::split,
    settings::{self, KEY, MESSAGE_BYTES},
};

const TOKEN: &str = "a token of the tests";

thread_local! {
    static API: RefCell<(Runtime, Router)> = RefCell::new(start());
}

fn start() -> (Runtime, Router) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
    let folder =
        std::env::temp_dir().join(format!("parlor-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&folder).expect("a folder for the token");
    std::fs::write(folder.join("fuzz"), TOKEN).expect("a file for the token");
    let tokens = Tokens::read(&folder).expect("a folder that was just made");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    let stores = settings::stores();
    let moderator = Moderator::new(Arc::clone(&stores.moderation));
    let asker = runtime.block_on(async {
        let (place, desk) = Desk::prepare(&[]);
        let bus = Arc::clone(&stores.bus);
        let directory = Arc::clone(&stores.directory);
        let hub = Hub::start(bus, directory, moderator.clone(), vec![place], Vec::new(), HubSettings::default());
        let (asker, answers) = desk.open(hub);
        tokio::spawn(answers);
        asker
    });
    let router = api::router(ApiSettings {
        tokens,
        poster: Poster::new(Arc::clone(&stores.bus), Arc::clone(&stores.moderation)).trusted(),
        recent: Recent::new(Arc::clone(&stores.bus)),
        asker,
        moderating: Moderating::new(moderator, Arc::clone(&stores.bus)),
        signing_key: Some(KEY.into()),
        message_bytes: MESSAGE_BYTES,
        meter: Arc::new(Meter::default()),
    });
    (runtime, router)
}

/// Whatever a request is, its answer is one that clients can read, a bulk request has an answer per line, and the next
/// request gets its own.
pub(crate) fn request(data: &[u8]) {
    let (head, body) = split(data, b"\n\n");
    let Some(mut request) = parse(head, body) else { return };
    let has_body = request.method() != "HEAD";
    let bulk = request.method() == "POST" && request.uri().path() == "/v1/messages";
    let token = format!("Bearer {TOKEN}").parse().expect("a constant that is a header");
    request.headers_mut().insert(header::AUTHORIZATION, token);
    API.with_borrow(|(runtime, router)| {
        runtime.block_on(async {
            let (status, text) = answer(router.clone(), request).await;
            let busy = status == StatusCode::TOO_MANY_REQUESTS;
            assert!(!status.is_server_error(), "{status}: {text}");
            if bulk && status == StatusCode::OK {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
                assert_eq!(text.lines().count(), lines, "{text}");
                text.lines().for_each(check);
            } else if has_body {
                check(&text);
            }
            let next = Request::post("/v1/tokens").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
            let next = next.body(Body::from(r#"{"id":"u1","name":"ada"}"#)).expect("a request of constants");
            let (status, text) = answer(router.clone(), next).await;
            assert!(busy || status == StatusCode::OK || status == StatusCode::TOO_MANY_REQUESTS, "{status}: {text}");
        });
    });
}

/// An object, and if it refuses something, with a code and a message.
fn check(text: &str) {
    let object: Map<String, Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(object.contains_key("code"), object.contains_key("message"), "{text}");
}

async fn answer(router: Router, request: Request<Body>) -> (StatusCode, String) {
    let Ok(response) = router.oneshot(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("the API answers in UTF-8"))
}
