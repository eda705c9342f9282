//! Posts become chunks: in order, once, for everybody who reads.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    super::HubSettings,
    world::{Gateway, OTHER, at, memory},
};
use crate::fanout::session::Answer;

#[tokio::test(start_paused = true)]
async fn a_post_is_acknowledged_and_delivered_to_every_reactor() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 1), "lobby").send();
    gateway.join(at(1, 2), "lobby").encoding(OTHER).send();
    let (joined, backlog) = gateway.joined(0).await;
    assert_eq!((joined.head.seq, joined.recovered, backlog.as_str()), (0, false, ""));
    assert_eq!(gateway.joined(1).await.0.members, 2);
    gateway.post(at(0, 1), "lobby", "a");
    assert_eq!(gateway.posted(0).await.unwrap().seq, 1);
    assert_eq!(gateway.chunk(0).await, "1:a");
    assert_eq!(gateway.chunk(1).await, "other 1:a");
}

#[tokio::test(start_paused = true)]
async fn two_gateways_on_one_bus_show_the_same_order() {
    let bus = memory();
    let (mut one, mut two) = (Gateway::start(bus.clone()), Gateway::start(bus));
    one.join(at(0, 1), "lobby").send();
    two.join(at(0, 2), "lobby").send();
    one.joined(0).await;
    two.joined(0).await;
    for n in 0..20 {
        let gateway = if n % 2 == 0 { &one } else { &two };
        gateway.post(at(0, 1), "lobby", &n.to_string());
    }
    let (mut first, mut second) = (String::new(), String::new());
    while first.split_whitespace().count() < 20 {
        first += &(one.chunk(0).await + " ");
    }
    while second.split_whitespace().count() < 20 {
        second += &(two.chunk(0).await + " ");
    }
    assert_eq!(first, second);
    assert!(first.split_whitespace().zip(1..).all(|(entry, seq)| entry.starts_with(&format!("{seq}:"))));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_encoded_once_an_encoding() {
    let mut gateway = Gateway::start(memory());
    for slot in 0..100 {
        gateway.join(at(slot as u16 % 2, slot), "lobby").send();
    }
    gateway.joined(0).await;
    gateway.during(0, Duration::from_millis(100)).await;
    let before = gateway.hub.totals().encoded;
    gateway.post(at(0, 1), "lobby", "a");
    assert_eq!(gateway.chunk(0).await, "1:a");
    assert_eq!(gateway.chunk(1).await, "1:a");
    assert_eq!(gateway.hub.totals().encoded - before, 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_sent_nothing_more() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 1), "lobby").send();
    gateway.join(at(1, 2), "lobby").send();
    gateway.joined(0).await;
    gateway.leave(at(0, 1), "lobby", true);
    gateway.post(at(1, 2), "lobby", "a");
    assert_eq!(gateway.chunk(1).await, "1:a");
    assert!(gateway.during(0, Duration::from_secs(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_holds_the_room_back_and_loses_nothing() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    for n in 0..200 {
        gateway.post(at(0, 1), "lobby", &n.to_string());
        sleep(Duration::from_millis(5)).await;
    }
    let mut seqs = Vec::new();
    while seqs.len() < 200 {
        let text = gateway.chunk(0).await;
        seqs.extend(text.split_whitespace().map(|entry| entry.split(':').next().unwrap().parse::<u64>().unwrap()));
    }
    assert!(seqs.into_iter().eq(1..=200));
}

#[tokio::test(start_paused = true)]
async fn rooms_beyond_the_limit_are_refused_until_one_is_left() {
    let mut gateway = Gateway::with(memory(), HubSettings { rooms: 1, ..HubSettings::default() });
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    gateway.join(at(1, 2), "garden").send();
    assert!(matches!(gateway.answer(1).await, Answer::RoomLimit));
    gateway.leave(at(0, 1), "lobby", true);
    sleep(Duration::from_millis(1)).await;
    gateway.join(at(1, 2), "garden").send();
    assert_eq!(gateway.joined(1).await.0.members, 1);
}

#[tokio::test(start_paused = true)]
async fn posts_are_answered_before_the_hub_stops() {
    let mut gateway = Gateway::start(memory());
    gateway.post(at(0, 1), "lobby", "a");
    gateway.hub.stop(Duration::from_secs(5)).await;
    assert!(gateway.posted(0).await.is_ok());
}
