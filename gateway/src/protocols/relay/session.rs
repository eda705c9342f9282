//! The state machine of one relay connection.

use std::{sync::Arc, time::Duration};

use prost::Message;

use super::{
    ENCODING, RelaySettings, token,
    wire::{BroadcastRoom, Package, PackageType, SignIn, reply, status, verbatim},
};
use crate::{
    fanout::session::{Answer, Ask, Context, Effect, Effects, Input, Join, NewPost, PostError, Session, TimerId},
    protocols::canonical,
    rooms::{Author, Content, Denied, RoomName, Want},
};

/// How long a connection may stay without signing in.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(5);
const SIGN_IN: TimerId = TimerId(0);
/// Pause between ws-level pings. Nobody waits for the answer; writing is what makes TCP notice that
/// a peer is gone, and counts stay true.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING: TimerId = TimerId(1);
/// Code of every refusal.
const REFUSED: i32 = 100;

pub(super) struct RelaySession {
    settings: Arc<RelaySettings>,
    signed: Option<Signed>,
    pending: Option<Wait>,
}

struct Signed {
    who: Author,
    /// None: signed in to the empty room id, in which nobody is reached.
    room: Option<RoomName>,
}

/// The request that waits for [`Input::Answer`].
enum Wait {
    SignIn(Author),
    Members,
}

impl RelaySession {
    pub(super) fn new(settings: Arc<RelaySettings>) -> Self {
        Self { settings, signed: None, pending: None }
    }
}

impl Session for RelaySession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match input {
            Input::Open => {
                out.push(Effect::Timer(SIGN_IN, SIGN_IN_WITHIN));
                out.push(Effect::Timer(PING, PING_EVERY));
            }
            Input::Text(text) => self.frame(text.as_bytes(), cx, out),
            Input::Binary(bytes) => self.frame(bytes, cx, out),
            Input::Timer(SIGN_IN) => self.sign_in_ran_out(out),
            Input::Timer(PING) => {
                out.push(Effect::Ping);
                out.push(Effect::Timer(PING, PING_EVERY));
            }
            Input::Answer(answer) => self.answer(answer, out),
            Input::Posted { result: Err(PostError::Moderated(refusal)), .. } => {
                refuse(&refusal.to_string(), refusal.code(), out);
            }
            Input::Posted { result: Err(_), .. } => out.push(Effect::Refused("not_kept")),
            Input::Moved { .. } => out.push(Effect::Close { code: 1012, reason: "moved" }),
            Input::Posted { .. }
            | Input::Timer(_)
            | Input::Pong
            | Input::Limited { .. }
            | Input::Gap { .. }
            | Input::Presence { .. }
            | Input::Notice { .. }
            | Input::Moderated(_)
            | Input::Closed { .. } => {}
        }
    }
}

impl RelaySession {
    fn sign_in_ran_out(&self, out: &mut Effects) {
        // A sign-in on its way gets as long again: a cold room takes time that is not the client's.
        match (&self.signed, &self.pending) {
            (Some(_), _) => {}
            (None, Some(_)) => out.push(Effect::Timer(SIGN_IN, SIGN_IN_WITHIN)),
            (None, None) => out.push(Effect::Terminate),
        }
    }

