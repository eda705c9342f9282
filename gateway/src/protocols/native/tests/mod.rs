//! What a native client sends and what it gets, as tables.

mod encoding;
mod joining;
mod moderation;
mod order;
mod requests;
mod sign_in;

use std::{collections::HashSet, sync::Arc};

use super::{Native, NativeSettings, identity};
use crate::{
    protocols::{
        Handshake, Protocol, Refusal,
        script::{Peer, UNIX, name, person},
    },
    rooms::{Access, Door, Origin, ProtocolId, RoomName},
    tokens::Verifier,
};

const KEY: &[u8] = b"signing key";

fn peer_with(anonymous: bool, rooms: Option<&[&str]>) -> Peer {
    let rooms = rooms.map(|rooms| rooms.iter().map(|room| name(room)).collect());
    accepted(settings(anonymous, None, rooms), None).unwrap()
}

fn settings(anonymous: bool, verifier: Option<Arc<Verifier>>, rooms: Option<HashSet<RoomName>>) -> NativeSettings {
    let door = Door { rooms, asks: !anonymous, guards: !anonymous, members_write: true };
    let access = Arc::new(Access::new([(ProtocolId::Native, door)]));
    NativeSettings { key: Arc::from(KEY), anonymous, verifier, access, message_bytes: 10_240 }
}

/// A peer whose upgrade has this `Authorization`.
fn accepted(settings: NativeSettings, authorization: Option<&str>) -> Result<Peer, Refusal> {
    let mut headers = http::HeaderMap::new();
    headers.extend(authorization.map(|value| (http::header::AUTHORIZATION, value.parse().unwrap())));
    let handshake = Handshake { target: "/chat", headers: &headers, public_url: "http://h", unix: UNIX };
    Native::new(settings).accept(&handshake).map(Peer::new)
}

fn peer() -> Peer {
    peer_with(true, None)
}

/// A peer who is ada and in room lobby.
fn ada() -> Peer {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"op":"join","room":"lobby","name":"ada"}"#),
        ["join lobby as ada encoding 8 presence announce"]
    );
    peer.joined("lobby", 7);
    peer
}

fn you(name: &str) -> (String, String) {
    let id = identity::new_id(KEY, Origin { gateway: 7, connection: 1 });
    let token = identity::token(KEY, &person(&id, name), Some(identity::expiry(UNIX)));
    (format!(r#""you":{{"id":"{id}","name":"{name}","token":"{token}"}}"#), token)
}

fn error(id: &str, code: &str, message: &str) -> [String; 2] {
    [format!("refused {code}"), format!(r#"{{"op":"error",{id}"code":"{code}","message":"{message}"}}"#)]
}
