//! What a session wants, carried out in its order.
//!
//! Decides what an effect means for the connection, its rooms and the hub. What has to come after it is returned as
//! [`Next`], so that no step runs inside another.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    clock::Now,
    counters::Counters,
    hub_port::{HubPort, Sent},
    ids::Slot,
    next::{Next, Todo},
    readers::Readers,
    sockets::{Key, Pending, Sockets},
    write,
};
use crate::{
    fanout::{
        codec,
        messages::ToHub,
        session::{Answer, Ask, Effect, IfGone, Input, Join, NewPost, OverRate, PostError},
    },
    moderation::{Moderation, Who},
    rooms::{Post, RoomName},
};

/// How long a session waits whose post did not fit into the hub's queue.
const RETRY: Duration = Duration::from_millis(500);
/// The close code of a connection that moves to another gateway.
pub(super) const MOVED: u16 = 1012;

/// What effects may touch.
pub(super) struct Stage<'a> {
    pub(super) sockets: &'a mut Sockets,
    pub(super) readers: &'a mut Readers,
    pub(super) hub: &'a mut HubPort,
    pub(super) moderation: &'a Arc<Moderation>,
    pub(super) counters: &'a Counters,
    pub(super) now: Now,
    pub(super) todo: &'a mut Todo,
}

