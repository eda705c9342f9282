//! The state machine of one OnlyOne connection.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    ENCODING, OnlyOneSettings,
    encoding::presence,
    envelope::{Code, Message, Presence, response},
    identity::{new_person, own},
    process_stats::SystemInfo,
};
use crate::{
    fanout::session::{
        Answer, Ask, Context, Effect, Effects, Input, Join, Joined, NewPost, PostError, Posted, Session, TimerId,
    },
    protocols::{canonical, json},
    rooms::{Author, Content, ProtocolId, RoomName, Signal, Visitor, Want},
};

/// Pause between ws-level pings; one that went unanswered by the next ends the connection.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING: TimerId = TimerId(0);
/// Chat requests of one connection that may wait for their acknowledgement: bounds a flood while the bus is unavailable.
const CHATS_IN_FLIGHT: usize = 1024;

pub(super) struct OnlyOneSession {
    settings: Arc<OnlyOneSettings>,
    /// Start of this person's avatar URL; made into the person at the first input.
    base: Box<str>,
    who: Option<Author>,
    rooms: Vec<RoomName>,
    pending: Option<(Wait, Asker)>,
    chats: VecDeque<(u64, Asker)>,
    next_tag: u64,
    alive: bool,
    /// Has joined and not asked for a count since: the clients add themselves to the first one.
    uncounted: bool,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Asker {
    /// A request, with its id if it has one.
    Request(Option<Box<RawValue>>),
    /// A push, which is never answered.
    Nobody,
}

/// What the pending ask was for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Join,
    Count,
    Info,
}

/// How a route ends at once.
enum Outcome {
    Later(Wait),
    Ended(Code),
    /// Code 0 without the `data` key.
    Nothing,
    Text(&'static str),
    Rooms,
    Posted(u64),
}

impl OnlyOneSession {
    pub(super) fn new(settings: Arc<OnlyOneSettings>, base: &str) -> Self {
        Self {
            settings,
            base: base.into(),
            who: None,
            rooms: Vec::new(),
            pending: None,
            chats: VecDeque::new(),
            next_tag: 0,
            alive: true,
            uncounted: false,
        }
    }
}

impl Session for OnlyOneSession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match input {
            Input::Open => {
                self.who = Some(new_person(cx.origin, cx.unix, &self.base));
                out.push(Effect::Timer(PING, PING_EVERY));
            }
            Input::Text(text) => self.message(text, out),
            // The web client of some years sends its JSON as BINARY.
            Input::Binary(bytes) => self.message(&String::from_utf8_lossy(bytes), out),
            Input::Pong => self.alive = true,
            Input::Timer(PING) => self.ping(out),
            Input::Answer(answer) => self.answer(answer, out),
            Input::Posted { tag, result } => self.posted(tag, result, out),
            Input::Moved { .. } => out.push(Effect::Close { code: 1012, reason: "moved" }),
            Input::Timer(_)
            | Input::Limited { .. }
            | Input::Gap { .. }
            | Input::Presence { .. }
            | Input::Notice { .. }
            | Input::Moderated(_)
            | Input::Closed { .. } => {}
        }
    }
}

impl OnlyOneSession {
    fn ping(&mut self, out: &mut Effects) {
        if !self.alive {
            out.push(Effect::Terminate);
            return;
        }
        self.alive = false;
        out.push(Effect::Ping);
        out.push(Effect::Timer(PING, PING_EVERY));
    }

