//! Dialect C: messages to people and blocks, confirmed, and kept until they are confirmed in turn.
//!
//! A message to a person is kept and then posted; one to a block is posted and then kept, because its place in the room
//! is its id. Either way it is confirmed only when it is kept: a sender who gets no CONFIRM sends it again, with the
//! number by which the room and the directory know it. What a message becomes on its way is in [`outgoing`].
//!
//! [`outgoing`]: super::outgoing

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;

use super::{
    BLOCK,
    effects::{ask, tell},
    frame::{Dialect, Frame, message_id, notice, shown_name},
    outgoing::{Outgoing, place_of},
};
use crate::{
    directory::{
        self,
        people::{HOST, HOST_NAME, Query, Reply, StoredAt, To, inbox},
    },
    fanout::session::{Answer, Context, Effect, Effects, IfGone, Join, NewPost, PostError, Posted},
    protocols::json,
    rooms::{Access, Author, Position, ProtocolId, RoomName, Visitor, Want},
};

const PONG: &str = r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#;
/// Messages of one connection that may wait to be posted or kept.
const IN_FLIGHT: usize = 1024;

/// A connection that speaks the blocks dialect.
#[derive(Default)]
pub(super) struct BlocksDialect {
    access: Arc<Access>,
    user: Option<u64>,
    /// Of [`Self::user`], as others are shown it; None where the directory knows none.
    name: Option<Arc<str>>,
    rooms: Vec<RoomName>,
    step: Option<Step>,
    /// The person is in other blocks than before, and something else was under way.
    noticed: bool,
    /// By the tags of their posts.
    sent: VecDeque<(u64, Sent)>,
    /// Messages to blocks that are in their rooms, and are kept one after the other.
    posted: VecDeque<(Outgoing, StoredAt)>,
    next_tag: u64,
}

/// What follows when a message was posted.
enum Sent {
    /// To a person: kept before, confirmed like this.
    Kept(String),
    /// To a block: kept then.
    New(Outgoing),
}

/// What waits for an answer.
enum Step {
    Init,
    /// Joining the inbox. Blocks are asked for only then, so that from there on a notice tells of every new one.
    Inbox,
    Blocks {
        entering: bool,
    },
    /// Joining `block`, then those that are left, the last first; `new` are read from after these positions on.
    Join {
        entering: bool,
        block: u64,
        left: Vec<u64>,
        new: Vec<(u64, Position)>,
    },
    /// None: all that is kept. Some: what these blocks had to say before they were read.
    Queue(Option<Vec<(u64, Position)>>),
    Check(Outgoing),
    Keep(Outgoing, u64),
    KeepPosted(Outgoing, u64),
}

/// The room of a block, if people of this protocol may use it.
fn room_of(access: &Access, block: u64) -> Option<RoomName> {
    let room = RoomName::new(&block.to_string()).ok()?;
    let want = Want::Write { member: true };
    access.may(ProtocolId::MultiPerson, Visitor::Stranger, want, &room).ok().map(|()| room)
}

/// Whether a message that is kept went to one of `blocks`.
fn goes_to(frame: &str, blocks: &[(u64, Position)]) -> bool {
    let to = Frame::read(frame).and_then(|frame| frame.to());
    blocks.iter().any(|(block, _)| to == Some(To::Block(*block)))
}

impl BlocksDialect {
    pub(super) fn new(access: Arc<Access>) -> Self {
        Self { access, ..Self::default() }
    }

    pub(super) fn frame(&mut self, kind: &str, frame: &Frame<'_>, text: &str, cx: &Context, out: &mut Effects) {
        match kind {
            "INIT" => self.init(frame, cx, out),
            "PING" => out.push(Effect::Text(PONG.to_owned())),
            "MESSAGE" => self.message(frame, text, cx, out),
            "CONFIRM" => match (self.user, frame.message_id()) {
                // Nothing of it is kept.
                (Some(_), Some(_)) if frame.is_foreign() => {}
                (Some(user), Some(id)) => tell(Query::Confirm { user, id }, out),
                _ => out.push(Effect::Refused("malformed")),
            },
            "CLOSE" => out.push(Effect::Terminate),
            _ => out.push(Effect::Refused("unknown_type")),
        }
    }