    fn frame(&mut self, bytes: &[u8], cx: &Context, out: &mut Effects) {
        let Ok(package) = Package::decode(bytes) else {
            out.push(Effect::Refused("malformed"));
            return;
        };
        let kind = PackageType::try_from(package.r#type).unwrap_or(PackageType::Unknown);
        match (kind, &self.signed) {
            (PackageType::SignIn, _) => self.sign_in(&package.data, cx, out),
            (_, None) => refuse("请登录", "not_signed_in", out),
            (PackageType::Heartbeat, Some(_)) => say(PackageType::Heartbeat, b"pong".to_vec(), out),
            (PackageType::Members, Some(signed)) => match signed.room.clone() {
                Some(room) => {
                    out.push(Effect::Ask(Ask::Members { room }));
                    self.pending = Some(Wait::Members);
                }
                None => say(PackageType::Members, b"1".to_vec(), out),
            },
            (PackageType::Message, Some(signed)) => self.message(signed, &package.data, out),
            (PackageType::Unknown, Some(_)) => out.push(Effect::Refused("unknown_type")),
        }
    }

    fn sign_in(&mut self, data: &[u8], cx: &Context, out: &mut Effects) {
        let Ok(SignIn { token, room_id }) = SignIn::decode(data) else {
            out.push(Effect::Refused("malformed"));
            return;
        };
        let who = match token::person(&self.settings.key, &token, cx.unix) {
            Ok(who) => who,
            Err(told) => return refuse(&told, "token", out),
        };
        if room_id.is_empty() {
            self.signed(who, None, out);
            return;
        }
        match RoomName::new(&room_id).ok().filter(|room| self.settings.may(Want::Read, room).is_ok()) {
            Some(room) => {
                let join =
                    Join { room, who: who.clone(), encoding: ENCODING, after: None, presence: false, announce: true };
                out.push(Effect::Join(join));
                self.pending = Some(Wait::SignIn(who));
            }
            None => refuse("参数错误", "room", out),
        }
    }

    /// Moves the connection to `room` and says so.
    fn signed(&mut self, who: Author, room: Option<RoomName>, out: &mut Effects) {
        out.push(Effect::Cancel(SIGN_IN));
        let before = self.signed.replace(Signed { who, room: room.clone() }).and_then(|signed| signed.room);
        if let Some(before) = before.filter(|before| Some(before) != room.as_ref()) {
            out.push(Effect::Leave { room: before, asked: true });
        }
        out.push(Effect::Binary(status(0, "suc")));
    }

    fn message(&self, signed: &Signed, data: &[u8], out: &mut Effects) {
        let Ok(BroadcastRoom { room_id, level, data }) = BroadcastRoom::decode(data) else {
            out.push(Effect::Refused("malformed"));
            return;
        };
        let Ok(room) = RoomName::new(&room_id) else { return out.push(Effect::Refused("room")) };
        let member = signed.room.as_ref() == Some(&room);
        if let Err(denied) = self.settings.may(Want::Write { member }, &room) {
            let reason = if denied == Denied::NotAMember { "not_a_member" } else { "room" };
            return out.push(Effect::Refused(reason));
        }
        let content = Content { body: canonical::opaque_body(&data), verbatim: Some(verbatim(level, &data)) };
        let from = signed.who.clone();
        out.push(Effect::Post(NewPost { tag: 0, room, from, key: None, content, amends: None, durable: false }));
    }

    fn answer(&mut self, answer: Answer, out: &mut Effects) {
        match (self.pending.take(), answer) {
            (Some(Wait::SignIn(who)), Answer::Joined(joined)) => self.signed(who, Some(joined.room), out),
            (Some(Wait::SignIn(_)), Answer::Banned) => refuse("banned", "banned", out),
            (Some(Wait::SignIn(_)), Answer::RoomLimit) => refuse(&unavailable("too many rooms"), "room_limit", out),
            (Some(Wait::SignIn(_)), _) => refuse(&unavailable("try again"), "unavailable", out),
            (Some(Wait::Members), Answer::Members(count)) => {
                say(PackageType::Members, count.to_string().into_bytes(), out);
            }
            // The protocol has no way to say that a count is not known.
            (Some(Wait::Members), _) => out.push(Effect::Refused("unavailable")),
            (None, _) => {}
        }
    }
}

fn unavailable(reason: &str) -> String {
    format!("rpc error: code = Unavailable desc = {reason}")
}

fn say(kind: PackageType, data: Vec<u8>, out: &mut Effects) {
    out.push(Effect::Binary(reply(kind, data)));
}

fn refuse(told: &str, label: &'static str, out: &mut Effects) {
    out.push(Effect::Refused(label));
    out.push(Effect::Binary(status(REFUSED, told)));
}
