//! The state machine of one native connection.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::value::RawValue;

use super::{
    ENCODING, NativeSettings,
    answer::{answer_fault, refuse, say},
    bounds::Problem,
    credential::Shown,
    fate::{RETRY, refused},
    item::people as named,
    moderate,
    order::{self, PostOrder, Turn},
    page,
    reply::{Code, Limits, Reply, You},
    request::{self, Id, Op},
    sign_in::{EXPIRY, LOOK, Person, Rooms, SIGN_IN},
};
use crate::{
    fanout::session::{
        Answer, Ask, Context, Effect, Effects, Input, Join, Joined, NewPost, PostError, Posted, Session, TimerId,
    },
    rooms::{Amendment, Author, Content, Position, ProtocolId, Role, RoomName, Signal, Want, amendments},
};

/// Pause between ws-level pings; two unanswered ones end the connection.
const PING_EVERY: Duration = Duration::from_secs(25);
const PING: TimerId = TimerId(0);
const UNANSWERED: u8 = 2;
/// Posts of one connection that may wait for their acknowledgement: bounds what a flood costs while the bus is unavailable.
const POSTS_IN_FLIGHT: usize = 1024;
/// Messages above the rate between two pings, each of which is answered. A peer that sends more is shown the door.
const REFUSALS: u32 = 1_000;
const OUT_OF_ORDER: Problem = Problem {
    code: Code::OutOfOrder,
    message: "the post that it follows was refused, or too many wait: send that one first",
};

pub(super) struct NativeSession {
    person: Person,
    /// At most `limits.roomsPerConnection`, which the reactor enforces.
    rooms: Rooms,
    pending: Option<Pending>,
    posts: VecDeque<Sent>,
    order: PostOrder,
    next_tag: u64,
    unanswered: u8,
    /// Messages above the rate since the last ping.
    refusals: u32,
}

/// The request that waits for [`Input::Answer`].
struct Pending {
    id: Option<Id>,
    room: RoomName,
}

/// A post that waits for [`Input::Posted`].
struct Sent {
    tag: u64,
    id: Option<Id>,
    room: RoomName,
    key: Option<Arc<str>>,
}

impl NativeSession {
    /// A connection of somebody who came with a token, or of nobody in particular yet.
    pub(super) fn new(settings: Arc<NativeSettings>, shown: Option<Shown>) -> Self {
        Self {
            person: Person::new(settings, shown),
            rooms: Rooms::new(),
            pending: None,
            posts: VecDeque::new(),
            order: PostOrder::default(),
            next_tag: 0,
            unanswered: 0,
            refusals: 0,
        }
    }
}

impl Session for NativeSession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match input {
            Input::Open => {
                out.push(Effect::Timer(PING, PING_EVERY));
                self.person.open(cx, out);
            }
            Input::Text(text) => self.request(text, cx, out),
            Input::Binary(_) => refuse(None, Problem::new(Code::BadRequest, "frames are TEXT"), None, out),
            Input::Limited { text, retry } => self.limited(text, retry, out),
            Input::Pong => self.unanswered = 0,
            Input::Timer(PING) => self.ping(out),
            Input::Timer(EXPIRY) => self.person.expiry(cx, out),
            Input::Timer(SIGN_IN) => self.person.overdue(out),
            Input::Timer(LOOK) => self.signing(|person, rooms| person.look_again(rooms, cx, out)),
            // The encoding tells who is in a room.
            Input::Timer(_) | Input::Presence { .. } | Input::Notice { .. } | Input::Closed { .. } => {}
            Input::Answer(answer) => self.answer(answer, cx, out),
            Input::Posted { tag, result } => self.posted(tag, result, out),
            Input::Gap { room, epoch, from, to } => {
                say(&Reply::Gap { room: room.as_str(), epoch, from, to }, out);
            }
            Input::Moderated(news) => moderate::notice(&news, out),
            Input::Moved { after } => say(&Reply::Moved { after }, out),
        }
    }

    fn role(&self) -> Role {
        self.person.role()
    }
}

impl NativeSession {
    fn ping(&mut self, out: &mut Effects) {
        if self.unanswered >= UNANSWERED {
            out.push(Effect::Terminate);
            return;
        }
        self.unanswered += 1;
        self.refusals = 0;
        out.push(Effect::Ping);
        out.push(Effect::Timer(PING, PING_EVERY));
    }

    fn limited(&mut self, text: &str, retry: Duration, out: &mut Effects) {
        self.refusals += 1;
        if self.refusals > REFUSALS {
            out.push(Effect::Refused("flood"));
            out.push(Effect::Close { code: 1008, reason: "rate_limited" });
            return;
        }
        let (id, op) = request::parse(text);
        if let Ok(Op::Post { room, key, .. }) = op {
            self.not_stored(&room, key.as_ref(), out);
        }
        refuse(id.as_deref(), Problem::new(Code::RateLimited, "too many messages per second"), Some(retry), out);
    }