    fn init(&mut self, frame: &Frame<'_>, cx: &Context, out: &mut Effects) {
        let Some(user) = frame.from() else { return out.push(Effect::Refused("malformed")) };
        if let Some(before) = self.user.replace(user).filter(|before| *before != user) {
            tell(Query::Release { user: before, holder: cx.origin }, out);
        }
        for room in self.rooms.drain(..) {
            out.push(Effect::Leave { room, asked: false });
        }
        ask(Query::Init { user, name: None, holder: cx.origin }, out);
        self.step = Some(Step::Init);
    }

    fn message(&mut self, frame: &Frame<'_>, text: &str, cx: &Context, out: &mut Effects) {
        let (Some(from), Some(to)) = (frame.from(), frame.to()) else {
            return out.push(Effect::Refused("malformed"));
        };
        if self.sent.len() + self.posted.len() >= IN_FLIGHT || json::with(text, &[]).is_none() {
            return out.push(Effect::Refused("malformed"));
        }
        let outgoing = Outgoing { from, temp: frame.temp(), to, text: text.to_owned() };
        ask(Query::Check { from, holder: cx.origin, temp: outgoing.temp.clone(), to }, out);
        self.step = Some(Step::Check(outgoing));
    }

    pub(super) fn answer(&mut self, answer: Answer, welcome: bool, cx: &Context, out: &mut Effects) {
        let Some(step) = self.step.take() else { return };
        match (step, answer) {
            (Step::Join { entering, new, .. }, answer @ (Answer::RoomLimit | Answer::Banned)) => {
                // What this block and those after it say is kept, and comes with the next INIT.
                let banned = matches!(answer, Answer::Banned);
                out.push(Effect::Refused(if banned { "banned" } else { "room_limit" }));
                self.rooms.pop();
                self.catch_up(entering, new, out);
            }
            (Step::Join { entering, block, left, mut new }, Answer::Joined(joined)) => {
                new.push((block, joined.head));
                self.join_next(entering, left, new, out);
            }
            (step, Answer::Directory(directory::Reply::People(reply))) => {
                self.replied(step, Some(reply), welcome, cx, out);
            }
            (step, Answer::Joined(_)) => self.replied(step, None, welcome, cx, out),
            (step, _) => self.failed(&step, out),
        }
        self.go_on(cx, out);
    }

    /// Takes up what had to wait until nothing else was under way.
    fn go_on(&mut self, cx: &Context, out: &mut Effects) {
        if self.step.is_some() {
            return;
        }
        match self.posted.pop_front() {
            Some((outgoing, place)) => self.keep_posted(outgoing, place, out),
            None if self.noticed => self.look(false, cx, out),
            None => {}
        }
    }

    fn replied(&mut self, step: Step, reply: Option<Reply>, welcome: bool, cx: &Context, out: &mut Effects) {
        match (step, reply) {
            (Step::Init, Some(Reply::User { name, taken, .. })) => {
                self.name = shown_name(&name);
                self.enter(taken, out);
            }
            (Step::Inbox, None) => self.look(true, cx, out),
            (Step::Blocks { .. }, Some(Reply::Foreign)) => self.lose_account(out),
            (Step::Blocks { entering }, Some(Reply::Blocks(blocks))) => self.read_blocks(entering, blocks, out),
            (Step::Queue(None), Some(Reply::Queued(kept))) => {
                // A client that hears nothing for some turns takes the connection for dead. A PONG shows nothing.
                let greeting = self.user.filter(|_| welcome).map(|user| greeting(user, cx.unix));
                out.push(Effect::Text(greeting.unwrap_or_else(|| PONG.to_owned())));
                out.extend(kept.iter().map(|frame| Effect::Text(frame.as_ref().to_owned())));
            }
            (Step::Queue(Some(new)), Some(Reply::Queued(kept))) => {
                let of_new = kept.iter().filter(|frame| goes_to(frame, &new));
                out.extend(of_new.map(|frame| Effect::Text(frame.as_ref().to_owned())));
            }
            (Step::Check(outgoing), Some(Reply::Fresh { id })) => match (outgoing.to, id) {
                (To::Person(to), Some(id)) => {
                    let (from, temp) = (outgoing.from, outgoing.temp.clone());
                    ask(Query::Keep { from, temp, id, to, frame: outgoing.frame("MESSAGE", id).into() }, out);
                    self.step = Some(Step::Keep(outgoing, id));
                }
                _ => self.post_new(outgoing, out),
            },
            (Step::Check(outgoing), Some(Reply::Duplicate { id })) => {
                out.push(Effect::Text(outgoing.frame("CONFIRM", id)));
            }
            (Step::Check(_), Some(Reply::Foreign)) => out.push(Effect::Refused("foreign_user")),
            (Step::Keep(outgoing, id), Some(Reply::Done)) => self.post_kept(&outgoing, id, out),
            (Step::KeepPosted(outgoing, id), Some(Reply::Kept { late })) => {
                let frame = outgoing.frame("MESSAGE", id);
                for user in late {
                    self.post(outgoing.from, inbox(user), &frame, Some(format!("late-{id}").into()), None, out);
                }
                out.push(Effect::Text(outgoing.frame("CONFIRM", id)));
            }
            (step, _) => self.failed(&step, out),
        }
    }

