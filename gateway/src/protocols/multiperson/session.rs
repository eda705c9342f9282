//! The state machine of one multiperson connection: the heartbeat, the dialect, and the broadcast dialect.

use std::{sync::Arc, time::Duration};

use super::{
    BROADCAST, MultiPersonSettings,
    blocks::BlocksDialect,
    effects::{ask, tell},
    frame::{Dialect, Frame},
};
use crate::{
    directory::{
        self,
        people::{Query, Reply, is_name},
    },
    fanout::session::{Answer, Context, Effect, Effects, Input, Join, NewPost, PostError, Session, TimerId},
    protocols::json,
    rooms::{Author, Content},
};

/// A connection that sends no JSON for this long is cut.
const SILENCE: Duration = Duration::from_secs(7);
const HEARTBEAT: TimerId = TimerId(0);

pub(super) struct MultiPersonSession {
    settings: Arc<MultiPersonSettings>,
    speaks: Speaks,
}

enum Speaks {
    /// Nothing has been said that tells the dialect.
    Unknown,
    Broadcast(BroadcastDialect),
    Blocks(BlocksDialect),
}

/// A connection of the broadcast room.
#[derive(Default)]
struct BroadcastDialect {
    /// A join was asked for, and not answered yet.
    joining: bool,
    joined: bool,
    user: Option<u64>,
    /// What is said once the room is read: the frame that came before it was.
    waiting: Option<Waiting>,
    /// Of the newest message with mentions; the others have 0.
    last_tag: u64,
    /// Mentions in messages that are not acknowledged yet: as many as the connection may have on their way.
    mentions: Vec<(u64, Query)>,
}

struct Waiting {
    from: Author,
    content: Content,
    /// The user who enters with this frame, for whom something may be kept.
    enters: Option<u64>,
    mentions: Vec<Arc<str>>,
    frame: Arc<str>,
}

impl MultiPersonSession {
    pub(super) fn new(settings: Arc<MultiPersonSettings>) -> Self {
        Self { settings, speaks: Speaks::Unknown }
    }
}

impl Session for MultiPersonSession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match input {
            Input::Open => out.push(Effect::Timer(HEARTBEAT, SILENCE)),
            Input::Text(text) => self.frame(text, cx, out),
            Input::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.frame(text, cx, out),
                Err(_) => out.push(Effect::Refused("malformed")),
            },
            Input::Timer(HEARTBEAT) => out.push(Effect::Terminate),
            Input::Moved { .. } => out.push(Effect::Close { code: 1012, reason: "moved" }),
            Input::Closed { .. } => self.closed(cx, out),
            Input::Answer(answer) => match &mut self.speaks {
                Speaks::Broadcast(dialect) => dialect.answer(answer, &self.settings, out),
                Speaks::Blocks(dialect) => dialect.answer(answer, self.settings.welcome, cx, out),
                Speaks::Unknown => {}
            },
            Input::Posted { tag, result } => match &mut self.speaks {
                Speaks::Blocks(dialect) => dialect.posted(tag, result, cx, out),
                Speaks::Broadcast(dialect) => dialect.posted(tag, result.err().as_ref(), out),
                Speaks::Unknown => {}
            },
            Input::Notice { .. } => match &mut self.speaks {
                Speaks::Blocks(dialect) => dialect.noticed(cx, out),
                Speaks::Broadcast(_) | Speaks::Unknown => {}
            },
            Input::Timer(_)
            | Input::Pong
            | Input::Limited { .. }
            | Input::Gap { .. }
            | Input::Presence { .. }
            | Input::Moderated(_) => {}
        }
    }
}

impl MultiPersonSession {
    fn frame(&mut self, text: &str, cx: &Context, out: &mut Effects) {
        let Some(frame) = Frame::read(text) else {
            out.push(Effect::Refused("malformed"));
            return;
        };
        out.push(Effect::Timer(HEARTBEAT, SILENCE));
        let kind = frame.kind();
        // INIT settles the dialect again, everything else only where it is open.
        if matches!(self.speaks, Speaks::Unknown) || (kind == "INIT" && frame.dialect() != self.dialect()) {
            self.closed(cx, out);
            self.speaks = match frame.dialect() {
                Dialect::Broadcast => Speaks::Broadcast(BroadcastDialect::default()),
                Dialect::Blocks => Speaks::Blocks(BlocksDialect::new(Arc::clone(&self.settings.access))),
            };
        }
        match &mut self.speaks {
            Speaks::Broadcast(dialect) => dialect.frame(&kind, &frame, text, cx, &self.settings, out),
            Speaks::Blocks(dialect) => dialect.frame(&kind, &frame, text, cx, out),
            Speaks::Unknown => {}
        }
    }

    fn dialect(&self) -> Dialect {
        if matches!(self.speaks, Speaks::Blocks(_)) { Dialect::Blocks } else { Dialect::Broadcast }
    }

