//! The state machine of one connection of the match protocol.

use std::{collections::VecDeque, sync::Arc};

use super::{
    ENCODING, Settings, content,
    wire::{self, Code, Command, Frame, SignalData, partner_exit},
};
use crate::{
    bus::directory::{
        self,
        pairs::{Query, Reply, inbox},
    },
    fanout::session::{
        Answer, Ask, Context, Effect, Effects, Input, Join, NewPost, PostError, Posted, Session, TimerId,
    },
    protocols::jwt,
    rooms::{Author, Entry, Epoch, Origin, Position, RoomName},
};

/// Pause between the server's `PING_REQ`s, in milliseconds.
const PING_EVERY: u64 = 3_000;
const PING: TimerId = TimerId(0);
/// How long an account may leave them unanswered, in milliseconds.
const SILENCE: u64 = 20_000;
/// Pause between ws-level pings, and how long they may go unanswered, in milliseconds.
const WS_PING_EVERY: u64 = 54_000;
const WS_PING: TimerId = TimerId(1);
const WS_SILENCE: u64 = 60_000;
const WS_DEADLINE: TimerId = TimerId(2);
/// Accounts that one connection may hold; clients hold one.
const ACCOUNTS: usize = 16;
/// Longest name, in bytes; the original has a column of some such width.
const NICK_BYTES: usize = 255;
/// Messages of one connection that may wait for their acknowledgement.
const IN_FLIGHT: usize = 1024;
/// Entries that a reconnect can replay.
const REPLAY: u32 = 1000;

pub(super) struct MatchSession {
    settings: Arc<Settings>,
    held: Vec<Held>,
    pending: Option<Step>,
    sent: VecDeque<(u64, Sent)>,
    next_tag: u64,
    /// Accounts made on this connection: makes their tokens differ.
    made: u64,
}

/// An account that this connection acts for.
struct Held {
    id: u64,
    nick: Arc<str>,
    who: Author,
    /// False until the directory confirmed that it may be matched, and when it is in doubt that it is still held.
    entered: bool,
    /// When the client last answered a ping, on the monotonic clock.
    seen: u64,
}

/// What waits for [`Input::Answer`].
enum Step {
    Create {
        nick: Arc<str>,
        token: Arc<str>,
    },
    /// Joining the inbox; `token` None: after a reconnect.
    Open {
        account: u64,
        nick: Arc<str>,
        token: Option<Arc<str>>,
    },
    Enter {
        account: u64,
    },
    Match {
        account: u64,
    },
    Dialogue {
        request: String,
        account: u64,
        session: u64,
        content: String,
    },
    ViewedAck {
        account: u64,
        session: u64,
        message: u64,
    },
    Reconnect {
        account: u64,
    },
    /// Reading the inbox for what was missed since `seen`.
    Replay {
        account: u64,
        nick: Arc<str>,
        seen: u64,
    },
}

/// What waits for [`Input::Posted`].
enum Sent {
    NewSession { account: u64, session: u64, partner: u64 },
    Dialogue { request: String, message: u64 },
    ViewedAck,
}

impl MatchSession {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, held: Vec::new(), pending: None, sent: VecDeque::new(), next_tag: 0, made: 0 }
    }
}

impl Session for MatchSession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match input {
            Input::Open => {
                out.push(Effect::Timer(PING, PING_EVERY));
                out.push(Effect::Timer(WS_PING, WS_PING_EVERY));
                out.push(Effect::Timer(WS_DEADLINE, WS_SILENCE));
            }
            Input::Text(text) => match wire::read(text) {
                Some(command) => self.command(command, cx, out),
                None => out.push(Effect::Refused("malformed")),
            },
            Input::Binary(_) => out.push(Effect::Refused("binary")),
            Input::Pong => out.push(Effect::Timer(WS_DEADLINE, WS_SILENCE)),
            Input::Timer(PING) => self.ping(cx, out),
            Input::Timer(WS_PING) => {
                out.push(Effect::Ping);
                out.push(Effect::Timer(WS_PING, WS_PING_EVERY));
            }
            Input::Timer(WS_DEADLINE) => out.push(Effect::Terminate),
            Input::Answer(answer) => self.answer(answer, cx, out),
            Input::Posted { tag, result } => self.posted(tag, result, cx, out),
            Input::Presence { room, presence } => self.doubt(&room, &presence.joined, cx, out),
            Input::Moved { .. } => out.push(Effect::Close { code: 1012, reason: "moved" }),
            Input::Closed => self.release_all(cx, out),
            Input::Timer(_) | Input::Limited { .. } | Input::Gap { .. } => {}
        }
    }
}