    /// Reads what concerns only this person. The connection that had the account until now looks at its notice, and finds
    /// that it has it no longer.
    fn enter(&mut self, taken: bool, out: &mut Effects) {
        let Some(user) = self.user else { return };
        if taken {
            let (tag, from, content) = (self.next_tag, self.author(HOST, Some(HOST_NAME.into())), notice());
            self.next_tag += 1;
            let room = inbox(user);
            out.push(Effect::Post(NewPost { tag, room, from, key: None, content, amends: None, durable: false }));
        }
        self.join(inbox(user), out);
        self.step = Some(Step::Inbox);
    }

    /// Another connection has the account: this one reads and confirms nothing of it until its client enters again.
    fn lose_account(&mut self, out: &mut Effects) {
        out.push(Effect::Refused("taken_over"));
        self.user = None;
        out.extend(self.rooms.drain(..).map(|room| Effect::Leave { room, asked: false }));
    }

    /// The person is in a block that is not read yet, or has lost the account to another connection.
    pub(super) fn noticed(&mut self, cx: &Context, out: &mut Effects) {
        self.noticed = true;
        self.go_on(cx, out);
    }

    fn look(&mut self, entering: bool, cx: &Context, out: &mut Effects) {
        let Some(user) = self.user else { return };
        self.noticed = false;
        ask(Query::Blocks { user, holder: cx.origin }, out);
        self.step = Some(Step::Blocks { entering });
    }

    fn read_blocks(&mut self, entering: bool, mut blocks: Vec<u64>, out: &mut Effects) {
        blocks.retain(|block| room_of(&self.access, *block).is_some_and(|room| !self.rooms.contains(&room)));
        blocks.reverse();
        self.join_next(entering, blocks, Vec::new(), out);
    }

    fn join_next(&mut self, entering: bool, mut left: Vec<u64>, new: Vec<(u64, Position)>, out: &mut Effects) {
        let Some((block, room)) = left.pop().and_then(|block| Some((block, room_of(&self.access, block)?))) else {
            return self.catch_up(entering, new, out);
        };
        self.join(room, out);
        self.step = Some(Step::Join { entering, block, left, new });
    }

    fn join(&mut self, room: RoomName, out: &mut Effects) {
        let Some(user) = self.user else { return };
        self.rooms.push(room.clone());
        let who = self.author(user, None);
        out.push(Effect::Join(Join { room, who, encoding: BLOCK, after: None, presence: false, announce: true }));
    }

    /// A person by the name that their frame gives, else by the one that the directory knows, else by their number.
    fn author(&self, user: u64, named: Option<Arc<str>>) -> Author {
        let known = || self.name.clone().filter(|_| self.user == Some(user));
        let name = named.or_else(known).unwrap_or_else(|| user.to_string().into());
        Author { id: format!("m{user}").into(), name, extra: None }
    }

    fn catch_up(&mut self, entering: bool, new: Vec<(u64, Position)>, out: &mut Effects) {
        let Some(user) = self.user.filter(|_| entering || !new.is_empty()) else { return };
        ask(Query::Queue { user, take: false, read: new.clone() }, out);
        self.step = Some(Step::Queue((!entering).then_some(new)));
    }

