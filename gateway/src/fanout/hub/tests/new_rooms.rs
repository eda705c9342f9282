//! New rooms: a connection opens few of them, and uses old ones as before.

use std::time::Duration;

use tokio::time::sleep;

use super::world::{Gateway, at, memory};
use crate::fanout::session::{Answer, PostError};

#[tokio::test(start_paused = true)]
async fn a_connection_opens_few_new_rooms_and_joins_old_ones_as_before() {
    let mut gateway = Gateway::start(memory());
    gateway.join(at(1, 9), "old").send();
    gateway.joined(1).await;
    gateway.post(at(1, 9), "old", "k");
    gateway.posted(1).await.unwrap();
    gateway.leave(at(1, 9), "old", true);
    for n in 0..60 {
        gateway.join(at(0, 1), &format!("room {n}")).send();
        gateway.joined(0).await;
    }
    gateway.join(at(0, 1), "one more").send();
    assert!(matches!(gateway.answer(0).await, Answer::RoomLimit));
    gateway.join(at(0, 1), "old").send();
    gateway.joined(0).await;
    gateway.join(at(1, 2), "room 7").send();
    gateway.joined(1).await;
    gateway.join(at(1, 2), "one more").send();
    gateway.joined(1).await;
    sleep(Duration::from_secs(2)).await;
    gateway.join(at(0, 1), "later").send();
    gateway.joined(0).await;
}

#[tokio::test(start_paused = true)]
async fn posts_from_outside_open_no_more_rooms_than_joins() {
    let mut gateway = Gateway::start(memory());
    for n in 0..60 {
        gateway.post(at(0, 1), &format!("room {n}"), "k");
        assert_eq!(gateway.posted(0).await.unwrap().seq, 1);
    }
    gateway.post(at(0, 1), "one more", "k");
    assert_eq!(gateway.posted(0).await, Err(PostError::RoomLimit));
    gateway.post(at(0, 2), "one more", "k");
    assert_eq!(gateway.posted(0).await.unwrap().seq, 1, "another connection may");
    gateway.join(at(0, 1), "room 7").send();
    gateway.joined(0).await;
    gateway.post(at(0, 1), "room 7", "k2");
    assert_eq!(gateway.posted(0).await.unwrap().seq, 2, "a member may");
}