    fn message(&mut self, text: &str, out: &mut Effects) {
        let Some(message) = Message::read(text) else {
            out.push(Effect::Refused("malformed"));
            return;
        };
        let kind = message.kind.and_then(json::string);
        let asker = match kind.as_deref() {
            Some("request") => Asker::Request(message.request_id.map(ToOwned::to_owned)),
            _ => Asker::Nobody,
        };
        let route = message.route.and_then(json::string).filter(|route| !route.is_empty());
        let Some(route) = route else {
            // Not even a push, so a request with an id is answered.
            let id = message.request_id.map(ToOwned::to_owned);
            let told = kind.is_none() && id.is_some();
            refuse(Code::NoRoute, &if told { Asker::Request(id) } else { asker }, out);
            return;
        };
        match self.route(&route, message.data, out) {
            Outcome::Later(wait) => self.pending = Some((wait, asker)),
            Outcome::Ended(code) => refuse(code, &asker, out),
            Outcome::Nothing => answer::<()>(None, &asker, out),
            Outcome::Text(text) => answer(Some(&text), &asker, out),
            Outcome::Rooms => {
                let rooms: Vec<_> = self.settings.rooms.iter().map(RoomName::as_str).collect();
                answer(Some(&rooms), &asker, out);
            }
            Outcome::Posted(tag) => {
                if matches!(asker, Asker::Request(_)) {
                    self.chats.push_back((tag, asker));
                }
            }
        }
    }

    fn route(&mut self, route: &str, data: Option<&RawValue>, out: &mut Effects) -> Outcome {
        // The handlers read a field of `data`: without an object they fail.
        let fields = data.and_then(|data| json::fields(data.get(), ["room_id", "chat_message"]));
        let room = fields.and_then(|[room, _]| self.room(room));
        match (route, fields) {
            ("roomHandler.getRoomList", _) => Outcome::Rooms,
            ("roomHandler.joinRoom", Some(_)) => self.join(room, out),
            ("roomHandler.leaveRoom", Some(_)) => self.leave(room, out),
            ("roomHandler.getRoomAllUserNum", Some(_)) => ask_members(room, Wait::Count, out),
            ("roomHandler.getRoomInfo", Some(_)) => ask_members(room, Wait::Info, out),
            ("chatHandler.chat", Some([_, message])) => self.chat(room, message, out),
            (
                "roomHandler.joinRoom"
                | "roomHandler.leaveRoom"
                | "roomHandler.getRoomAllUserNum"
                | "roomHandler.getRoomInfo"
                | "chatHandler.chat",
                None,
            ) => Outcome::Ended(Code::Failed),
            _ => Outcome::Ended(Code::NoHandler),
        }
    }

    /// The room of that id, if it is one of those that exist here: they are all that anybody may read and write.
    fn room(&self, id: Option<&RawValue>) -> Option<RoomName> {
        let room = RoomName::new(&id.and_then(json::string)?).ok()?;
        let OnlyOneSettings { access, token_key, .. } = self.settings.as_ref();
        let visitor = if token_key.is_some() { Visitor::Holder } else { Visitor::Stranger };
        access.may(ProtocolId::OnlyOne, visitor, Want::Write { member: false }, &room).ok().map(|()| room)
    }

    fn join(&mut self, room: Option<RoomName>, out: &mut Effects) -> Outcome {
        let (Some(room), Some(who)) = (room, self.who.clone()) else { return Outcome::Ended(Code::Failed) };
        out.push(Effect::Join(Join { room, who, encoding: ENCODING, after: None, presence: false, announce: true }));
        Outcome::Later(Wait::Join)
    }

    fn leave(&mut self, room: Option<RoomName>, out: &mut Effects) -> Outcome {
        let (Some(room), Some(who)) = (room, self.who.clone()) else {
            out.push(Effect::Refused("no_room"));
            return Outcome::Nothing;
        };
        if let Some(at) = self.rooms.iter().position(|joined| *joined == room) {
            self.rooms.swap_remove(at);
            self.uncounted = false;
            out.push(Effect::Leave { room, asked: true });
        } else {
            // Someone who never joined is announced all the same.
            let signal = Signal::Left { who, protocol: ProtocolId::OnlyOne, asked: true };
            out.push(Effect::Signal { room, signal });
        }
        Outcome::Text("ok")
    }

