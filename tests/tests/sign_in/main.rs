//! People with an identity from outside, on the sockets of a real gateway: signing in, renewing, the end of a token, and
//! keys that change while they are connected.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guarded;
mod login;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use parlor_tests::{
    client::{Refused, Socket, native::Native},
    gateway::{Gateway, Setup, refusal},
    signer::{Signer, jwks},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use self::login::Login;

const SECRET: &str = "the secret that login and gateway share";
/// Longer than a gateway takes to notice a change.
const SOON: Duration = Duration::from_secs(20);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A ChatRoom that takes tokens with these keys, and nobody else.
fn closed(keys: &str) -> Setup {
    Setup::spec(&format!(
        "redis: {{memory: {{}}}}\nreplicas: 1\nprotocols: {{native: {{}}}}\nauth:\n  anonymous: false\n  jwt:\n    \
         issuer: https://login.example.com\n    audience: [chat]\n    keys: {keys}"
    ))
}

fn with_secret() -> Setup {
    closed("{secretRef: {name: login, key: secret}}").secret("login/secret", SECRET)
}

/// The claims of `sub` for `seconds`.
fn claims(sub: &str, seconds: u64) -> Value {
    json!({
        "iss": "https://login.example.com", "aud": ["chat"], "sub": sub, "name": format!("name of {sub}"),
        "iat": now(), "exp": now() + seconds
    })
}

async fn auth(native: &mut Native, token: &str) -> Result<Value> {
    native.ask(json!({"op": "auth", "token": token})).await
}

async fn join(native: &mut Native, room: &str) -> Result<Value> {
    native.ask(json!({"op": "join", "room": room})).await
}

/// Connects with an `Authorization` header; the status where that is refused.
async fn upgrade(gateway: &Gateway, authorization: &str) -> Result<Native, u16> {
    let mut request = gateway.url("/chat").into_client_request().unwrap();
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    let socket = Socket::upgrade(request, None).await;
    socket.map(Native::over).map_err(|error| error.downcast::<Refused>().unwrap().status)
}

/// Signs in on new connections until it works: the gateway notices new keys by itself.
async fn signs_in_soon(gateway: &Gateway, token: &str) {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let mut native = Native::connect(&gateway.url("/chat")).await.unwrap();
        let answer = auth(&mut native, token).await.unwrap();
        if answer["op"] == "authenticated" {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn two_people_sign_in_chat_and_are_who_their_tokens_say() {
    let gateway = Gateway::start(&with_secret()).await.unwrap();
    let signer = Signer::secret(SECRET);
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    let mut claims_of_ada = claims("ada", 600);
    claims_of_ada["role"] = "moderator".into();
    let answer = auth(&mut ada, &signer.token(&claims_of_ada).unwrap()).await.unwrap();
    assert_eq!(answer["you"], json!({"id": "j:ada", "name": "name of ada"}));
    assert_eq!((&answer["role"], &answer["expires"]), (&json!("moderator"), &claims_of_ada["exp"]));
    assert_eq!(join(&mut ada, "lobby").await.unwrap()["you"], json!({"id": "j:ada", "name": "name of ada"}));
    let bearer = format!("Bearer {}", signer.token(&claims("bob", 600)).unwrap());
    let mut bob = upgrade(&gateway, &bearer).await.unwrap_or_else(|status| panic!("{status}"));
    assert_eq!(join(&mut bob, "lobby").await.unwrap()["op"], "joined");
    bob.post("lobby", "k", "hello").await.unwrap();
    let item = ada.push("messages").await.unwrap()["items"][0].clone();
    assert_eq!((&item["from"]["id"], &item["body"]["text"]), (&json!("j:bob"), &json!("hello")));
}

#[tokio::test]
async fn without_a_good_token_nothing_is_joined_read_or_upgraded() {
    let gateway = Gateway::start(&with_secret()).await.unwrap();
    let signer = Signer::secret(SECRET);
    let mut eve = Native::connect(&gateway.url("/chat")).await.unwrap();
    for request in [
        json!({"op": "join", "room": "lobby", "name": "eve"}),
        json!({"op": "history", "room": "lobby"}),
        json!({"op": "members", "room": "lobby"}),
        json!({"op": "auth", "token": "a.b.c"}),
        json!({"op": "auth", "token": Signer::secret("another").token(&claims("eve", 60)).unwrap()}),
    ] {
        assert_eq!(eve.ask(request.clone()).await.unwrap()["code"], "unauthorized", "{request}");
    }
    let mut old = claims("eve", 0);
    old["exp"] = (now() - 10).into();
    let old = signer.token(&old).unwrap();
    assert_eq!(auth(&mut eve, &old).await.unwrap()["code"], "expired");
    assert_eq!(upgrade(&gateway, &format!("Bearer {old}")).await.err(), Some(401));
    assert_eq!(upgrade(&gateway, "Bearer nonsense").await.err(), Some(401));
    let refusals = gateway.refusals().await.unwrap();
    assert!(refusals[&("native".to_owned(), "unauthorized".to_owned())] >= 6, "{refusals:?}");
    assert!(refusals[&("native".to_owned(), "expired".to_owned())] >= 2, "{refusals:?}");
}

#[tokio::test]
async fn when_a_token_ends_posting_ends_and_a_new_one_lets_the_connection_continue() {
    let gateway = Gateway::start(&with_secret()).await.unwrap();
    let signer = Signer::secret(SECRET);
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    auth(&mut ada, &signer.token(&claims("ada", 2)).unwrap()).await.unwrap();
    join(&mut ada, "lobby").await.unwrap();
    ada.post("lobby", "before", "in time").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let post = json!({"op": "post", "room": "lobby", "key": "after", "body": {"text": "late"}});
    assert_eq!(ada.ask(post).await.unwrap()["code"], "expired");
    let history = ada.ask(json!({"op": "history", "room": "lobby"})).await.unwrap();
    assert_eq!(history["items"].as_array().unwrap().len(), 1, "reading continues: {history}");
    assert_eq!(auth(&mut ada, &signer.token(&claims("ada", 600)).unwrap()).await.unwrap()["op"], "authenticated");
    assert_eq!(ada.post("lobby", "after", "late").await.unwrap(), 2);
}

#[tokio::test]
async fn a_new_shared_secret_counts_without_a_restart_and_drops_nobody() {
    let gateway = Gateway::start(&with_secret()).await.unwrap();
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    let old = Signer::secret(SECRET);
    auth(&mut ada, &old.token(&claims("ada", 600)).unwrap()).await.unwrap();
    join(&mut ada, "lobby").await.unwrap();
    gateway.rotate("login/secret", "the new secret, which is as long as that\n").unwrap();
    let new = Signer::secret("the new secret, which is as long as that");
    signs_in_soon(&gateway, &new.token(&claims("bob", 600)).unwrap()).await;
    let mut late = Native::connect(&gateway.url("/chat")).await.unwrap();
    assert_eq!(auth(&mut late, &old.token(&claims("eve", 600)).unwrap()).await.unwrap()["code"], "unauthorized");
    ada.post("lobby", "k", "still here").await.unwrap();
    gateway.rotate("login/secret", "").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    signs_in_soon(&gateway, &new.token(&claims("bob", 600)).unwrap()).await;
    assert!(gateway.counter("jwt_keys_failed").await.unwrap() > 0, "an empty file leaves the old keys");
}

#[tokio::test]
async fn public_keys_in_a_secret_are_read_as_jwks_and_as_pem() {
    let (ec, rsa) = (Signer::ec().unwrap(), Signer::rsa().unwrap().named("r1"));
    let setup = closed("{jwksRef: {name: login, key: keys}}").secret("login/keys", &ec.pem());
    let gateway = Gateway::start(&setup).await.unwrap();
    signs_in_soon(&gateway, &ec.token(&claims("ada", 600)).unwrap()).await;
    gateway.rotate("login/keys", &jwks(&[&rsa])).unwrap();
    signs_in_soon(&gateway, &rsa.token_with("PS256", &claims("ada", 600)).unwrap()).await;
}

#[tokio::test]
async fn keys_of_a_login_are_fetched_rotated_at_once_and_kept_while_it_is_away() {
    let (old, new) = (Signer::ec().unwrap().named("old"), Signer::ec().unwrap().named("new"));
    let login = Login::start(jwks(&[&old])).await.unwrap();
    let gateway = Gateway::start(&closed(&format!("{{jwksURL: '{}'}}", login.url()))).await.unwrap();
    signs_in_soon(&gateway, &old.token(&claims("ada", 600)).unwrap()).await;
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    auth(&mut ada, &old.token(&claims("ada", 600)).unwrap()).await.unwrap();
    join(&mut ada, "lobby").await.unwrap();

    // The first token with the new key waits for it.
    login.publish(jwks(&[&old, &new]));
    let mut bob = Native::connect(&gateway.url("/chat")).await.unwrap();
    let answer = auth(&mut bob, &new.token(&claims("bob", 600)).unwrap()).await.unwrap();
    assert_eq!(answer["op"], "authenticated", "{answer}\n{}", gateway.log());

    login.fail();
    let unknown = Signer::ec().unwrap().named("made up").token(&claims("eve", 600)).unwrap();
    let mut eve = Native::connect(&gateway.url("/chat")).await.unwrap();
    let answer = auth(&mut eve, &unknown).await.unwrap();
    assert!(["unauthorized", "unavailable"].contains(&answer["code"].as_str().unwrap()), "{answer}");
    signs_in_soon(&gateway, &new.token(&claims("bob", 600)).unwrap()).await;
    assert!(gateway.counter("jwt_keys_failed").await.unwrap() > 0);
    assert!(gateway.log().contains("failed to load the keys of tokens"), "{}", gateway.log());
    ada.post("lobby", "k", "still here").await.unwrap();
}

#[tokio::test]
async fn made_up_keys_do_not_make_a_gateway_flood_the_login() {
    let real = Signer::ec().unwrap().named("real");
    let login = Login::start(jwks(&[&real])).await.unwrap();
    let gateway = Gateway::start(&closed(&format!("{{jwksURL: '{}'}}", login.url()))).await.unwrap();
    signs_in_soon(&gateway, &real.token(&claims("ada", 600)).unwrap()).await;
    let began = login.asked();
    let made_up = Signer::ec().unwrap().named("made up").token(&claims("eve", 600)).unwrap();
    for _ in 0..200 {
        assert!(upgrade(&gateway, &format!("Bearer {made_up}")).await.is_err());
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let fetches = login.asked() - began;
    assert!(fetches <= 4, "{fetches} fetches");
}

#[tokio::test]
async fn keys_that_cannot_be_used_end_the_start_and_name_the_field() {
    let table = [
        (closed("{secretRef: {name: login, key: secret}}"), "spec.auth.jwt.keys.secretRef: login/secret needs"),
        (
            closed("{secretRef: {name: login, key: x}}").secret("login/secret", "s"),
            "spec.auth.jwt.keys.secretRef: failed",
        ),
        (closed("{jwksRef: {name: a, key: b}}").secret("a/b", "hello"), "spec.auth.jwt.keys.jwksRef: neither a JWKS"),
        (
            closed("{jwksRef: {name: a, key: b}}").secret("a/b", "{\"keys\":[]}"),
            "spec.auth.jwt.keys.jwksRef: has no key",
        ),
    ];
    for (setup, says) in table {
        let (code, error) = refusal(&setup).await.unwrap();
        assert_eq!(code, 64, "{error}");
        assert!(error.contains(says), "{error}");
    }
}