impl MatchSession {
    fn command(&mut self, command: Command, cx: &Context, out: &mut Effects) {
        match command {
            Command::CreateAccount { nick } => self.create(&nick, cx, out),
            Command::Match { account } => {
                if self.holds(account) {
                    self.ask(Query::Match { account, holder: cx.origin }, Step::Match { account }, out);
                } else {
                    not_matched(Code::Internal, out);
                }
            }
            Command::Dialogue { request, account, session, content } => {
                if self.holds(account) && self.sent.len() < IN_FLIGHT {
                    let query = Query::Partner { account, holder: cx.origin, session, message: true };
                    self.ask(query, Step::Dialogue { request, account, session, content }, out);
                } else {
                    out.push(Effect::Refused("not_held"));
                    answer_dialogue(Code::Internal, &request, 0, out);
                }
            }
            Command::ViewedAck { session, account, message } => {
                if self.holds(account) && self.sent.len() < IN_FLIGHT {
                    let query = Query::Partner { account, holder: cx.origin, session, message: false };
                    self.ask(query, Step::ViewedAck { account, session, message }, out);
                } else {
                    out.push(Effect::Refused("not_held"));
                    say(&Frame::ViewedAckResp { code: Code::Internal }, out);
                }
            }
            Command::Reconnect { account, token } => {
                let grace = self.settings.grace;
                let query = Query::Reconnect { account, token: token.into(), holder: cx.origin, grace };
                self.ask(query, Step::Reconnect { account }, out);
            }
            Command::Ping { account } => {
                say(&Frame::PingResp { account_id: account }, out);
                self.seen(account, cx, out);
            }
            Command::Pong { account } => self.seen(account, cx, out),
        }
    }

    fn ask(&mut self, query: Query, step: Step, out: &mut Effects) {
        out.push(Effect::Ask(Ask::Directory(directory::Query::Pairs(query))));
        self.pending = Some(step);
    }

    fn holds(&self, account: u64) -> bool {
        self.held.iter().any(|held| held.id == account)
    }

    fn create(&mut self, nick: &str, cx: &Context, out: &mut Effects) {
        if self.held.len() >= ACCOUNTS || nick.len() > NICK_BYTES {
            return not_created(nick, out);
        }
        self.made += 1;
        let token: Arc<str> = new_token(&self.settings.key, cx.origin, self.made).into();
        let nick: Arc<str> = nick.into();
        let grace = self.settings.grace;
        let query = Query::Create { nick: nick.clone(), token: token.clone(), holder: cx.origin, grace };
        self.ask(query, Step::Create { nick, token }, out);
    }

    fn seen(&mut self, account: u64, cx: &Context, out: &mut Effects) {
        if let Some(held) = self.held.iter_mut().find(|held| held.id == account) {
            held.seen = cx.now;
            tell(Query::Seen { account, holder: cx.origin }, out);
        }
    }

    fn ping(&mut self, cx: &Context, out: &mut Effects) {
        out.push(Effect::Timer(PING, PING_EVERY));
        for held in self.held.extract_if(.., |held| cx.now.saturating_sub(held.seen) > SILENCE) {
            out.push(Effect::Refused("silent"));
            out.push(Effect::Leave { room: inbox(held.id), asked: false });
            tell(Query::Release { account: held.id, holder: cx.origin }, out);
        }
        for held in &self.held {
            say(&Frame::PingReq { account_id: held.id }, out);
        }
        let doubtful = self.held.iter().find(|held| !held.entered).map(|held| held.id);
        if let Some(account) = doubtful.filter(|_| self.pending.is_none()) {
            self.ask(Query::Enter { account, holder: cx.origin }, Step::Enter { account }, out);
        }
    }

    /// Someone else reads an inbox of ours: perhaps the account was taken over.
    fn doubt(&mut self, room: &RoomName, joined: &[Author], cx: &Context, out: &mut Effects) {
        let Some(held) = self.held.iter_mut().find(|held| inbox(held.id) == *room) else { return };
        if joined.iter().all(|who| who.id == held.who.id) {
            return;
        }
        held.entered = false;
        let account = held.id;
        if self.pending.is_none() {
            self.ask(Query::Enter { account, holder: cx.origin }, Step::Enter { account }, out);
        }
    }

    /// Another connection has the account now.
    fn lost(&mut self, account: u64, out: &mut Effects) {
        if self.holds(account) {
            self.held.retain(|held| held.id != account);
            out.push(Effect::Refused("taken_over"));
            out.push(Effect::Leave { room: inbox(account), asked: false });
        }
    }

    fn release_all(&mut self, cx: &Context, out: &mut Effects) {
        for held in self.held.drain(..) {
            tell(Query::Release { account: held.id, holder: cx.origin }, out);
        }
    }

    fn answer(&mut self, answer: Answer, cx: &Context, out: &mut Effects) {
        let Some(step) = self.pending.take() else { return };
        match answer {
            Answer::Directory(directory::Reply::Pairs(reply)) => self.directory(step, reply, cx, out),
            Answer::Joined(_) => self.opened(step, cx, out),
            Answer::History { epoch, entries, .. } => self.replay(step, epoch, &entries, cx, out),
            _ => self.failed(step, cx, out),
        }
    }