    /// Talking takes a room that exists, not membership.
    fn chat(&mut self, room: Option<RoomName>, message: Option<&RawValue>, out: &mut Effects) -> Outcome {
        let (Some(room), Some(from)) = (room, self.who.clone()) else {
            out.push(Effect::Refused("no_room"));
            return Outcome::Text("fail");
        };
        if self.chats.len() >= CHATS_IN_FLIGHT {
            return Outcome::Ended(Code::Failed);
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        out.push(Effect::Post(NewPost {
            tag,
            room,
            from,
            key: None,
            content: content(message),
            amends: None,
            durable: false,
        }));
        Outcome::Posted(tag)
    }

    fn posted(&mut self, tag: u64, result: Result<Posted, PostError>, out: &mut Effects) {
        let at = self.chats.iter().position(|(sent, _)| *sent == tag);
        let asker = at.and_then(|at| self.chats.remove(at)).map_or(Asker::Nobody, |(_, asker)| asker);
        match result {
            Ok(_) => answer(Some(&"ok"), &asker, out),
            Err(error) => {
                out.extend(error.reason().map(Effect::Refused));
                refuse(Code::Failed, &asker, out);
            }
        }
    }

    fn answer(&mut self, given: Answer, out: &mut Effects) {
        let Some((wait, asker)) = self.pending.take() else { return };
        match (wait, given) {
            (Wait::Join, Answer::Joined(joined)) => self.joined(joined, &asker, out),
            (Wait::Count, Answer::Members(count)) => answer(Some(&self.counted(count)), &asker, out),
            (Wait::Info, Answer::Members(count)) => {
                let count = self.counted(count);
                let info = RoomInfo { room_user_count: count, system_info: self.settings.process_stats.info() };
                answer(Some(&info), &asker, out);
            }
            _ => refuse(Code::Failed, &asker, out),
        }
    }

    /// The count to tell. The original's is some seconds old, so the first one after a join is without the joiner.
    fn counted(&mut self, count: u64) -> u64 {
        count.saturating_sub(u64::from(std::mem::take(&mut self.uncounted)))
    }

    fn joined(&mut self, joined: Joined, asker: &Asker, out: &mut Effects) {
        let Joined { room, announced, .. } = joined;
        let Some(who) = &self.who else { return };
        if let Some(user) = own(who) {
            answer(Some(&Presence { room_id: room.as_str(), user }), asker, out);
        }
        if !announced {
            out.extend(presence("room.join", &room, who).map(Effect::Text));
        }
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
            self.uncounted = true;
        }
    }
}

#[derive(Serialize)]
struct RoomInfo {
    room_user_count: u64,
    system_info: SystemInfo,
}

/// Asks for the count of a configured room; no other has anyone in it.
fn ask_members(room: Option<RoomName>, wait: Wait, out: &mut Effects) -> Outcome {
    match room {
        Some(room) => {
            out.push(Effect::Ask(Ask::Members { room }));
            Outcome::Later(wait)
        }
        None => Outcome::Ended(Code::Failed),
    }
}

/// What is stored of a `chat_message`; without one the payload is empty, which readers are shown as no key.
fn content(message: Option<&RawValue>) -> Content {
    let Some(message) = message else {
        return Content { body: canonical::text_body(""), verbatim: Some(Bytes::new()) };
    };
    let fields = json::fields(message.get(), ["type", "path", "content"]).unwrap_or_default();
    let [kind, path, text] = fields.map(|raw| raw.and_then(json::string));
    let media = path.as_deref().map(|path| (kind.as_deref().unwrap_or("picture"), path));
    let body = match (text.as_deref(), media) {
        (None, None) => canonical::text_body(message.get()),
        (text, media) => canonical::media_body(text, media),
    };
    Content { body, verbatim: Some(Bytes::copy_from_slice(message.get().as_bytes())) }
}

fn answer<T: Serialize>(data: Option<&T>, asker: &Asker, out: &mut Effects) {
    if let Asker::Request(id) = asker {
        out.push(Effect::Text(response(Code::Ok, data, id.as_deref())));
    }
}

fn refuse(code: Code, asker: &Asker, out: &mut Effects) {
    let Some((message, label)) = code.fault() else { return };
    out.push(Effect::Refused(label));
    if let Asker::Request(id) = asker {
        out.push(Effect::Text(response(code, Some(&message), id.as_deref())));
    }
}