impl Stage<'_> {
    /// Carries out one effect of the session in `slot`.
    pub(super) fn carry_out(&mut self, slot: Slot, effect: Effect) {
        let ended = self.sockets.is_ended(slot);
        match effect {
            Effect::Post(post) => self.post(slot, post, None, ended),
            Effect::PostForDirectory(post, if_gone) => self.post(slot, post, Some(if_gone), ended),
            Effect::Signal { room, signal } => {
                if self.hub.offer(ToHub::Signal { room, signal }).is_err() {
                    Counters::add(&self.counters.signals_dropped, 1);
                }
            }
            Effect::Leave { room, asked } => self.leave(slot, room, asked),
            Effect::Tell(query) => {
                let from = self.sockets.id(slot);
                self.deliver(slot, ToHub::Tell { from, query, at: Instant::now() });
            }
            Effect::Refused(reason) => self.sockets.count_refusal(slot, reason),
            // The rest needs a peer.
            _ if ended => {}
            Effect::Text(text) => self.reply(slot, codec::TEXT, text.as_bytes()),
            Effect::Binary(bytes) => self.reply(slot, codec::BINARY, &bytes),
            Effect::Ping => self.reply(slot, codec::PING, &[]),
            Effect::Join(join) => self.join(slot, join),
            Effect::Ask(ask) => self.ask(slot, ask),
            Effect::Standing { room, person } => {
                let news = self.moderation.news_of(&room, &person).into_iter();
                self.todo.extend(news.map(|news| Next::Tell(slot, Input::Moderated(Arc::new(news)))));
            }
            Effect::Timer(id, after) => {
                self.sockets.set_timer(slot, Key::Session(id), after, self.now.micros);
            }
            Effect::Cancel(id) => self.sockets.cancel_timer(slot, Key::Session(id)),
            Effect::Close { code, reason } => self.close(slot, Some(code), reason),
            Effect::Terminate => self.sockets.drop(slot),
        }
    }

    /// Nothing more of the room is written; the hub hears of it.
    pub(super) fn leave(&mut self, slot: Slot, room: RoomName, asked: bool) {
        self.readers.leave(slot, &room);
        let from = self.sockets.id(slot);
        self.deliver(slot, ToHub::Leave { from, room, asked });
    }

    /// Queues a close frame behind what is queued and what has come of its rooms by now.
    pub(super) fn close(&mut self, slot: Slot, code: Option<u16>, reason: &'static str) {
        if !self.sockets.begin_closing(slot) {
            return;
        }
        // A peer that has said goodbye reads nothing of what is queued now; one that moves reads it all.
        let mut read = if self.sockets.left_in_peace(slot) { self.readers.read_by(slot) } else { Vec::new() };
        write::settle_all(slot, self.sockets.table(), self.readers, self.counters);
        if code == Some(MOVED) {
            read = self.readers.read_by(slot);
        }
        self.sockets.queue_close(slot, code, reason, self.now.micros);
        self.todo.push_back(Next::End { slot, read });
    }

    fn reply(&mut self, slot: Slot, first: u8, payload: &[u8]) {
        if !self.sockets.table().reply(slot, first, payload) {
            self.cut_slow(slot);
        }
    }

    /// Drops a connection that leaves too many replies unread.
    pub(super) fn cut_slow(&mut self, slot: Slot) {
        Counters::add(&self.counters.slow_disconnected, 1);
        self.sockets.count_refusal(slot, "slow_consumer");
        self.sockets.drop(slot);
    }

    /// Hands `message` to the hub now or later; the connection is not read until then.
    fn deliver(&mut self, slot: Slot, message: ToHub) {
        if self.hub.deliver(message) == Sent::Held {
            self.sockets.hold(slot, self.now);
        }
    }

    fn join(&mut self, slot: Slot, mut join: Join) {
        if !self.readers.may_join(slot, &join.room) {
            return self.todo.push_back(Next::Refuse(slot, Input::Answer(Answer::RoomLimit)));
        }
        if let Err(refusal) = self.moderation.may_join(&join.room, &join.who.id, self.sockets.address(slot)) {
            self.sockets.count_refusal(slot, refusal.code());
            return self.todo.push_back(Next::Refuse(slot, Input::Answer(Answer::Banned)));
        }
        if self.sockets.inflates(slot) {
            join.encoding = join.encoding.deflated();
        }
        let Some((protocol, _)) = self.sockets.policy(slot) else { return };
        if self.begin_asking(slot, Pending::Join { room: join.room.clone(), presence: join.presence }) {
            let from = self.sockets.id(slot);
            self.deliver(slot, ToHub::Join { from, protocol, join });
        }
    }

    fn ask(&mut self, slot: Slot, ask: Ask) {
        if self.begin_asking(slot, Pending::Ask) {
            let from = self.sockets.id(slot);
            self.deliver(slot, ToHub::Ask { from, ask });
        }
    }

    /// Notes what is pending. A second question at once is a session's mistake, which ends its connection.
    fn begin_asking(&mut self, slot: Slot, pending: Pending) -> bool {
        let begun = self.sockets.begin_asking(slot, pending, self.now);
        if !begun {
            self.mistake(slot, "a session asked while an answer was pending");
        }
        begun
    }

    fn mistake(&mut self, slot: Slot, what: &'static str) {
        let about = self.sockets.about(slot);
        tracing::error!(connection = %about.id, protocol = about.protocol, address = about.address, "{what}");
        self.close(slot, Some(1011), "internal_error");
    }

    fn post(&mut self, slot: Slot, new: NewPost, if_gone: Option<IfGone>, ended: bool) {
        let Some((protocol, over_rate)) = self.sockets.policy(slot) else { return };
        let (from, origin) = (self.sockets.id(slot), self.sockets.origin(slot));
        let NewPost { tag, room, from: author, key, content, amends, durable } = new;
        let who = Who { person: &author.id, role: self.sockets.role(slot), address: self.sockets.address(slot) };
        let wanted = self.moderation.may_post(&room, who);
        if let Err(refusal) = wanted.and_then(|()| self.moderation.may_say(&room, &author, &content.body)) {
            let refused = Input::Posted { tag, result: Err(PostError::Moderated(refusal)) };
            return self.todo.push_back(Next::Refuse(slot, refused));
        }
        let key = key.unwrap_or_else(|| self.hub.unique_key(origin));
        let post = Post { room, from: author, protocol, key, content, amends, durable, origin };
        let message = ToHub::Post { from, tag, post, if_gone };
        if ended || over_rate == OverRate::StopReading {
            self.deliver(slot, message);
        } else if self.hub.offer(message).is_err() {
            let full = Input::Posted { tag, result: Err(PostError::Full { retry: RETRY }) };
            self.todo.push_back(Next::Refuse(slot, full));
        }
    }

    /// The effects of an answer to what was refused, from place `from` of the list on: a session that asks again at once
    /// would never end.
    pub(super) fn refuse_once(&mut self, slot: Slot, from: usize) {
        let asked_again = |next: &Next| matches!(next, Next::Refuse(of, _) if *of == slot);
        if !self.todo.range(from..).any(asked_again) {
            return;
        }
        self.todo.retain(|next| !asked_again(next));
        self.mistake(slot, "a session asked again at once for what it was refused");
    }
}