    fn directory(&mut self, step: Step, reply: Reply, cx: &Context, out: &mut Effects) {
        match (step, reply) {
            (Step::Create { nick, token }, Reply::Created { account }) => {
                self.open(account, nick, Some(token), None, cx, out);
            }
            (Step::Enter { account }, Reply::Done) => {
                if let Some(held) = self.held.iter_mut().find(|held| held.id == account) {
                    held.entered = true;
                }
            }
            (Step::Match { account }, Reply::Matched { session, partner, nick }) => {
                self.matched(account, session, partner, &nick, out);
            }
            (Step::Match { .. }, Reply::NotFound) => not_matched(Code::NoData, out),
            (Step::Dialogue { request, account, session, content }, Reply::Partner { partner, message, live }) => {
                if live {
                    let push = Frame::PushDialogueReq {
                        msg_id: message,
                        sender_id: account,
                        session_id: session,
                        content: &content,
                    };
                    self.post(account, partner, &push, Sent::Dialogue { request, message }, out);
                } else {
                    answer_dialogue(Code::Success, &request, message, out);
                    out.push(Effect::Text(partner_exit(session, account, partner)));
                }
            }
            (Step::ViewedAck { account, session, message }, Reply::Partner { partner, live, .. }) => {
                if live {
                    let push = Frame::PushViewedAckReq { session_id: session, account_id: account, msg_id: message };
                    self.post(account, partner, &push, Sent::ViewedAck, out);
                } else {
                    say(&Frame::ViewedAckResp { code: Code::Success }, out);
                }
            }
            (Step::Reconnect { account }, Reply::Back { nick, seen }) => self.back(account, nick, seen, cx, out),
            (Step::Reconnect { .. }, _) => say(&Frame::ReconnectResp { code: Code::NoData }, out),
            (step, Reply::NotHeld) => {
                let account = match &step {
                    Step::Enter { account }
                    | Step::Match { account }
                    | Step::Dialogue { account, .. }
                    | Step::ViewedAck { account, .. } => Some(*account),
                    _ => None,
                };
                self.failed(step, cx, out);
                if let Some(account) = account {
                    self.lost(account, out);
                }
            }
            (step, _) => self.failed(step, cx, out),
        }
    }

    /// Starts reading an account's inbox.
    fn open(
        &mut self,
        account: u64,
        nick: Arc<str>,
        token: Option<Arc<str>>,
        after: Option<Position>,
        cx: &Context,
        out: &mut Effects,
    ) {
        let who = author(account, cx.origin);
        // Presence tells the connection before this one that it is not alone.
        let join = Join { room: inbox(account), who, encoding: ENCODING, after, presence: true, announce: true };
        out.push(Effect::Join(join));
        self.pending = Some(Step::Open { account, nick, token });
    }

    fn opened(&mut self, step: Step, cx: &Context, out: &mut Effects) {
        let Step::Open { account, nick, token } = step else { return };
        match &token {
            Some(token) => {
                let (nick_name, token) = (nick.as_ref(), token.as_ref());
                say(&Frame::CrtAccountResp { code: Code::Success, nick_name, account_id: account, token }, out);
            }
            None => say(&Frame::ReconnectResp { code: Code::Success }, out),
        }
        if !self.holds(account) {
            let who = author(account, cx.origin);
            self.held.push(Held { id: account, nick, who, entered: false, seen: cx.now });
        }
        self.ask(Query::Enter { account, holder: cx.origin }, Step::Enter { account }, out);
    }

    /// MATCH_RESP goes out before the partner can hear of the session, so that nothing said in it comes first.
    fn matched(&mut self, account: u64, session: u64, partner: u64, partner_nick: &str, out: &mut Effects) {
        let nick = self.held.iter().find(|held| held.id == account).map(|held| held.nick.clone()).unwrap_or_default();
        say(
            &Frame::MatchResp {
                code: Code::Success,
                partner_id: partner,
                partner_name: partner_nick,
                session_id: session,
            },
            out,
        );
        let push = Frame::PushSignalReq {
            sender_id: account,
            session_id: session,
            receiver_id: partner,
            signal_type: "NewSession",
            data: SignalData { account_id: account, nick_name: &nick },
        };
        self.post(account, partner, &push, Sent::NewSession { account, session, partner }, out);
    }

    fn post(&mut self, account: u64, partner: u64, frame: &Frame<'_>, sent: Sent, out: &mut Effects) {
        let Some(held) = self.held.iter().find(|held| held.id == account) else { return };
        let tag = self.next_tag;
        self.next_tag += 1;
        self.sent.push_back((tag, sent));
        out.push(Effect::Post(NewPost {
            tag,
            room: inbox(partner),
            from: held.who.clone(),
            key: None,
            content: content(frame.text()),
            durable: false,
        }));
    }

