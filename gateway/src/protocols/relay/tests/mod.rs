//! What a relay client sends and what it gets, byte for byte.

mod encoding;
mod endpoints;
mod session;

use std::{sync::Arc, time::Duration};

use prost::Message;

use super::{
    Relay, RelaySettings, token,
    wire::{BroadcastRoom, Package, SignIn},
};
use crate::{
    bus::{History, memory::MemoryBus},
    fanout::poster::Poster,
    moderation::Moderation,
    protocols::{
        Handshake, Protocol,
        script::{Peer, StandingStill, UNIX},
    },
    rooms::rates::Rate,
};

const KEY: &[u8] = b"relay key";

fn bus() -> Arc<MemoryBus> {
    Arc::new(MemoryBus::new(History { messages: 100, age: Duration::from_secs(60) }))
}

fn settings(bus: Arc<MemoryBus>) -> RelaySettings {
    RelaySettings {
        key: Arc::from(KEY),
        issue_tokens: true,
        access: Arc::default(),
        message_bytes: 100,
        poster: Poster::new(bus.clone(), Moderation::in_memory(bus.clock(), Arc::default())),
        rate: Rate::per_second(20),
        new_rooms: Rate::per_minute(3),
        clock: Arc::new(StandingStill),
    }
}

fn peer_with(settings: RelaySettings) -> Peer {
    let headers = http::HeaderMap::new();
    let handshake = Handshake { target: "/room", headers: &headers, public_url: "", unix: UNIX };
    Peer::new(Relay::new(settings).accept(&handshake).unwrap())
}

fn peer() -> Peer {
    peer_with(settings(bus()))
}

fn package(kind: i32, data: &[u8]) -> Vec<u8> {
    Package { r#type: kind, data: data.to_vec() }.encode_to_vec()
}

fn sign_in(uid: &str, room: &str) -> Vec<u8> {
    let sign_in = SignIn { token: token::issue(KEY, uid, UNIX), room_id: room.to_owned() };
    package(1, &sign_in.encode_to_vec())
}

fn message(room: &str, level: i32, data: &[u8]) -> Vec<u8> {
    let message = BroadcastRoom { room_id: room.to_owned(), level, data: data.to_vec() };
    package(3, &message.encode_to_vec())
}

/// A peer who is 42 and in room room3.
fn signed_in() -> Peer {
    let mut peer = peer();
    peer.binary(&sign_in("42", "room3"));
    peer.joined("room3", 0);
    peer
}
