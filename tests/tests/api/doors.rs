//! Who may use the API: known tokens, no browser; and nothing listens that was not asked for.

use std::time::{Duration, Instant};

use parlor_tests::{
    client::http::Request,
    gateway::{Gateway, Setup, refusal},
};

use crate::{Api, MEMORY, TOKEN, get, memory, post};

fn code(body: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    answer["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn only_known_tokens_pass_and_web_pages_never_do() {
    let api = memory().await;
    let request = || post("/v1/rooms/lobby/messages", r#"{"body":{}}"#);
    let table: [(Request, u16, &str); 8] = [
        (request(), 401, "unauthorized"),
        (request().bearer("wrong"), 401, "unauthorized"),
        (request().header("Authorization", TOKEN), 401, "unauthorized"),
        (request().bearer(TOKEN).header("Origin", "https://evil.example"), 403, "unauthorized"),
        (request().bearer(TOKEN).header("Sec-Fetch-Site", "same-origin"), 403, "unauthorized"),
        (get("/v1/nowhere").bearer(TOKEN), 404, "not_found"),
        (get("/v1/messages").bearer(TOKEN), 405, "unknown_op"),
        (
            Request { headers: vec![("Content-Type".into(), "text/plain".into())], ..request() }.bearer(TOKEN),
            415,
            "bad_request",
        ),
    ];
    for (request, status, wanted) in table {
        let answer = api.send(request.clone()).await;
        assert_eq!((answer.status, code(&answer.body)), (status, wanted.to_owned()), "{request:?}");
    }
    assert_eq!(api.send(get("/v1/nowhere")).await.status, 401, "a stranger learns nothing of paths");
    let shared = api.gateway.address("shared").unwrap();
    let answer = get("/v1/rooms/lobby/messages").bearer(TOKEN).send("a", shared).await.unwrap();
    assert_eq!(answer.status, 404, "the shared port has none of it");
}

#[tokio::test]
async fn tokens_are_added_and_revoked_without_a_restart() {
    let folder = std::env::temp_dir().join(format!("parlor-api-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("old"), "the old token of a shop").unwrap();
    let setup = Setup::spec(MEMORY).argument("--api").argument("127.0.0.1:0");
    let api = Api::start(&setup.argument("--api-tokens").argument(folder.to_string_lossy())).await;
    let status = async |token: &str| api.send(get("/v1/rooms/lobby/messages").bearer(token)).await.status;
    assert_eq!((status("the old token of a shop").await, status("the new token of a shop").await), (200, 401));
    std::fs::write(folder.join("new"), "the new token of a shop").unwrap();
    std::fs::remove_file(folder.join("old")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while (status("the old token of a shop").await, status("the new token of a shop").await) != (401, 200) {
        assert!(Instant::now() < deadline, "tokens are not read again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_chatroom_names_port_and_secret_and_without_it_nothing_listens() {
    let named =
        Setup::spec(&format!("{MEMORY}api: {{tokensRef: {{name: chat-api}}}}\n")).secret("chat-api/shop", TOKEN);
    let api = Api::start(&named.clone().argument("--api").argument("127.0.0.1:0")).await;
    assert_eq!(api.send(get("/v1/rooms/lobby/messages").bearer(TOKEN)).await.status, 200);
    let without = Gateway::start(&Setup::spec(MEMORY).secret("api/shop", TOKEN)).await.unwrap();
    assert!(without.address("api").is_err());
    let missing = Setup::spec(&format!("{MEMORY}api: {{tokensRef: {{name: chat-api}}}}\n"));
    let (code, said) = refusal(&missing).await.unwrap();
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("spec.api.tokensRef: the Secret chat-api needs --secrets DIR"), "{said}");
    let (code, said) = refusal(&missing.secret("other/x", "y")).await.unwrap();
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("spec.api.tokensRef: failed to read the server API's tokens in "), "{said}");
}

#[tokio::test]
async fn each_route_is_counted_by_the_class_of_its_answers() {
    let api = memory().await;
    api.publish("lobby", r#"{"body":{}}"#).await;
    api.publish("lobby", "{").await;
    let strange = Request { method: "BREW".into(), ..post("/v1/messages", "") };
    api.send(strange.bearer(TOKEN)).await;
    let (_, metrics) = api.gateway.admin_get("/metrics").await.unwrap();
    for line in [
        "parlor_api_requests_total{route=\"POST /v1/rooms/{room}/messages\",status=\"2xx\"} 1",
        "parlor_api_requests_total{route=\"POST /v1/rooms/{room}/messages\",status=\"4xx\"} 1",
        "parlor_api_requests_total{route=\"none\",status=\"4xx\"} 1",
        "parlor_api_request_seconds_count{route=\"POST /v1/rooms/{room}/messages\"} 2",
        "parlor_api_messages_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}
