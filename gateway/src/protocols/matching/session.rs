//! The state machine of one connection of the match protocol: its commands, and what is said in its sessions.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    MatchSettings,
    wire::{self, Code, Command, Frame, SignalData, content, partner_exit},
};
use crate::{
    directory::{
        self,
        pairs::{Query, Reply, inbox},
    },
    fanout::session::{Answer, Ask, Context, Effect, Effects, Input, NewPost, PostError, Posted, Session, TimerId},
    rooms::{Author, Position},
};

/// Pause between the server's `PING_REQ`s.
pub(super) const PING_EVERY: Duration = Duration::from_secs(3);
pub(super) const PING: TimerId = TimerId(0);
/// Pause between ws-level pings, and how long they may go unanswered.
const WS_PING_EVERY: Duration = Duration::from_secs(54);
const WS_PING: TimerId = TimerId(1);
const WS_SILENCE: Duration = Duration::from_secs(60);
const WS_DEADLINE: TimerId = TimerId(2);
/// Messages of one connection that may wait for their acknowledgement.
const IN_FLIGHT: usize = 1024;

pub(super) struct MatchSession {
    pub(super) settings: Arc<MatchSettings>,
    pub(super) held: Vec<Held>,
    pub(super) pending: Option<Step>,
    sent: VecDeque<(u64, Sent)>,
    next_tag: u64,
    /// Accounts made on this connection: makes their tokens differ.
    pub(super) made: u64,
}

/// An account that this connection acts for.
pub(super) struct Held {
    pub(super) id: u64,
    pub(super) nick: Arc<str>,
    pub(super) who: Author,
    /// False until the directory confirmed that it may be matched, and when it is in doubt that it is still held.
    pub(super) entered: bool,
    /// When the client last answered a ping, on the monotonic clock.
    pub(super) seen: u64,
    /// Something was written from its inbox, and nothing that the client sent has shown since that it is there.
    pub(super) unproven: bool,
}

/// What waits for [`Input::Answer`].
pub(super) enum Step {
    Create {
        nick: Arc<str>,
        token: Arc<str>,
    },
    /// Joining the inbox; `token` None: after a reconnect, to read it from `after` on.
    Open {
        account: u64,
        nick: Arc<str>,
        token: Option<Arc<str>>,
        after: Option<Position>,
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
    pub(super) fn new(settings: Arc<MatchSettings>) -> Self {
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
            Input::Text(text) => {
                self.heard(cx, out);
                match wire::read(text) {
                    Some(command) => self.command(command, cx, out),
                    None => out.push(Effect::Refused("malformed")),
                }
            }
            Input::Binary(_) => {
                self.heard(cx, out);
                out.push(Effect::Refused("binary"));
            }
            Input::Pong => {
                self.heard(cx, out);
                out.push(Effect::Timer(WS_DEADLINE, WS_SILENCE));
            }
            Input::Notice { room } => self.written(&room),
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
            Input::Closed { read } => self.release_all(read, cx, out),
            Input::Timer(_) | Input::Limited { .. } | Input::Gap { .. } | Input::Moderated(_) => {}
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
                    out.push(Effect::Refused("not_held"));
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
            Command::Pong { account } if self.holds(account) => self.seen(account, cx, out),
            Command::Pong { .. } => out.push(Effect::Refused("not_held")),
        }
    }

    pub(super) fn ask(&mut self, query: Query, step: Step, out: &mut Effects) {
        out.push(Effect::Ask(Ask::Directory(directory::Query::Pairs(query))));
        self.pending = Some(step);
    }

    pub(super) fn holds(&self, account: u64) -> bool {
        self.held.iter().any(|held| held.id == account)
    }

    fn answer(&mut self, answer: Answer, cx: &Context, out: &mut Effects) {
        let Some(step) = self.pending.take() else { return };
        match answer {
            Answer::Directory(directory::Reply::Pairs(reply)) => self.directory(step, reply, cx, out),
            Answer::Joined(_) => self.opened(step, cx, out),
            Answer::History { head, entries, .. } => self.replay(step, head.epoch, &entries, cx, out),
            _ => self.failed(step, Some("unavailable"), cx, out),
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
            (Step::Reconnect { account }, Reply::Back { nick, seen, read }) => {
                self.back(account, nick, seen, read, cx, out);
            }
            (Step::Reconnect { .. }, _) => {
                out.push(Effect::Refused("token"));
                say(&Frame::ReconnectResp { code: Code::NoData }, out);
            }
            (step, Reply::NotHeld) => {
                let account = match &step {
                    Step::Enter { account }
                    | Step::Match { account }
                    | Step::Dialogue { account, .. }
                    | Step::ViewedAck { account, .. } => Some(*account),
                    _ => None,
                };
                self.failed(step, None, cx, out);
                if let Some(account) = account {
                    self.lost(account, out);
                }
            }
            (step, Reply::NotFound) => self.failed(step, Some("not_found"), cx, out),
            (step, _) => self.failed(step, Some("unavailable"), cx, out),
        }
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
            amends: None,
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

    /// The bus is unavailable, a limit was reached, or there is nothing of what was asked for.
    /// `reason`: what it counts as; None where that was counted.
    fn failed(&mut self, step: Step, reason: Option<&'static str>, cx: &Context, out: &mut Effects) {
        let told = !matches!(step, Step::Create { .. } | Step::Open { token: Some(_), .. } | Step::Enter { .. });
        out.extend(reason.filter(|_| told).map(Effect::Refused));
        match step {
            Step::Create { nick, .. } => not_created(&nick, out),
            Step::Open { account, nick, token, after } => {
                if let Some(read) = after {
                    // The next reconnect begins where this one would have.
                    tell(Query::Read { account, holder: cx.origin, read }, out);
                }
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

pub(super) fn say(frame: &Frame<'_>, out: &mut Effects) {
    out.push(Effect::Text(frame.text()));
}

pub(super) fn tell(query: Query, out: &mut Effects) {
    out.push(Effect::Tell(directory::Query::Pairs(query)));
}

pub(super) fn not_created(nick_name: &str, out: &mut Effects) {
    out.push(Effect::Refused("not_created"));
    say(&Frame::CrtAccountResp { code: Code::Internal, nick_name, account_id: 0, token: "" }, out);
}

fn not_matched(code: Code, out: &mut Effects) {
    say(&Frame::MatchResp { code, partner_id: 0, partner_name: "", session_id: 0 }, out);
}

fn answer_dialogue(code: Code, request_id: &str, msg_id: u64, out: &mut Effects) {
    say(&Frame::DialogueResp { code, request_id, msg_id }, out);
}
