//! A room that one protocol guards, seen from the doors of the others.

use parlor_tests::{
    client::{http::Request, native::Native},
    gateway::{Gateway, Setup},
    signer::Signer,
};
use serde_json::{Value, json};

use super::{SECRET, auth, claims, now};

const KEY: &str = "the key of relay's tokens";
/// Relay hands its tokens out selectively, and lists a room and the number of a block.
const SPEC: &str = "
redis: {memory: {}}
replicas: 1
protocols:
  native: {}
  relay: {rooms: [staff, '7'], issueTokens: false, tokenKey: {secretRef: {name: relay, key: key}}}
  onlyone: {rooms: [hall]}
  multiperson: {}
auth: {jwt: {keys: {secretRef: {name: login, key: secret}}}}
";

async fn start() -> Gateway {
    let setup = Setup::spec(SPEC.trim()).secret("relay/key", KEY).secret("login/secret", SECRET);
    Gateway::start(&setup).await.unwrap()
}

/// A server says something in a room, with a token that it was given.
async fn relay_says(gateway: &Gateway, room: &str, text: &str) -> Value {
    let token = Signer::secret(KEY).token(&json!({"uid": "42", "iat": now() - 1, "exp": now() + 60})).unwrap();
    let request = Request {
        method: "POST".to_owned(),
        target: "/msg".to_owned(),
        headers: vec![("Authorization".to_owned(), token), ("Content-Type".to_owned(), "application/json".to_owned())],
        body: json!({"room_id": room, "msg": text}).to_string().into_bytes(),
    };
    let answer = request.send("localhost", gateway.address("shared").unwrap()).await.unwrap();
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn a_room_that_relay_guards_is_not_read_or_written_through_native_by_strangers() {
    let gateway = start().await;
    assert_eq!(relay_says(&gateway, "staff", "between us").await["msg"], "suc");
    let mut eve = Native::connect(&gateway.url("/chat")).await.unwrap();
    for (op, more) in [("join", "name"), ("history", "limit"), ("members", "limit")] {
        let mut request = json!({"op": op, "room": "staff"});
        request[more] = if more == "name" { json!("eve") } else { json!(10) };
        assert_eq!(eve.ask(request.clone()).await.unwrap()["code"], "unauthorized", "{request}");
    }
    assert_eq!(eve.join("lobby", "eve").await.unwrap().seq, 0, "other rooms are open");
    let post = json!({"op": "post", "room": "staff", "body": {"text": "hi"}});
    assert_eq!(eve.ask(post).await.unwrap()["op"], "error");
}

#[tokio::test]
async fn a_person_whom_the_login_knows_reads_a_guarded_room() {
    let gateway = start().await;
    relay_says(&gateway, "staff", "between us").await;
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    auth(&mut ada, &Signer::secret(SECRET).token(&claims("ada", 600)).unwrap()).await.unwrap();
    let history = ada.ask_for(json!({"op": "history", "room": "staff"}), "history").await.unwrap();
    assert_eq!(history["items"][0]["body"]["text"], "between us");
    let mut elsewhere = claims("bob", 600);
    elsewhere["rooms"] = json!(["lobby"]);
    let mut bob = Native::connect(&gateway.url("/chat")).await.unwrap();
    auth(&mut bob, &Signer::secret(SECRET).token(&elsewhere).unwrap()).await.unwrap();
    assert_eq!(bob.ask(json!({"op": "history", "room": "staff"})).await.unwrap()["code"], "forbidden");
}