    fn request(&mut self, text: &str, cx: &Context, out: &mut Effects) {
        let (id, op) = request::parse(text);
        let done = op.and_then(|op| {
            self.in_time(&op, cx, out)?;
            self.act(id.clone(), op, cx, out)
        });
        answer_fault(id.as_deref(), done, out);
    }

    /// Whether the time is right for an operation; posts that follow one that comes too late are refused with it.
    fn in_time(&mut self, op: &Op<'_>, cx: &Context, out: &mut Effects) -> Result<(), Problem> {
        let allowed = self.person.allowed_now(op, cx);
        if let (Err(_), Op::Post { room, key, .. }) = (&allowed, op) {
            self.not_stored(room, key.as_ref(), out);
        }
        allowed
    }

    /// Has the person sign in or renew, which may leave rooms.
    fn signing<T>(&mut self, sign: impl FnOnce(&mut Person, &mut Rooms) -> T) -> T {
        let before = self.rooms.clone();
        let signed = sign(&mut self.person, &mut self.rooms);
        before.iter().filter(|room| !self.rooms.contains(room)).for_each(|room| self.order.forget(room));
        signed
    }

    fn act(&mut self, id: Option<Id>, op: Op<'_>, cx: &Context, out: &mut Effects) -> Result<(), Problem> {
        match op {
            Op::Auth { token } => self.signing(|person, rooms| person.auth(id, &token, rooms, cx, out))?,
            Op::Join { room, name, token, after } => {
                let (name, token) = (name.as_deref(), token.as_deref());
                self.signing(|person, rooms| person.identify(name, token, rooms, cx, out))?;
                self.person.in_time(cx)?;
                self.person.may(Want::Read, &room)?;
                self.join(id, room, after, out);
            }
            Op::Post { room, key, body, durable, follows } => {
                let (of, named) = (room.clone(), key.clone());
                let content = Content { body: body.to_owned(), verbatim: None };
                let post = Written { room, key, content, amends: None, durable, follows };
                self.post(id, post, out).inspect_err(|_| self.not_stored(&of, named.as_ref(), out))?;
            }
            Op::Amend { room, key, seq, change, body } => {
                let content =
                    body.map_or_else(amendments::nothing, |body| Content { body: body.to_owned(), verbatim: None });
                let by = self.person.role();
                let amends = Some(Amendment { seq, change, by });
                let post = Written { room, key, content, amends, durable: false, follows: None };
                self.post(id, post, out)?;
            }
            Op::History { room, before, limit } => {
                self.person.may(Want::Read, &room)?;
                out.push(Effect::Ask(Ask::History { room: room.clone(), before, limit }));
                self.pending = Some(Pending { id, room });
            }
            Op::Members { room, limit } => {
                self.person.may(Want::Read, &room)?;
                out.push(Effect::Ask(match limit {
                    None => Ask::Members { room: room.clone() },
                    Some(limit) => Ask::People { room: room.clone(), limit },
                }));
                self.pending = Some(Pending { id, room });
            }
            Op::Typing { room } => {
                let from = self.member(&room)?.clone();
                if id.is_some() {
                    say(&Reply::Typing { id: id.as_deref(), room: room.as_str(), from: None }, out);
                }
                out.push(Effect::Signal { room, signal: Signal::Typing { from } });
            }
            Op::Leave { room } => {
                self.member(&room)?;
                self.rooms.retain(|joined| *joined != room);
                self.order.forget(&room);
                out.push(Effect::Leave { room: room.clone(), asked: true });
                say(&Reply::Left { id: id.as_deref(), room: room.as_str() }, out);
            }
            Op::Moderate { room, action } => {
                let by = self.person.moderator(&room)?.clone();
                out.push(Effect::Ask(Ask::Moderate { room: room.clone(), by, protocol: ProtocolId::Native, action }));
                self.pending = Some(Pending { id, room });
            }
            Op::Actions { room, before, limit } => {
                self.person.moderator(&room)?;
                out.push(Effect::Ask(Ask::Actions { room: room.clone(), before, limit }));
                self.pending = Some(Pending { id, room });
            }
            Op::Ping => say(&Reply::Pong { id: id.as_deref() }, out),
        }
        Ok(())
    }

    /// The person, when they may write to the room.
    fn member(&self, room: &RoomName) -> Result<&Author, Problem> {
        self.person.may(Want::Write { member: self.rooms.contains(room) }, room)?;
        self.person.author().ok_or(Problem::new(Code::NotJoined, "join the room first"))
    }

    fn join(&mut self, id: Option<Id>, room: RoomName, after: Option<Position>, out: &mut Effects) {
        let Some(who) = self.person.author().cloned() else { return };
        let join = Join { room: room.clone(), who, encoding: ENCODING, after, presence: true, announce: true };
        out.push(Effect::Join(join));
        self.pending = Some(Pending { id, room });
    }

