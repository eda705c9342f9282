//! Every decoder, given what nobody would send: one function a target, which takes any bytes and panics when a property
//! does not hold.
//!
//! Two callers: `tests/bounded.rs` replays the corpus and a few thousand mutations of it in every test run, and libFuzzer
//! (`main.rs`, `tests/run fuzz`) follows the coverage for as long as it is given. A file in `corpus/` is read by both.
//!
//! Targets go through the seams that the gateway has anyway: the codec, [`parlor_gateway::fanout::session::Session`], the
//! protocols' routers, the stored forms of the bus. Nothing is decided here but what is right.

mod answers;
mod api;
mod endpoints;
mod fleet;
mod frames;
mod handshake;
mod manifest;
mod moderation;
pub mod mutate;
mod plan;
mod redis;
mod seed;
mod sessions;
mod settings;
mod speech;
mod stored;
mod tokens;

use parlor_gateway::rooms::ProtocolId;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 27] = [
    Target { name: "frames", run: frames::any_bytes },
    Target { name: "native", run: |data| sessions::script(ProtocolId::Native, data) },
    Target { name: "onlyone", run: |data| sessions::script(ProtocolId::OnlyOne, data) },
    Target { name: "relay", run: |data| sessions::script(ProtocolId::Relay, data) },
    Target { name: "match", run: |data| sessions::script(ProtocolId::Match, data) },
    Target { name: "multiperson", run: |data| sessions::script(ProtocolId::MultiPerson, data) },
    Target { name: "token", run: handshake::signed_token },
    Target { name: "jwt", run: tokens::token },
    Target { name: "jwks", run: tokens::keys },
    Target { name: "handshake", run: handshake::upgrade },
    Target { name: "proxy", run: handshake::introduction },
    Target { name: "head", run: handshake::whole_head },
    Target { name: "endpoints", run: endpoints::request },
    Target { name: "api", run: api::request },
    Target { name: "entry", run: stored::entry },
    Target { name: "stream", run: stored::stream },
    Target { name: "script", run: answers::script },
    Target { name: "signal", run: answers::published },
    Target { name: "topology", run: answers::topology },
    Target { name: "answer", run: redis::answer },
    Target { name: "nodes", run: redis::nodes },
    Target { name: "plan", run: plan::redis },
    Target { name: "fleet", run: fleet::reports },
    Target { name: "manifest", run: manifest::load },
    Target { name: "webhook", run: moderation::webhook },
    Target { name: "words", run: moderation::words },
    Target { name: "action", run: moderation::action },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