    /// Gives back what the connection holds and reads.
    fn closed(&mut self, cx: &Context, out: &mut Effects) {
        match std::mem::replace(&mut self.speaks, Speaks::Unknown) {
            Speaks::Unknown => {}
            Speaks::Broadcast(BroadcastDialect { joined, user, mentions, .. }) => {
                mentions.into_iter().for_each(|(_, mention)| tell(mention, out));
                if let Some(user) = user {
                    tell(Query::Release { user, holder: cx.origin }, out);
                }
                if joined {
                    out.push(Effect::Leave { room: self.settings.room.clone(), asked: false });
                }
            }
            Speaks::Blocks(dialect) => dialect.closed(cx, out),
        }
    }
}

impl BroadcastDialect {
    fn frame(
        &mut self,
        kind: &str,
        frame: &Frame<'_>,
        text: &str,
        cx: &Context,
        settings: &MultiPersonSettings,
        out: &mut Effects,
    ) {
        let said = match kind {
            "PING" => {
                let pong = json::with(text, &[("type", r#""PONG""#), ("message", r#""pong""#)]);
                out.push(pong.map_or(Effect::Refused("malformed"), Effect::Text));
                return;
            }
            "INIT" => match json::with(text, &[("type", r#""SYSTEM""#), ("message", r#""join""#)]) {
                Some(said) => said,
                None => return out.push(Effect::Refused("malformed")),
            },
            _ => text.to_owned(),
        };
        let enters = frame.user().filter(|_| kind == "INIT");
        let mentions = if enters.is_none() { frame.mentions() } else { Vec::new() };
        let content = match Frame::read(&said) {
            Some(said_frame) => said_frame.content(Dialect::Broadcast, &said),
            None => return out.push(Effect::Refused("malformed")),
        };
        let waiting = Waiting { from: frame.author(), content, enters, mentions, frame: said.as_str().into() };
        if let Some(user) = enters {
            self.waiting = Some(waiting);
            self.user = Some(user);
            let name = frame.name().filter(|name| is_name(name)).map(|name| name.as_ref().into());
            ask(Query::Init { user, name, holder: cx.origin }, out);
        } else if self.joined {
            self.say(waiting, settings, out);
        } else {
            self.join(waiting, settings, out);
        }
    }

    fn join(&mut self, waiting: Waiting, settings: &MultiPersonSettings, out: &mut Effects) {
        self.joining = true;
        out.push(Effect::Join(Join {
            room: settings.room.clone(),
            who: waiting.from.clone(),
            encoding: BROADCAST,
            after: None,
            presence: false,
            announce: true,
        }));
        self.waiting = Some(waiting);
    }

    fn say(&mut self, waiting: Waiting, settings: &MultiPersonSettings, out: &mut Effects) {
        let Waiting { from, content, mentions: names, frame, .. } = waiting;
        let mut tag = 0;
        if !names.is_empty() {
            self.last_tag += 1;
            tag = self.last_tag;
            self.mentions.push((tag, Query::Mention { names, frame }));
        }
        let room = settings.room.clone();
        out.push(Effect::Post(NewPost { tag, room, from, key: None, content, amends: None, durable: false }));
    }

    /// Who is mentioned learns of it once the message is in the room: one that is refused reaches nobody.
    fn posted(&mut self, tag: u64, error: Option<&PostError>, out: &mut Effects) {
        out.extend(error.map(|error| Effect::Refused(error.reason().unwrap_or("not_kept"))));
        let at = self.mentions.iter().position(|(sent, _)| *sent == tag);
        if let Some((_, mention)) = at.map(|at| self.mentions.remove(at)).filter(|_| error.is_none()) {
            tell(mention, out);
        }
    }

    /// After INIT: known to the directory, then a reader of the room, then given what was kept, then announced.
    fn answer(&mut self, answer: Answer, settings: &MultiPersonSettings, out: &mut Effects) {
        let Some(waiting) = self.waiting.take() else { return };
        match answer {
            Answer::Directory(directory::Reply::People(Reply::Queued(kept))) => {
                out.extend(kept.iter().map(|frame| Effect::Text(frame.as_ref().to_owned())));
                self.say(waiting, settings, out);
            }
            Answer::Joined(_) => {
                (self.joining, self.joined) = (false, true);
                match waiting.enters {
                    Some(user) => {
                        ask(Query::Queue { user, take: true, read: Vec::new() }, out);
                        self.waiting = Some(waiting);
                    }
                    None => self.say(waiting, settings, out),
                }
            }
            // The room could not be read: the client connects and enters again.
            Answer::RoomLimit | Answer::Banned | Answer::Unavailable { .. } if self.joining => {
                out.extend([Effect::Refused("not_joined"), Effect::Terminate]);
            }
            // Without the directory nothing is kept for anyone, and the room continues.
            _ if !self.joined => self.join(waiting, settings, out),
            Answer::Directory(_) => {
                ask(Query::Queue { user: waiting.enters.unwrap_or(0), take: true, read: Vec::new() }, out);
                self.waiting = Some(waiting);
            }
            _ => self.say(waiting, settings, out),
        }
    }
}
