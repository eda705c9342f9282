//! What moderators do reaches the connections that it concerns.

use std::{sync::Arc, time::Duration};

use super::world::{Gateway, at, memory, room};
use crate::{
    fanout::messages::{ConnectionId, ToReactor},
    moderation::{News, NewsCode},
};

/// The connections that learn within a while that somebody (None: everybody in the room) was kicked.
async fn told(gateway: &mut Gateway, name: &str, person: Option<&str>) -> Vec<ConnectionId> {
    let person = person.map(Arc::from);
    let news =
        News { room: room(name), person, code: NewsCode::Kicked, until: None, remaining: None, addresses_of: None };
    gateway.hub.moderated(news).await;
    let heard = gateway.during(0, Duration::from_millis(200)).await;
    let mut told: Vec<_> = heard
        .into_iter()
        .filter_map(|message| match message {
            ToReactor::Moderated { to, news } if news.code == NewsCode::Kicked => Some(to),
            _ => None,
        })
        .collect();
    told.sort_by_key(|to| to.slot);
    told
}

#[tokio::test(start_paused = true)]
async fn a_person_is_notified_on_each_of_their_connections_in_the_room_and_nobody_else_is() {
    let mut gateway = Gateway::start(memory());
    for (slot, name) in [(1, "lobby"), (2, "lobby"), (1, "attic")] {
        gateway.join(at(0, slot), name).send();
        gateway.joined(0).await;
    }
    assert_eq!(told(&mut gateway, "lobby", Some("p1")).await, [at(0, 1)]);
    assert_eq!(told(&mut gateway, "attic", Some("p2")).await, []);
    assert_eq!(told(&mut gateway, "lobby", None).await, [at(0, 1), at(0, 2)]);
    assert_eq!(told(&mut gateway, "elsewhere", None).await, []);
    gateway.leave(at(0, 1), "lobby", true);
    assert_eq!(told(&mut gateway, "lobby", Some("p1")).await, []);
}
