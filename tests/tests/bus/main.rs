//! The bus over memory, a single Redis and a Redis Cluster: what all three do alike, what is in the data, and what only
//! a cluster can survive.

mod amendments;
mod behaviour;
mod clock;
mod cost;
mod crowded;
mod data;
mod failover;
mod loss;
mod moving;
mod silent;

use std::sync::Arc;

use anyhow::Result;
use parlor_gateway::{
    bus::{Appended, Bus},
    rooms::{Author, Content, Origin, Partition, Post, ProtocolId, RoomName},
};
use serde_json::value::RawValue;

type Gateway = Arc<dyn Bus>;

fn room(name: &str) -> RoomName {
    RoomName::new(name).expect("the test names a valid room")
}

fn post(room: &RoomName, author: &str, key: &str, text: &str) -> Post {
    Post {
        room: room.clone(),
        from: Author { id: author.into(), name: "ada".into(), extra: Some("{\"a\":1}".into()) },
        protocol: ProtocolId::OnlyOne,
        key: key.into(),
        content: Content {
            body: RawValue::from_string(format!("{{\"text\":\"{text}\"}}")).expect("the test writes JSON"),
            verbatim: Some(vec![0, 13, 10, 255].into()),
        },
        amends: None,
        durable: false,
        origin: Origin { gateway: 1, connection: 2 },
    }
}

async fn say(bus: &Gateway, room: &RoomName, author: &str, key: &str) -> Result<Appended> {
    let group = [post(room, author, key, key)];
    Ok(bus.append(Partition::of(room), &group).await?.remove(0)?)
}