    fn posted(&mut self, tag: u64, result: Result<Posted, PostError>, cx: &Context, out: &mut Effects) {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == tag) else { return };
        let Some((_, sent)) = self.sent.remove(at) else { return };
        let code = if result.is_ok() { Code::Success } else { Code::Internal };
        match sent {
            Sent::Dialogue { request, message } => {
                let message = if result.is_ok() { message } else { 0 };
                answer_dialogue(code, &request, message, out);
            }
            Sent::ViewedAck => say(&Frame::ViewedAckResp { code }, out),
            Sent::NewSession { account, session, partner } => {
                if result.is_err() {
                    // The partner never heard of it: to the one who asked, they are gone.
                    tell(Query::End { account, holder: cx.origin, session }, out);
                    out.push(Effect::Text(partner_exit(session, account, partner)));
                }
            }
        }
    }

    /// The account is ours; what its inbox got since `seen` is read next.
    fn back(&mut self, account: u64, nick: Arc<str>, seen: u64, cx: &Context, out: &mut Effects) {
        if self.holds(account) {
            say(&Frame::ReconnectResp { code: Code::Success }, out);
            self.ask(Query::Enter { account, holder: cx.origin }, Step::Enter { account }, out);
            return;
        }
        if self.held.len() >= ACCOUNTS {
            tell(Query::Release { account, holder: cx.origin }, out);
            say(&Frame::ReconnectResp { code: Code::Internal }, out);
            return;
        }
        out.push(Effect::Ask(Ask::History { room: inbox(account), before: None, limit: REPLAY }));
        self.pending = Some(Step::Replay { account, nick, seen });
    }

    fn replay(&mut self, step: Step, epoch: Epoch, entries: &[Arc<Entry>], cx: &Context, out: &mut Effects) {
        let Step::Replay { account, nick, seen } = step else { return };
        let missed = entries.iter().find(|entry| entry.time >= seen).map(|entry| entry.seq - 1);
        let seq = missed.or(entries.last().map(|entry| entry.seq)).unwrap_or(0);
        self.open(account, nick, None, Some(Position { epoch, seq }), cx, out);
    }

    /// The bus is away, or a limit was reached.
    fn failed(&mut self, step: Step, cx: &Context, out: &mut Effects) {
        match step {
            Step::Create { nick, .. } => not_created(&nick, out),
            Step::Open { account, nick, token } => {
                tell(Query::Release { account, holder: cx.origin }, out);
                match token {
                    Some(_) => not_created(&nick, out),
                    None => say(&Frame::ReconnectResp { code: Code::Internal }, out),
                }
            }
            Step::Replay { account, .. } => {
                tell(Query::Release { account, holder: cx.origin }, out);
                say(&Frame::ReconnectResp { code: Code::Internal }, out);
            }
            Step::Match { .. } => not_matched(Code::Internal, out),
            Step::Dialogue { request, .. } => answer_dialogue(Code::Internal, &request, 0, out),
            Step::ViewedAck { .. } => say(&Frame::ViewedAckResp { code: Code::Internal }, out),
            Step::Reconnect { .. } => say(&Frame::ReconnectResp { code: Code::Internal }, out),
            // Tried again with the next ping.
            Step::Enter { .. } => {}
        }
    }
}

/// Differs by connection, so that one that took an account over is told from the one before.
fn author(account: u64, origin: Origin) -> Author {
    let id = format!("m{account}-{:x}-{:x}", origin.gateway, origin.connection);
    Author { id: id.into(), name: account.to_string().into(), extra: None }
}

/// Thirty letters and digits that nobody without the key can foresee.
fn new_token(key: &[u8], origin: Origin, made: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let parts = [origin.gateway, origin.connection, made].map(u64::to_be_bytes);
    let digest = jwt::digest(key, parts.as_flattened());
    digest[..30].iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

fn say(frame: &Frame<'_>, out: &mut Effects) {
    out.push(Effect::Text(frame.text()));
}

fn tell(query: Query, out: &mut Effects) {
    out.push(Effect::Tell(directory::Query::Pairs(query)));
}

fn not_created(nick_name: &str, out: &mut Effects) {
    out.push(Effect::Refused("not_created"));
    say(&Frame::CrtAccountResp { code: Code::Internal, nick_name, account_id: 0, token: "" }, out);
}

fn not_matched(code: Code, out: &mut Effects) {
    say(&Frame::MatchResp { code, partner_id: 0, partner_name: "", session_id: 0 }, out);
}

fn answer_dialogue(code: Code, request_id: &str, msg_id: u64, out: &mut Effects) {
    say(&Frame::DialogueResp { code, request_id, msg_id }, out);
}
