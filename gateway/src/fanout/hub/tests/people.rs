//! Who is in a room: counts, announcements, presence, typing.

use std::time::Duration;

use tokio::time::sleep;

use super::world::{Gateway, at, author, memory, room};
use crate::{
    fanout::{
        messages::{ToHub, ToReactor},
        session::{Answer, Ask},
    },
    rooms::Signal,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn members_are_counted_within_a_second() {
    let mut gateway = Gateway::start(memory());
    for slot in 0..3 {
        gateway.join(at(0, slot), "lobby").send();
        gateway.joined(0).await;
    }
    gateway.leave(at(0, 0), "lobby", false);
    sleep(SECOND).await;
    gateway.ask(at(1, 9), Ask::Members { room: room("lobby") });
    assert!(matches!(gateway.answer(1).await, Answer::Members(2)));
}

#[tokio::test(start_paused = true)]
async fn coming_and_going_is_announced_to_the_others() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    gateway.join(at(1, 2), "lobby").announced().send();
    assert!(gateway.joined(1).await.0.announced);
    assert_eq!(gateway.chunk(0).await, "p2 joins true");
    gateway.leave(at(1, 2), "lobby", true);
    assert_eq!(gateway.chunk(0).await, "p2 leaves true");
}

#[tokio::test(start_paused = true)]
async fn above_fifty_joins_a_second_only_the_joiner_knows() {
    let mut gateway = Gateway::start(memory());
    for slot in 0..80 {
        gateway.join(at(0, slot), "lobby").announced().send();
    }
    let mut announced = 0;
    for _ in 0..80 {
        announced += u32::from(gateway.joined(0).await.0.announced);
    }
    assert_eq!(announced, 50);
}

#[tokio::test(start_paused = true)]
async fn presence_is_told_once_a_second_to_those_who_asked() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 0), "lobby").announced().watching().send();
    gateway.join(at(1, 99), "lobby").send();
    gateway.joined(0).await;
    gateway.during(0, SECOND * 3).await;
    for slot in 1..=30 {
        gateway.join(at(1, slot), "lobby").announced().send();
        sleep(SECOND / 15).await;
        gateway.during(1, Duration::from_millis(1)).await;
    }
    let told = presence(&gateway.during(0, SECOND * 3).await);
    assert!(told.len() <= 4, "{told:?}");
    assert_eq!(told.last().unwrap().0, 32);
    assert!(told.iter().all(|(_, names)| *names <= 20));
    assert!(presence(&gateway.during(1, SECOND).await).is_empty());
}

fn presence(messages: &[ToReactor]) -> Vec<(u64, usize)> {
    let told = |message: &ToReactor| match message {
        ToReactor::Presence { presence, .. } => Some((presence.members, presence.joined.len())),
        _ => None,
    };
    messages.iter().filter_map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn typing_is_passed_on_once_a_second_and_person() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    for _ in 0..20 {
        let signal = Signal::Typing { from: author("ada") };
        gateway.send(ToHub::Signal { room: room("lobby"), signal });
        sleep(SECOND / 10).await;
    }
    let chunks = gateway.during(0, SECOND).await;
    assert_eq!(chunks.iter().filter(|message| matches!(message, ToReactor::Chunk { .. })).count(), 2);
}