    /// Puts a message to a block into its room, where the same number of its sender finds it again.
    fn post_new(&mut self, outgoing: Outgoing, out: &mut Effects) {
        let To::Block(block) = outgoing.to else { return out.push(Effect::Refused("not_kept")) };
        let Some(room) = room_of(&self.access, block) else { return out.push(Effect::Refused("room")) };
        let if_gone = Some(outgoing.if_gone(block));
        if let Some(tag) = self.post(outgoing.from, room, &outgoing.text, outgoing.temp.clone(), if_gone, out) {
            self.sent.push_back((tag, Sent::New(outgoing)));
        }
    }

    fn post_kept(&mut self, outgoing: &Outgoing, id: u64, out: &mut Effects) {
        let To::Person(to) = outgoing.to else { return };
        if let Some(tag) = self.post(outgoing.from, inbox(to), &outgoing.frame("MESSAGE", id), None, None, out) {
            self.sent.push_back((tag, Sent::Kept(outgoing.frame("CONFIRM", id))));
        }
    }

    /// Answers the tag of the post.
    fn post(
        &mut self,
        from: u64,
        room: RoomName,
        text: &str,
        key: Option<Arc<str>>,
        if_gone: Option<IfGone>,
        out: &mut Effects,
    ) -> Option<u64> {
        let Some(frame) = Frame::read(text) else {
            out.push(Effect::Refused("malformed"));
            return None;
        };
        let (tag, content) = (self.next_tag, frame.content(Dialect::Blocks, text));
        self.next_tag += 1;
        let from = self.author(from, frame.shown_name());
        let post = NewPost { tag, room, from, key, content, amends: None, durable: false };
        out.push(match if_gone {
            Some(if_gone) => Effect::PostForDirectory(post, if_gone),
            None => Effect::Post(post),
        });
        Some(tag)
    }

    pub(super) fn posted(&mut self, tag: u64, result: Result<Posted, PostError>, cx: &Context, out: &mut Effects) {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == tag) else { return };
        match (self.sent.remove(at), result) {
            (Some((_, Sent::New(outgoing))), Ok(posted)) => {
                self.posted.push_back((outgoing, place_of(&posted)));
                self.go_on(cx, out);
            }
            (Some((_, Sent::Kept(confirm))), result) => {
                // It is in the queue of the person it goes to, whether it was shown at once or not.
                if result.is_err() {
                    out.push(Effect::Refused("not_shown_at_once"));
                }
                out.push(Effect::Text(confirm));
            }
            (_, Err(error)) => out.push(Effect::Refused(error.reason().unwrap_or("not_kept"))),
            (None, Ok(_)) => {}
        }
    }

    fn keep_posted(&mut self, outgoing: Outgoing, place: StoredAt, out: &mut Effects) {
        let Some((id, query)) = outgoing.keep_at(place) else { return };
        ask(query, out);
        self.step = Some(Step::KeepPosted(outgoing, id));
    }

    /// Without a CONFIRM the client shows the message as failed and may send it again.
    fn failed(&mut self, step: &Step, out: &mut Effects) {
        out.push(Effect::Refused("not_kept"));
        // A person who could not be let in, or into a block, is cut: their client connects and enters again.
        if !matches!(step, Step::Check(_) | Step::Keep(..) | Step::KeepPosted(..)) {
            out.push(Effect::Terminate);
        }
    }

    pub(super) fn closed(self, cx: &Context, out: &mut Effects) {
        // Nobody is left to receive the confirmation that these are kept, but others were shown them.
        let posted = self.posted.iter().filter_map(|(outgoing, place)| outgoing.keep_at(*place));
        posted.for_each(|(_, query)| tell(query, out));
        if let Some(user) = self.user {
            tell(Query::Release { user, holder: cx.origin }, out);
        }
        out.extend(self.rooms.into_iter().map(|room| Effect::Leave { room, asked: false }));
    }
}

/// A message from the first user, which has the number that no other message gets.
fn greeting(user: u64, unix: u64) -> String {
    #[derive(Serialize)]
    struct Greeting {
        r#type: &'static str,
        from_user_id: &'static str,
        to_user_id: String,
        message: &'static str,
        message_id: String,
        chat_type: &'static str,
        send_time: u64,
    }
    json::write(&Greeting {
        r#type: "MESSAGE",
        from_user_id: "1",
        to_user_id: user.to_string(),
        message: "<p>Welcome!</p>",
        message_id: message_id(2),
        chat_type: "PTP",
        send_time: unix,
    })
}
