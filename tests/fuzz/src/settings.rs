//! A ChatRoom that serves every protocol, over a bus in memory.

use std::{sync::Arc, time::Duration};

use parlor_gateway::{
    bus::{Bus, History, memory::MemoryBus},
    directory::{Directory, memory::MemoryDirectory},
    fanout::{poster::Poster, recent::Recent},
    http::SystemClock,
    moderation::Moderation,
    protocols::{
        self, Protocol, matching, multiperson, native,
        onlyone::{self, ProcessStats, TokenKey},
        relay,
    },
    rooms::{Access, Door, ProtocolId, RoomName, rates::Rate},
};

/// Signs every token of the corpus.
pub(crate) const KEY: &[u8] = b"sixteen byte key";
/// What `onlyone` serves and relay people sign in to in the corpus.
pub(crate) const ROOM: &str = "onlyOne";
/// Longest message in bytes.
pub(crate) const MESSAGE_BYTES: usize = 10_240;

/// A bus, and the directory beside it.
pub(crate) struct Stores {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) moderation: Arc<Moderation>,
}

/// Empty ones.
pub(crate) fn stores() -> Stores {
    let bus = MemoryBus::new(History { messages: 1000, age: Duration::from_secs(3600) });
    let directory = Arc::new(MemoryDirectory::new(bus.clock()));
    let moderation = Moderation::in_memory(bus.clock(), Arc::default());
    Stores { bus: Arc::new(bus), directory, moderation }
}

/// All protocols, in the order of their numbers; `checked` asks OnlyOne clients for Origin and token.
pub(crate) fn protocols(Stores { bus, directory, moderation }: &Stores, checked: bool) -> Vec<Arc<dyn Protocol>> {
    let key: Arc<[u8]> = KEY.into();
    let room = RoomName::new(ROOM).expect("a constant that is a room name");
    let native = Door { members_write: true, ..Door::default() };
    let onlyone = Door { rooms: Some([room.clone()].into()), ..Door::default() };
    let access = Arc::new(Access::new([(ProtocolId::Native, native), (ProtocolId::OnlyOne, onlyone)]));
    protocols::registry(protocols::ProtocolSettings {
        native: Some(native::NativeSettings {
            key: key.clone(),
            anonymous: true,
            verifier: None,
            access: Arc::clone(&access),
            message_bytes: 10_240,
        }),
        onlyone: Some(onlyone::OnlyOneSettings {
            rooms: vec![room.clone()],
            access: Arc::clone(&access),
            token_key: checked.then(|| TokenKey::try_from(KEY).expect("a constant of 16 bytes")),
            allowed_origins: if checked { vec!["https://chat.example".to_owned()] } else { Vec::new() },
            public_url: String::new(),
            process_stats: Arc::new(ProcessStats::new(2)),
        }),
        relay: Some(relay::RelaySettings {
            key: key.clone(),
            issue_tokens: true,
            access: Arc::clone(&access),
            message_bytes: MESSAGE_BYTES,
            poster: Poster::new(bus.clone(), moderation.clone()),
            rate: Rate::per_second(1_000_000),
            new_rooms: Rate::per_minute(1_000_000),
            clock: Arc::new(SystemClock),
        }),
        matching: Some(matching::MatchSettings { key, grace: Duration::from_secs(30) }),
        multiperson: Some(multiperson::MultiPersonSettings {
            room,
            access,
            welcome: true,
            directory: directory.clone(),
            poster: Poster::new(bus.clone(), moderation.clone()),
            recent: Recent::new(bus.clone()),
        }),
    })
}
