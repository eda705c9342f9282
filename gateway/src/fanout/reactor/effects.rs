//! Carrying out what a session wants, in its order.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    connection::{Flags, Pending},
    counters::Counters,
    turn::Reactor,
};
use crate::{
    fanout::{
        codec,
        link::ToHub,
        session::{Answer, Ask, Effect, Input, Join, NewPost, OverRate, PostError},
    },
    rooms::Post,
};

/// An input that an effect brought about at once; told when the effects before it are done.
#[derive(Debug)]
pub(super) enum Deferred {
    /// The hub's queue is full.
    Full { tag: u64 },
    /// `limits.roomsPerConnection` is reached.
    RoomLimit,
}

/// What a session whose post did not fit into the hub's queue is told to wait, in milliseconds.
const RETRY: u64 = 500;

/// Replies that wait for a client before it is cut: only what the hub brings can get there, for a client that does not
/// take its replies is not read.
const MOST_REPLIES: usize = 4 << 20;

impl Reactor {
    /// Carries out what a session pushed to `effects`, and ends the session if that was what it wanted.
    pub(super) fn carry_out(&mut self, slot: usize) {
        self.carry_out_list(slot);
        // Once: a session that asks again at once for what it was refused would go on for ever.
        for deferred in std::mem::take(&mut self.deferred) {
            let input = match deferred {
                Deferred::Full { tag } => Input::Posted { tag, result: Err(PostError::Full { retry: RETRY }) },
                Deferred::RoomLimit => Input::Answer(Answer::RoomLimit),
            };
            let context = self.context(slot);
            if let Some(session) = self.connections.get(slot).and_then(|connection| connection.session.as_mut()) {
                session.handle(input, &context, &mut self.effects);
            }
            self.carry_out_list(slot);
            self.refuse_deferred(slot);
        }
        if self.connections.hot[slot].flags.any(Flags::CLOSING) {
            self.end_session(slot);
        }
    }

    fn carry_out_list(&mut self, slot: usize) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.effect(slot, effect);
        }
        self.effects = effects;
    }

    fn effect(&mut self, slot: usize, effect: Effect) {
        let ended = self.connections.hot[slot].flags.any(Flags::ENDED);
        match effect {
            Effect::Post(post) => self.post(slot, post, ended),
            Effect::Signal { room, signal } => {
                if self.offer(ToHub::Signal { room, signal }).is_err() {
                    Counters::add(&self.counters.signals_dropped, 1);
                }
            }
            Effect::Leave { room, asked } => self.leave(slot, room, asked),
            Effect::Tell(query) => {
                let from = self.connections.id(slot);
                self.deliver(slot, ToHub::Tell { from, query, at: Instant::now() });
            }
            Effect::Refused(reason) => self.count_refusal(slot, reason),
            // The rest needs a peer.
            _ if ended => {}
            Effect::Text(text) => self.reply(slot, codec::TEXT, text.as_bytes()),
            Effect::Binary(bytes) => self.reply(slot, codec::BINARY, &bytes),
            Effect::Ping => self.reply(slot, codec::PING, &[]),
            Effect::Join(join) => self.join(slot, join),
            Effect::Ask(ask) => self.ask(slot, ask),
            Effect::Timer(id, after) => self.set_timer(slot, u16::from(id.0), after),
            Effect::Cancel(id) => self.cancel_timer(slot, u16::from(id.0)),
            Effect::Close { code, reason } => self.start_closing(slot, Some(code), reason),
            Effect::Terminate => self.drop_connection(slot),
        }
    }

    /// Counts what was refused to a connection.
    pub(super) fn count_refusal(&mut self, slot: usize, reason: &'static str) {
        if let Some(protocol) = self.connections.get(slot).map(|connection| connection.protocol) {
            self.counters.refused(protocol, reason);
        }
    }

    /// Queues a frame for this connection alone.
    pub(super) fn reply(&mut self, slot: usize, first: u8, payload: &[u8]) {
        if self.connections.hot[slot].flags.any(Flags::ENDED) {
            return;
        }
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.replies > MOST_REPLIES {
            Counters::add(&self.counters.slow_disconnected, 1);
            self.count_refusal(slot, "slow_consumer");
            return self.drop_connection(slot);
        }
        connection.queue_reply(|bytes| codec::frame(bytes, first, payload));
        self.mark_dirty(slot);
    }

    fn join(&mut self, slot: usize, mut join: Join) {
        let most = self.settings.rooms_per_connection;
        let Some(connection) = self.connections.cold[slot].as_deref_mut() else { return };
        let reads = |reading: &super::connection::Reading| self.feeds[reading.feed as usize].name == join.room;
        if connection.rooms.len() >= most && !connection.rooms.iter().any(reads) {
            return self.deferred.push(Deferred::RoomLimit);
        }
        if connection.decoder.inflates() {
            join.encoding = join.encoding.deflated();
        }
        let (room, presence, protocol) = (join.room.clone(), join.presence, connection.protocol);
        if self.begin_asking(slot, Pending::Join { room, presence }) {
            let from = self.connections.id(slot);
            self.deliver(slot, ToHub::Join { from, protocol, join });
        }
    }

    fn ask(&mut self, slot: usize, ask: Ask) {
        if self.begin_asking(slot, Pending::Ask) {
            let from = self.connections.id(slot);
            self.deliver(slot, ToHub::Ask { from, ask });
        }
    }

    /// Notes what is pending. A second question at once is a session's mistake, which ends its connection.
    fn begin_asking(&mut self, slot: usize, pending: Pending) -> bool {
        let Some(connection) = self.connections.get(slot) else { return false };
        if connection.pending.is_some() {
            tracing::error!(protocol = ?connection.protocol, "a session asked while an answer was pending");
            self.start_closing(slot, Some(1011), "internal_error");
            return false;
        }
        connection.pending = Some(pending);
        self.stop_reading(slot, Flags::ASKING);
        true
    }

    fn post(&mut self, slot: usize, new: NewPost, ended: bool) {
        let origin = self.connections.origin(slot);
        let from = self.connections.id(slot);
        let Some(connection) = self.connections.get(slot) else { return };
        let (protocol, over_rate) = (connection.protocol, connection.over_rate);
        let NewPost { tag, room, from: author, key, content, durable } = new;
        let key = key.unwrap_or_else(|| self.unique_key(origin));
        let post = Post { room, from: author, protocol, key, content, durable, origin };
        let message = ToHub::Post { from, tag, post };
        if ended || over_rate == OverRate::StopReading {
            self.deliver(slot, message);
        } else if self.offer(message).is_err() {
            self.deferred.push(Deferred::Full { tag });
        }
    }

    /// A key that no other post of the ChatRoom has.
    fn unique_key(&mut self, origin: crate::rooms::Origin) -> Arc<str> {
        self.keys += 1;
        format!("{:x}-{:x}-{:x}", origin.gateway, origin.connection, self.keys).into()
    }

    fn refuse_deferred(&mut self, slot: usize) {
        for deferred in std::mem::take(&mut self.deferred) {
            tracing::error!(?deferred, "a session asked again at once for what it was refused");
            self.start_closing(slot, Some(1011), "internal_error");
        }
    }
}
