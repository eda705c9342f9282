//! Messages, history and identities, on one gateway with memory and on two of a Redis Cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use parlor_tests::{client::native::Native, redis::RedisCluster};
use serde_json::json;

use crate::{Api, MEMORY, get, memory, post, setup};

#[tokio::test]
async fn members_read_what_is_published_under_the_tokens_name_or_under_another() {
    let api = memory().await;
    let mut ada = Native::connect(&api.gateway.url("/chat")).await.unwrap();
    ada.join("lobby", "ada").await.unwrap();
    let (status, first) = api.publish("lobby", r#"{"body":{"text":"from the shop"}}"#).await;
    assert_eq!((status, &first["seq"], &first["duplicate"]), (200, &json!(1), &json!(false)), "{first}");
    let frame = ada.push("messages").await.unwrap();
    assert_eq!(frame["items"][0]["from"], json!({"id": "api:shop", "name": "shop"}));
    assert_eq!(frame["items"][0]["time"], first["time"]);
    let (status, _) =
        api.publish("lobby", r#"{"body":{"text":"hi","n":1},"from":{"id":"u1","name":"Jose\u0301"}}"#).await;
    assert_eq!(status, 200);
    let frame = ada.push("messages").await.unwrap();
    assert_eq!(frame["items"][0]["from"], json!({"id": "u1", "name": "José"}), "names are in normalization form C");
    assert_eq!(frame["items"][0]["body"], json!({"text": "hi", "n": 1}));
}

#[tokio::test]
async fn what_a_message_must_not_hold_is_refused_by_the_rules_of_native() {
    let api = memory().await;
    let long = "x".repeat(129);
    let table = [
        ("lobby", "not json".to_owned(), 400),
        ("lobby", "{}".to_owned(), 400),
        ("lobby", r#"{"body":"text"}"#.to_owned(), 400),
        ("lobby", r#"{"body":{"a":1e999}}"#.to_owned(), 400),
        ("lobby", r#"{"body":{},"from":{"id":"u1"}}"#.to_owned(), 400),
        ("lobby", r#"{"body":{},"from":{"id":"","name":"ada"}}"#.to_owned(), 400),
        ("lobby", r#"{"body":{},"from":{"id":"u1","name":" "}}"#.to_owned(), 400),
        ("lobby", r#"{"body":{},"from":{"id":"u1","name":"a\u202eb"}}"#.to_owned(), 400),
        ("lobby", r#"{"body":{},"from":{"id":"api:billing","name":"billing"}}"#.to_owned(), 400),
        ("lobby", format!(r#"{{"body":{{}},"from":{{"id":"u1","name":"{long}"}}}}"#), 413),
        ("lobby", format!(r#"{{"body":{{"text":"{}"}}}}"#, "x".repeat(10_240)), 413),
        ("lobby", format!(r#"{{"body":{{"text":"{}"}}}}"#, "x".repeat(100_000)), 413),
        ("%01inbox", r#"{"body":{}}"#.to_owned(), 400),
        ("%FF", r#"{"body":{}}"#.to_owned(), 400),
        (&long, r#"{"body":{}}"#.to_owned(), 413),
    ];
    for (room, body, wanted) in table {
        let (status, answer) = api.publish(room, &body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(status, wanted, "{shown}: {answer}");
        assert_eq!(answer["code"], if wanted == 413 { "too_large" } else { "bad_request" }, "{shown}: {answer}");
        assert!(answer["message"].is_string(), "{answer}");
    }
    let (_, page) = api.ask(get("/v1/rooms/lobby/messages")).await;
    assert_eq!(page["items"], json!([]), "nothing of it was kept");
}

#[tokio::test]
async fn a_message_named_by_a_key_is_stored_once_on_any_gateway_and_after_a_restart() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = setup("redis: {managed: {}}\nreplicas: 2\n").redis(&redis.seeds());
    let (first, second) = (Api::start(&setup).await, Api::start(&setup).await);
    let mut ada = Native::connect(&second.gateway.url("/chat")).await.unwrap();
    ada.join("lobby", "ada").await.unwrap();
    let named =
        |key: &str| post("/v1/rooms/lobby/messages", r#"{"body":{"text":"order 7"}}"#).header("Idempotency-Key", key);
    let (status, posted) = first.ask(named("k1")).await;
    assert_eq!((status, &posted["duplicate"]), (200, &json!(false)), "{posted}");
    assert_eq!(ada.messages(1).await.unwrap(), [(1, "order 7".to_owned())], "published on one, read on the other");
    let (_, again) = second.ask(named("k1")).await;
    assert_eq!((&again["seq"], &again["epoch"], &again["duplicate"]), (&posted["seq"], &posted["epoch"], &json!(true)));
    drop(first);
    let third = Api::start(&setup).await;
    let (_, again) = third.ask(named("k1")).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)), "after a restart");
    let (_, next) = third.ask(named("k2")).await;
    assert_eq!((&next["seq"], &next["duplicate"]), (&json!(2), &json!(false)));
    let long = "k".repeat(129);
    assert_eq!(third.ask(named(&long)).await.0, 413);
}

#[tokio::test]
async fn a_room_is_read_page_by_page() {
    let api = memory().await;
    for n in 1..=5 {
        api.publish("lobby", &format!(r#"{{"body":{{"text":"{n}"}}}}"#)).await;
    }
    let (status, newest) = api.ask(get("/v1/rooms/lobby/messages?limit=2")).await;
    let seqs = |page: &serde_json::Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((status, seqs(&newest), &newest["more"]), (200, vec![4, 5], &json!(true)));
    let (_, older) = api.ask(get("/v1/rooms/lobby/messages?before=4")).await;
    assert_eq!((seqs(&older), &older["more"]), (vec![1, 2, 3], &json!(false)));
    assert_eq!(older["epoch"], newest["epoch"]);
    for wrong in ["limit=0", "limit=101", "limit=x", "before=-1"] {
        let (status, answer) = api.ask(get(&format!("/v1/rooms/lobby/messages?{wrong}"))).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn people_are_named_over_all_gateways_also_by_one_that_has_no_member() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = setup("redis: {managed: {}}\nreplicas: 2\n").redis(&redis.seeds());
    let (first, second) = (Api::start(&setup).await, Api::start(&setup).await);
    let mut people = Vec::new();
    for name in ["ada", "bob"] {
        let mut person = Native::connect(&second.gateway.url("/chat")).await.unwrap();
        person.join("lobby", name).await.unwrap();
        people.push(person);
    }
    tokio::time::sleep(Duration::from_millis(1300)).await;
    for api in [&first, &second] {
        let (status, members) = api.ask(get("/v1/rooms/lobby/members")).await;
        let names: BTreeSet<_> =
            members["people"].as_array().unwrap().iter().map(|who| who["name"].as_str().unwrap()).collect();
        assert_eq!((status, &members["count"], &members["more"]), (200, &json!(2), &json!(false)), "{members}");
        assert_eq!(names, BTreeSet::from(["ada", "bob"]));
    }
    let (_, one) = first.ask(get("/v1/rooms/lobby/members?limit=1")).await;
    assert_eq!((one["people"].as_array().unwrap().len(), &one["more"]), (1, &json!(true)), "{one}");
    let (_, nobody) = first.ask(get("/v1/rooms/empty/members")).await;
    assert_eq!((&nobody["count"], &nobody["people"]), (&json!(0), &json!([])), "{nobody}");
    assert_eq!(first.ask(get("/v1/rooms/lobby/members?limit=0")).await.0, 400);
}

/// Every room with its seq, page by page.
async fn all_rooms(api: &Api) -> BTreeMap<String, u64> {
    let (mut rooms, mut next) = (BTreeMap::new(), String::new());
    loop {
        let (status, page) = api.ask(get(&format!("/v1/rooms{next}"))).await;
        assert_eq!(status, 200, "{page}");
        for room in page["rooms"].as_array().unwrap() {
            rooms.insert(room["room"].as_str().unwrap().to_owned(), room["seq"].as_u64().unwrap());
        }
        match page["next"].as_str() {
            Some(after) => next = format!("?after={after}"),
            None => return rooms,
        }
    }
}

#[tokio::test]
async fn every_room_in_which_something_was_said_is_listed() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let shared = Api::start(&setup("redis: {managed: {}}\nreplicas: 2\n").redis(&redis.seeds())).await;
    for api in [shared, memory().await] {
        let line = |n: u64| format!("{{\"room\":\"room {}\",\"body\":{{}}}}\n", n % 700);
        let answers = api.publish_all(&(0..1400).map(line).collect::<String>()).await;
        assert!(answers.iter().all(|answer| answer["seq"].is_u64()));
        let wanted: BTreeMap<_, _> = (0..700).map(|n| (format!("room {n}"), 2)).collect();
        assert_eq!(all_rooms(&api).await, wanted);
        let (status, answer) = api.ask(get("/v1/rooms?after=nonsense!")).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")));
    }
}

#[tokio::test]
async fn an_identity_that_was_signed_joins_where_strangers_may_not() {
    let api = Api::start(&setup(&format!("{MEMORY}auth: {{anonymous: false}}\nprotocols: {{native: {{}}}}\n"))).await;
    let (status, identity) = api.ask(post("/v1/tokens", r#"{"id":"customer-7","name":"ada"}"#)).await;
    assert_eq!(status, 200, "{identity}");
    assert!(identity["expires"].as_u64() > Some(1_700_000_000), "{identity}");
    let mut ada = Native::connect(&api.gateway.url("/chat")).await.unwrap();
    let stranger = ada.ask(json!({"op": "join", "room": "lobby", "name": "ada"})).await.unwrap();
    assert_eq!(stranger["code"], "unauthorized");
    let join = json!({"op": "join", "room": "lobby", "name": "ada", "token": identity["token"]});
    let joined = ada.ask_for(join, "joined").await.unwrap();
    assert_eq!((&joined["you"]["id"], &joined["you"]["name"]), (&json!("customer-7"), &json!("ada")));
    for wrong in [r#"{"id":"u1"}"#, r#"{"id":"api:shop2","name":"ada"}"#, r#"{"id":"u1","name":""}"#] {
        let (status, answer) = api.ask(post("/v1/tokens", wrong)).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{wrong}: {answer}");
    }
    let without = Api::start(&setup(&format!("{MEMORY}protocols: {{relay: {{}}}}\n"))).await;
    let (status, answer) = without.ask(post("/v1/tokens", r#"{"id":"u1","name":"ada"}"#)).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));
}