    fn post(&mut self, id: Option<Id>, post: Written, out: &mut Effects) -> Result<(), Problem> {
        let Written { room, key, content, amends, durable, follows } = post;
        let from = self.member(&room)?.clone();
        if self.posts.len() >= POSTS_IN_FLIGHT {
            return Err(Problem::new(Code::Unavailable, "too many posts wait for their acknowledgement"));
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        let under_way = follows.is_some()
            && self.posts.iter().any(|sent| sent.room == room && sent.key.is_some() && sent.key == follows);
        let sent = Sent { tag, id, room: room.clone(), key: key.clone() };
        let new = NewPost { tag, room, from, key, content, amends, durable };
        match self.order.take(new, follows, under_way) {
            Turn::Refused => return Err(OUT_OF_ORDER),
            Turn::Now(post) => out.push(Effect::Post(post)),
            Turn::Waits => {}
        }
        self.posts.push_back(sent);
        Ok(())
    }

    /// A post was refused, and with it those that follow it.
    fn not_stored(&mut self, room: &RoomName, key: Option<&Arc<str>>, out: &mut Effects) {
        let Some(key) = key.filter(|_| self.rooms.contains(room)) else { return };
        for tag in self.order.failed(room, key) {
            let Some(at) = self.posts.iter().position(|sent| sent.tag == tag) else { continue };
            let sent = self.posts.remove(at);
            refuse(sent.and_then(|sent| sent.id).as_deref(), OUT_OF_ORDER, None, out);
        }
    }

    fn posted(&mut self, tag: u64, result: Result<Posted, PostError>, out: &mut Effects) {
        // Answers come in the order of the posts, room by room: the one looked for is at or near the front.
        let Some(at) = self.posts.iter().position(|sent| sent.tag == tag) else { return };
        let Some(Sent { id, room, key, .. }) = self.posts.remove(at) else { return };
        let stored = result.is_ok();
        match (result, id.as_deref()) {
            (Ok(Posted { seq, duplicate, .. }), Some(id)) => {
                say(&Reply::Posted { id, room: room.as_str(), seq, duplicate }, out);
            }
            (Ok(_), None) => {}
            (Err(PostError::Moderated(refusal)), id) => moderate::not_wanted(id, &refusal, out),
            (Err(PostError::Full { retry }), id) => {
                refuse(id, Problem::new(Code::Unavailable, "too many messages are waiting"), Some(retry), out);
            }
            (Err(PostError::RoomLimit), id) => {
                refuse(id, Problem::new(Code::RoomLimit, "too many new rooms"), None, out);
            }
            (Err(PostError::Append(error)), id) => {
                let (problem, retry) = refused(&error);
                refuse(id, problem, retry, out);
            }
        }
        match key {
            Some(key) if stored => out.extend(self.order.stored(&room, &key).into_iter().map(Effect::Post)),
            key => self.not_stored(&room, key.as_ref().filter(|_| !stored), out),
        }
    }

    fn answer(&mut self, answer: Answer, cx: &Context, out: &mut Effects) {
        let Some(Pending { id, room }) = self.pending.take() else { return };
        let id = id.as_deref();
        match answer {
            Answer::Joined(joined) => self.joined(id, joined, cx, out),
            Answer::History { head, entries, more } => {
                let page = page::Page { id, room: &room, head, more };
                out.push(Effect::Text(page::history(page, &entries, self.person.author())));
            }
            Answer::Members(count) => {
                say(&Reply::Members { id, room: room.as_str(), count, people: None, more: None }, out);
            }
            Answer::People { count, people, more } => {
                let (people, more) = (Some(named(&people)), Some(more));
                say(&Reply::Members { id, room: room.as_str(), count, people, more }, out);
            }
            Answer::Unavailable { retry } => {
                refuse(id, Problem::new(Code::Unavailable, "the room cannot be read now"), Some(retry), out);
            }
            Answer::Banned => refuse(id, Problem::new(Code::Banned, "banned from this room"), None, out),
            Answer::Moderated(result) => moderate::moderated(id, result, RETRY, out),
            Answer::Actions(result) => moderate::actions(id, room.as_str(), &result, RETRY, out),
            Answer::RoomLimit => refuse(id, Problem::new(Code::RoomLimit, "too many rooms"), None, out),
            // Nothing here asks the directory.
            Answer::Directory(_) => {}
        }
    }

    fn joined(&mut self, id: Option<&RawValue>, joined: Joined, cx: &Context, out: &mut Effects) {
        let Joined { room, head, members, recovered, gap, announced: _ } = joined;
        let Some(who) = self.person.author() else { return };
        let token = self.person.token(who, cx.unix);
        let you = You { id: &who.id, name: &who.name, token };
        let Position { epoch, seq } = head;
        let limits = Limits { message_bytes: self.person.settings().message_bytes, posts: order::POSTS };
        say(&Reply::Joined { id, room: room.as_str(), epoch, seq, you, members, recovered, limits }, out);
        if let Some(gap) = gap {
            say(&Reply::Gap { room: room.as_str(), epoch, from: gap.from, to: gap.to }, out);
        }
        out.push(Effect::Standing { room: room.clone(), person: Arc::clone(&who.id) });
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
    }
}

/// A post or a change of one, as the client wrote it.
struct Written {
    room: RoomName,
    key: Option<Arc<str>>,
    content: Content,
    amends: Option<Amendment>,
    durable: bool,
    follows: Option<Arc<str>>,
}
