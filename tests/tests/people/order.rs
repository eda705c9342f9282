//! Ids of messages to a block: they follow the order of its room for everyone, at every gateway, for every author.

use std::collections::HashMap;

use parlor_tests::{
    client::{PATIENCE, native::Native},
    gateway::{Gateway, Setup},
    redis::RedisCluster,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    ask,
    person::{Person, block},
};

const SPEC: &str = "
protocols: {native: {}, multiperson: {}}
limits: {messagesPerSecond: 1000}
replicas: 2
redis: {managed: {}}
";

const SENDERS: usize = 4;
/// What each of them says at once, and a native client beside them.
const EACH: usize = 20;

/// (text, id) in the order in which they came.
type Messages = Vec<(String, String)>;

/// What a person was shown, and what was confirmed to them.
#[derive(Default)]
struct Heard {
    shown: Messages,
    confirmed: Messages,
}

impl Heard {
    fn said(&self, text: &str) -> bool {
        self.confirmed.iter().any(|(said, _)| said == text)
    }
}

fn message(frame: &Value) -> (String, String) {
    let field = |name: &str| frame[name].as_str().unwrap().to_owned();
    (field("message"), field("message_id"))
}

async fn login(gateway: &Gateway, name: &str) -> u64 {
    let (_, _, body) = ask(gateway, "POST", "/ws/login", &json!({"name": name}).to_string()).await;
    serde_json::from_str::<Value>(&body).unwrap()["data"]["user_id"].as_u64().unwrap()
}

async fn enter(gateway: &Gateway, name: &str) -> Person {
    let mut person = Person::enter(gateway, login(gateway, name).await).await;
    person.entered().await;
    person
}

/// Says `own` messages at once, and confirms each of `others`.
async fn talk(mut person: Person, own: usize, others: usize) -> (Person, Heard) {
    for n in 0..own {
        person.send(block(1), &format!("{} of {}", n, person.id)).await;
    }
    let mut heard = Heard::default();
    while heard.confirmed.len() < own || heard.shown.len() < others {
        let frame = person.frame().await;
        match frame["type"].as_str().unwrap() {
            "CONFIRM" => heard.confirmed.push(message(&frame)),
            "MESSAGE" => {
                heard.shown.push(message(&frame));
                person.confirm(frame).await;
            }
            other => panic!("{other} came: {frame}"),
        }
    }
    (person, heard)
}

/// Enters and leaves; what was kept.
async fn kept(gateway: &Gateway, id: u64) -> Messages {
    let (mut person, mut kept) = (Person::enter(gateway, id).await, Vec::new());
    loop {
        match person.frame().await {
            frame if frame["type"] == "PONG" => break,
            frame => kept.push(message(&frame)),
        }
    }
    person.leave().await;
    kept
}

async fn ids_follow_the_room(a: &Gateway, b: &Gateway) {
    let away = login(a, "away").await;
    let mut native = Native::connect(&a.url("/chat")).await.unwrap();
    native.join("1", "nat").await.unwrap();
    let (by_people, all) = (SENDERS * EACH, (SENDERS + 1) * EACH);
    let mut people = Vec::new();
    for n in 0..SENDERS + 2 {
        let gateway = if n % 2 == 0 { a } else { b };
        people.push((enter(gateway, &format!("person {n}")).await, if n < SENDERS { EACH } else { 0 }));
    }
    let talking: Vec<_> = people.into_iter().map(|(who, own)| tokio::spawn(talk(who, own, all - own))).collect();
    for n in 0..EACH {
        native.post("1", &n.to_string(), &format!("{n} of nat")).await.unwrap();
    }
    let order: Vec<_> = native.messages(all).await.unwrap().into_iter().map(|(_, text)| text).collect();
    let (mut heard, mut people) = (Vec::new(), Vec::new());
    for talking in talking {
        let (person, all) = talking.await.unwrap();
        people.push(person.id);
        person.leave().await;
        heard.push(all);
    }

    let ids: HashMap<_, _> = heard.last().unwrap().shown.iter().cloned().collect();
    for heard in &heard {
        let texts: Vec<_> = heard.shown.iter().map(|(text, _)| text).collect();
        assert_eq!(texts, order.iter().filter(|text| !heard.said(text)).collect::<Vec<_>>());
        assert!(heard.shown.is_sorted_by(|(_, one), (_, next)| one < next), "{:?}", heard.shown);
        for (text, id) in heard.shown.iter().chain(&heard.confirmed) {
            assert_eq!(ids[text], *id, "{text}");
            assert!(id.len() == 16 && id.parse::<u64>().unwrap() < 1 << 53, "{id}");
        }
    }

    let from_people = order.iter().filter(|text| !text.ends_with("nat"));
    let expected: Messages = from_people.map(|text| (text.clone(), ids[text].clone())).collect();
    assert_eq!((expected.len(), kept(b, away).await), (by_people, expected));
    let nothing_is_kept = async {
        for person in &people {
            while !kept(a, *person).await.is_empty() {}
        }
    };
    timeout(PATIENCE, nothing_is_kept).await.expect("what was confirmed is kept");

    // Sent again, at the other gateway.
    let mut again = enter(b, "person 0").await;
    let text = format!("0 of {}", again.id);
    assert_eq!(again.say(block(1), &text).await, ids[&text]);
    native.post("1", "end", "end").await.unwrap();
    assert_eq!(native.messages(1).await.unwrap()[0].1, "end");
}

#[tokio::test]
async fn ids_follow_the_room_at_a_gateway_with_memory() {
    let gateway = Gateway::start(&Setup::spec(SPEC)).await.unwrap();
    ids_follow_the_room(&gateway, &gateway).await;
}

#[tokio::test]
async fn ids_follow_the_room_at_two_gateways_and_outlive_one() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).redis(&redis.seeds());
    let (mut a, b) = (Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap());
    ids_follow_the_room(&a, &b).await;

    let absent = login(&b, "absent").await;
    let (sender, mut reader) = (enter(&a, "sender").await, enter(&b, "reader").await);
    sender.send(block(1), "last words").await;
    let shown = message(&reader.frame().await);
    a.kill().unwrap();
    // Whether they were kept or not, and whether that was confirmed or not.
    let mut sender = enter(&b, "sender").await;
    assert_eq!(("last words".to_owned(), sender.say(block(1), "last words").await), shown);
    assert_eq!(kept(&b, absent).await, [shown]);
    sender.say(block(1), "more").await;
    assert_eq!(reader.frame().await["message"], "more", "nothing is shown twice");
}
