//! Stage C: messages to people and blocks, confirmed, and kept until they are confirmed in turn.

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;

use super::{
    BLOCK,
    encoding::message_id,
    frame::{Frame, Stage},
    session::{ask, tell},
};
use crate::{
    bus::directory::{
        self,
        people::{Query, Reply, To, inbox},
    },
    fanout::session::{Answer, Context, Effect, Effects, Join, NewPost},
    protocols::json,
    rooms::{Author, RoomName},
};

const PONG: &str = r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#;
/// Messages of one connection that may wait for their acknowledgement.
const IN_FLIGHT: usize = 1024;

/// A connection that speaks stage C.
#[derive(Default)]
pub(super) struct StageC {
    user: Option<u64>,
    rooms: Vec<RoomName>,
    step: Option<Step>,
    sent: VecDeque<(u64, String)>,
    next_tag: u64,
}

/// What waits for an answer.
enum Step {
    Init,
    /// Joining one room after the other; the last first.
    Join {
        left: Vec<RoomName>,
    },
    Queue,
    Check(Outgoing),
    Keep(Outgoing, u64),
}

/// A message on its way.
struct Outgoing {
    from: u64,
    temp: Option<Arc<str>>,
    to: To,
    text: String,
}

impl Outgoing {
    /// The frame with the id that the server gave it.
    fn frame(&self, kind: &str, id: u64) -> String {
        let (kind, id) = (json::write(&kind), json::write(&message_id(id)));
        // It was read as an object when it came in.
        json::with(&self.text, &[("type", &kind), ("message_id", &id)]).unwrap_or_default()
    }

    fn room(&self) -> Option<RoomName> {
        match self.to {
            To::Person(user) => Some(inbox(user)),
            To::Block(block) => RoomName::new(&block.to_string()).ok(),
        }
    }
}

impl StageC {
    pub(super) fn frame(&mut self, kind: &str, frame: &Frame<'_>, text: &str, cx: &Context, out: &mut Effects) {
        match kind {
            "INIT" => self.init(frame, cx, out),
            "PING" => out.push(Effect::Text(PONG.to_owned())),
            "MESSAGE" => self.message(frame, text, cx, out),
            "CONFIRM" => match (self.user, frame.message_id()) {
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
        if self.sent.len() >= IN_FLIGHT || json::with(text, &[]).is_none() {
            return out.push(Effect::Refused("malformed"));
        }
        let outgoing = Outgoing { from, temp: frame.temp(), to, text: text.to_owned() };
        ask(Query::Check { from, holder: cx.origin, temp: outgoing.temp.clone() }, out);
        self.step = Some(Step::Check(outgoing));
    }

    pub(super) fn answer(&mut self, answer: Answer, welcome: bool, cx: &Context, out: &mut Effects) {
        let Some(step) = self.step.take() else { return };
        let reply = match answer {
            Answer::Directory(directory::Reply::People(reply)) => Some(reply),
            _ if matches!(answer, Answer::Joined(_)) => None,
            _ => return self.failed(&step, out),
        };
        match (step, reply) {
            (Step::Init, Some(Reply::Blocks(blocks))) => self.enter(&blocks, out),
            (Step::Join { left }, None) => self.join_next(left, out),
            (Step::Queue, Some(Reply::Queued(kept))) => {
                out.extend(self.user.filter(|_| welcome).map(|user| Effect::Text(greeting(user, cx.unix))));
                out.extend(kept.iter().map(|frame| Effect::Text(frame.as_ref().to_owned())));
            }
            (Step::Check(outgoing), Some(Reply::Fresh { id })) => {
                let Outgoing { from, ref temp, to, .. } = outgoing;
                let frame = outgoing.frame("MESSAGE", id).into();
                ask(Query::Keep { from, temp: temp.clone(), id, to, frame }, out);
                self.step = Some(Step::Keep(outgoing, id));
            }
            (Step::Check(outgoing), Some(Reply::Duplicate { id })) => {
                out.push(Effect::Text(outgoing.frame("CONFIRM", id)));
            }
            (Step::Check(_), Some(Reply::Foreign)) => out.push(Effect::Refused("foreign_user")),
            (Step::Keep(outgoing, id), Some(Reply::Done)) => self.deliver(&outgoing, id, out),
            (step, _) => self.failed(&step, out),
        }
    }

    /// Reads the person's own room and those of their blocks, the own one first.
    fn enter(&mut self, blocks: &[u64], out: &mut Effects) {
        let blocks = blocks.iter().rev().filter_map(|block| RoomName::new(&block.to_string()).ok());
        let left = blocks.chain(self.user.map(inbox)).collect();
        self.join_next(left, out);
    }

    fn join_next(&mut self, mut left: Vec<RoomName>, out: &mut Effects) {
        let Some(user) = self.user else { return };
        match left.pop() {
            Some(room) => {
                self.rooms.push(room.clone());
                let who = author(user);
                let join = Join { room, who, encoding: BLOCK, after: None, presence: false, announce: true };
                out.push(Effect::Join(join));
                self.step = Some(Step::Join { left });
            }
            None => {
                ask(Query::Queue { user, take: false }, out);
                self.step = Some(Step::Queue);
            }
        }
    }

    fn deliver(&mut self, outgoing: &Outgoing, id: u64, out: &mut Effects) {
        let Some(room) = outgoing.room() else { return out.push(Effect::Refused("room")) };
        let text = outgoing.frame("MESSAGE", id);
        let Some(frame) = Frame::read(&text) else { return out.push(Effect::Refused("malformed")) };
        let content = frame.content(Stage::C, &text);
        let tag = self.next_tag;
        self.next_tag += 1;
        self.sent.push_back((tag, outgoing.frame("CONFIRM", id)));
        out.push(Effect::Post(NewPost { tag, room, from: author(outgoing.from), key: None, content, durable: false }));
    }

    pub(super) fn posted(&mut self, tag: u64, kept: bool, out: &mut Effects) {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == tag) else { return };
        let Some((_, confirm)) = self.sent.remove(at) else { return };
        // It is in the queues of those it goes to, whether it was shown at once or not.
        if !kept {
            out.push(Effect::Refused("not_shown_at_once"));
        }
        out.push(Effect::Text(confirm));
    }

    /// Without a CONFIRM the client shows the message as failed and may send it again.
    fn failed(&mut self, step: &Step, out: &mut Effects) {
        out.push(Effect::Refused("not_kept"));
        // A person who could not be let in is cut: their client connects and enters again.
        if matches!(step, Step::Init | Step::Join { .. } | Step::Queue) {
            out.push(Effect::Terminate);
        }
    }

    pub(super) fn closed(self, cx: &Context, out: &mut Effects) {
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

fn author(user: u64) -> Author {
    Author { id: format!("m{user}").into(), name: user.to_string().into(), extra: None }
}
