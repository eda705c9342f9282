//! How a connection gets, keeps and loses the accounts that it acts for.

use std::{sync::Arc, time::Duration};

use super::{
    ENCODING,
    session::{Held, MatchSession, PING, PING_EVERY, Step, not_created, say, tell},
    wire::{Code, Frame},
};
use crate::{
    directory::pairs::{Query, inbox},
    fanout::session::{Ask, Context, Effect, Effects, Join},
    protocols::jwt,
    rooms::{Author, Entry, Epoch, Origin, Position, RoomName},
};

/// How long an account may leave them unanswered.
const SILENCE: Duration = Duration::from_secs(20);
/// Accounts that one connection may hold; clients hold one.
const ACCOUNTS: usize = 16;
/// Longest name, in bytes; the original has a column of some such width.
const NICK_BYTES: usize = 255;
/// Entries that a reconnect can replay.
const REPLAY: u32 = 1000;

impl MatchSession {
    pub(super) fn create(&mut self, nick: &str, cx: &Context, out: &mut Effects) {
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

    pub(super) fn seen(&mut self, account: u64, cx: &Context, out: &mut Effects) {
        if let Some(held) = self.held.iter_mut().find(|held| held.id == account) {
            held.seen = cx.now;
            held.unproven = false;
            tell(Query::Seen { account, holder: cx.origin }, out);
        }
    }

    /// The client sent something, so what it was written before is there: a reconnect does not show it again.
    pub(super) fn heard(&mut self, cx: &Context, out: &mut Effects) {
        for held in self.held.iter_mut().filter(|held| held.unproven) {
            held.unproven = false;
            tell(Query::Seen { account: held.id, holder: cx.origin }, out);
        }
    }

    /// Something came into an inbox.
    pub(super) fn written(&mut self, room: &RoomName) {
        if let Some(held) = self.held.iter_mut().find(|held| inbox(held.id) == *room) {
            held.unproven = true;
        }
    }

    pub(super) fn ping(&mut self, cx: &Context, out: &mut Effects) {
        out.push(Effect::Timer(PING, PING_EVERY));
        for held in self.held.extract_if(.., |held| Duration::from_millis(cx.now.saturating_sub(held.seen)) > SILENCE) {
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
    pub(super) fn doubt(&mut self, room: &RoomName, joined: &[Author], cx: &Context, out: &mut Effects) {
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
    pub(super) fn lost(&mut self, account: u64, out: &mut Effects) {
        if self.holds(account) {
            self.held.retain(|held| held.id != account);
            out.push(Effect::Refused("taken_over"));
            out.push(Effect::Leave { room: inbox(account), asked: false });
        }
    }

    /// `read`: up to where the client has got its inboxes, as far as that is known.
    pub(super) fn release_all(&mut self, read: &[(RoomName, Position)], cx: &Context, out: &mut Effects) {
        for held in self.held.drain(..) {
            let room = inbox(held.id);
            if let Some((_, read)) = read.iter().find(|(of, _)| *of == room) {
                tell(Query::Read { account: held.id, holder: cx.origin, read: *read }, out);
            }
            tell(Query::Release { account: held.id, holder: cx.origin }, out);
        }
    }

    /// Starts reading an account's inbox.
    pub(super) fn open(
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
        self.pending = Some(Step::Open { account, nick, token, after });
    }

    pub(super) fn opened(&mut self, step: Step, cx: &Context, out: &mut Effects) {
        let Step::Open { account, nick, token, after: _ } = step else { return };
        match &token {
            Some(token) => {
                let (nick_name, token) = (nick.as_ref(), token.as_ref());
                say(&Frame::CrtAccountResp { code: Code::Success, nick_name, account_id: account, token }, out);
            }
            None => say(&Frame::ReconnectResp { code: Code::Success }, out),
        }
        if !self.holds(account) {
            let who = author(account, cx.origin);
            self.held.push(Held { id: account, nick, who, entered: false, seen: cx.now, unproven: false });
        }
        self.ask(Query::Enter { account, holder: cx.origin }, Step::Enter { account }, out);
    }

    /// The account is ours. Its inbox is read from `read` on, where the client has got it; else it is looked up what came
    /// since `seen`.
    pub(super) fn back(
        &mut self,
        account: u64,
        nick: Arc<str>,
        seen: u64,
        read: Option<Position>,
        cx: &Context,
        out: &mut Effects,
    ) {
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
        if read.is_some() {
            return self.open(account, nick, None, read, cx, out);
        }
        out.push(Effect::Ask(Ask::History { room: inbox(account), before: None, limit: REPLAY }));
        self.pending = Some(Step::Replay { account, nick, seen });
    }

    pub(super) fn replay(&mut self, step: Step, epoch: Epoch, entries: &[Arc<Entry>], cx: &Context, out: &mut Effects) {
        let Step::Replay { account, nick, seen } = step else { return };
        let missed = entries.iter().find(|entry| entry.time >= seen).map(|entry| entry.seq - 1);
        let seq = missed.or(entries.last().map(|entry| entry.seq)).unwrap_or(0);
        self.open(account, nick, None, Some(Position { epoch, seq }), cx, out);
    }
}

/// Differs by connection, so that one that took an account over differs from the one before.
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
