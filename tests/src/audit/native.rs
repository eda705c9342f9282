//! A native member: resumes from its position on any gateway, posts again by key what was not acknowledged, follows
//! `moved`, and notices a connection that is dead.

use std::{sync::atomic::Ordering, time::Duration};

use rand::Rng;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    run::{Member, Outcome, Phase},
    tag::Tag,
    trace::{Event, MemberTrace, Promise},
};
use crate::client::{Frame, Socket};

/// Silence after which a ping is sent, and after which the connection counts as dead.
const PING_AFTER: Duration = Duration::from_secs(3);
const DEAD_AFTER: Duration = Duration::from_secs(6);
/// Above the ids of posts: what requests to delete are called.
const DELETIONS: u64 = 1 << 40;
/// Longest pause between two attempts to connect; the first is a tenth of a second.
const BACKOFF: Duration = Duration::from_secs(2);

struct State {
    member: Member,
    ready: Option<mpsc::Sender<()>>,
    position: Option<Position>,
    token: Option<String>,
    events: Vec<Event>,
    /// The post that is due or on its way; the next one waits for it, so that a sender's order is certain.
    post: Post,
    /// The post to delete next: its number and seq.
    to_delete: Option<(u32, u64)>,
    finished: bool,
    /// Messages shown, and those that announced gaps excuse.
    shown: u64,
    attempt: u32,
}

struct Position {
    epoch: String,
    seq: u64,
}

/// How far the member is with its `n`-th post.
struct Post {
    n: u32,
    on_its_way: bool,
    not_before: Instant,
    /// Whether it was sent at all, on any connection.
    tried: bool,
}

/// Why a connection ended.
enum Ended {
    /// To be followed by another one, after a pause or at once.
    Again { at_once: bool },
    /// The run is over.
    Done,
}

/// Runs the member to the end of the run.
pub(super) async fn member(member: Member, ready: mpsc::Sender<()>) -> Outcome {
    let post = Post { n: 1, on_its_way: false, not_before: Instant::now(), tried: false };
    let mut state = State {
        member,
        ready: Some(ready),
        position: None,
        token: None,
        events: Vec::new(),
        post,
        to_delete: None,
        finished: false,
        shown: 0,
        attempt: 0,
    };
    let mut pause = Duration::ZERO;
    loop {
        if *state.member.shared.phase.borrow() == Phase::Over {
            break;
        }
        sleep(pause).await;
        match state.connection().await {
            Ended::Done => break,
            Ended::Again { at_once: true } => pause = Duration::ZERO,
            Ended::Again { at_once: false } => {
                let jitter = rand::rng().random_range(0.5..1.0);
                pause = (pause * 2).clamp(Duration::from_millis(100), BACKOFF).mul_f64(jitter);
            }
        }
        state.member.shared.reconnects.fetch_add(1, Ordering::Relaxed);
    }
    state.outcome()
}

impl State {
    fn outcome(self) -> Outcome {
        if !self.finished {
            self.member.finished();
        }
        let trace = MemberTrace { member: self.member.name(), promise: Promise::Whole, events: self.events };
        let tried = if self.post.tried { self.post.n } else { self.post.n - 1 };
        Outcome { room: self.member.room, sender: self.member.number, tried, trace }
    }

    async fn connection(&mut self) -> Ended {
        self.attempt += 1;
        let Ok(mut socket) = self.member.dial(self.attempt - 1).await else { return Ended::Again { at_once: false } };
        let mut join = json!({"op": "join", "id": 0, "room": self.member.room_name(), "name": self.member.name()});
        if let Some(Position { epoch, seq }) = &self.position {
            join["epoch"] = epoch.as_str().into();
            join["after"] = (*seq).into();
        }
        if let Some(token) = &self.token {
            join["token"] = token.as_str().into();
        }
        if socket.text(join.to_string()).await.is_err() {
            return Ended::Again { at_once: false };
        }
        self.post.on_its_way = false;
        self.talk(socket).await
    }

    async fn talk(&mut self, mut socket: Socket) -> Ended {
        let (mut joined, mut heard, mut pinged) = (false, Instant::now(), false);
        let mut moved_at: Option<Instant> = None;
        let mut phase = self.member.shared.phase.clone();
        loop {
            if self.is_done(joined) || *phase.borrow_and_update() == Phase::Over {
                // Politely, so that the server need not find out; the result does not matter any longer.
                timeout(Duration::from_secs(1), socket.close(1000)).await.ok();
                return Ended::Done;
            }
            if joined && self.delete(&mut socket).await.is_err() {
                return Ended::Again { at_once: false };
            }
            let send_at = if joined { self.next_post() } else { None };
            tokio::select! {
                frame = socket.next() => match frame {
                    Frame::Text(text) => {
                        (heard, pinged) = (Instant::now(), false);
                        match self.frame(&text, &mut joined) {
                            Some(After::Moved(after)) => moved_at = Some(Instant::now() + after),
                            Some(After::Leave) => return Ended::Again { at_once: false },
                            None => {}
                        }
                    }
                    Frame::Binary(_) | Frame::Closed(..) | Frame::Ended => return Ended::Again { at_once: false },
                },
                () = at(send_at) => {
                    if self.send_post(&mut socket).await.is_err() {
                        return Ended::Again { at_once: false };
                    }
                }
                () = at(moved_at) => return Ended::Again { at_once: true },
                () = sleep_until(heard + if pinged { DEAD_AFTER } else { PING_AFTER }) => {
                    if pinged || socket.text(r#"{"op":"ping"}"#).await.is_err() {
                        return Ended::Again { at_once: false };
                    }
                    pinged = true;
                }
                _ = phase.changed() => {}
                () = sleep(Duration::from_millis(200)), if *phase.borrow() >= Phase::Settling => {}
            }
        }
    }

    fn is_done(&mut self, joined: bool) -> bool {
        if !self.finished && !self.post.tried && self.member.timetable.due(self.post.n).is_none() {
            self.finished = true;
            self.member.finished();
        }
        let position = self.position.as_ref().map_or(0, |p| p.seq);
        joined && self.member.is_quiet() && self.member.has_all(position, self.shown)
    }

    /// When the next post may be sent; None: not before something else happens.
    fn next_post(&self) -> Option<Instant> {
        if self.post.on_its_way || *self.member.shared.phase.borrow() == Phase::Connecting {
            return None;
        }
        let due = self.member.timetable.due(self.post.n)?;
        Some(self.member.shared.clock().at(due).max(self.post.not_before))
    }

    async fn send_post(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        let Some(due) = self.member.timetable.due(self.post.n) else { return Ok(()) };
        (self.post.tried, self.post.on_its_way) = (true, true);
        let Self { member, post, .. } = self;
        let text = Tag { sender: member.number, n: post.n, due }.text(&member.shared.run, member.shared.bytes);
        let request = json!({
            "op": "post", "id": post.n, "room": member.room_name(), "key": member.key(post.n), "body": {"text": text}
        });
        socket.text(request.to_string()).await
    }

    /// Deletes what is to be deleted. Whether it succeeds is not waited for.
    async fn delete(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        let Some((n, seq)) = self.to_delete.take() else { return Ok(()) };
        self.member.deleted(n, None);
        let id = DELETIONS + u64::from(n);
        let room = self.member.room_name();
        socket.text(json!({"op": "delete", "id": id, "room": room, "seq": seq}).to_string()).await
    }

    fn frame(&mut self, text: &str, joined: &mut bool) -> Option<After> {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return Some(After::Leave) };
        match frame["op"].as_str().unwrap_or_default() {
            "joined" => {
                *joined = true;
                self.joined(&frame);
            }
            "messages" => self.messages(&frame),
            "posted" => self.posted(&frame),
            "gap" => self.gap(&frame),
            "moved" => return Some(After::Moved(Duration::from_millis(frame["after"].as_u64().unwrap_or(0)))),
            "error" => return self.error(&frame, *joined),
            _ => {}
        }
        None
    }

    fn joined(&mut self, frame: &Value) {
        let (epoch, seq) = (frame["epoch"].as_str().unwrap_or_default(), frame["seq"].as_u64().unwrap_or(0));
        self.token = frame["you"]["token"].as_str().map(str::to_owned);
        let after = match &mut self.position {
            Some(position) => {
                epoch.clone_into(&mut position.epoch);
                position.seq
            }
            None => {
                self.position = Some(Position { epoch: epoch.to_owned(), seq });
                seq
            }
        };
        self.events.extend([Event::Connected { after: Some(after) }, Event::Head { seq }]);
        self.post.not_before = Instant::now();
        if let Some(ready) = self.ready.take() {
            // Has room for every member.
            ready.try_send(()).ok();
        }
    }

    fn messages(&mut self, frame: &Value) {
        if let (Some(epoch), Some(position)) = (frame["epoch"].as_str(), &mut self.position) {
            epoch.clone_into(&mut position.epoch);
        }
        for item in frame["items"].as_array().into_iter().flatten() {
            let seq = item["seq"].as_u64().unwrap_or(0);
            if let Some(position) = &mut self.position {
                position.seq = seq;
            }
            if item["deleted"] == true {
                self.events.push(Event::Gone { seq });
                self.shown += 1;
            }
            if !item["amends"].is_null() {
                continue;
            }
            if let Ok(tag) = Tag::read(&self.member.shared.run, item["body"]["text"].as_str().unwrap_or_default()) {
                self.events.push(Event::Shown { seq: Some(seq), key: tag.key() });
                self.member.shared.shown(tag);
                self.member.reached(seq);
                self.shown += 1;
            }
        }
    }

    fn posted(&mut self, frame: &Value) {
        let (id, seq) = (frame["id"].as_u64(), frame["seq"].as_u64().unwrap_or(0));
        if let Some(n) = id.and_then(|id| u32::try_from(id.checked_sub(DELETIONS)?).ok()) {
            return self.member.deleted(n, Some(seq));
        }
        if id != Some(u64::from(self.post.n)) {
            return;
        }
        self.member.acknowledged(self.post.n, seq);
        if self.member.shared.deletes > 0 && self.post.n.is_multiple_of(self.member.shared.deletes) {
            self.to_delete = Some((self.post.n, seq));
        }
        self.post = Post { n: self.post.n + 1, on_its_way: false, not_before: Instant::now(), tried: false };
    }

    fn gap(&mut self, frame: &Value) {
        let (from, to) = (frame["from"].as_u64().unwrap_or(0), frame["to"].as_u64());
        self.events.push(Event::Gap { from, to });
        self.shown += to.map_or(0, |to| (to + 1).saturating_sub(from));
        let epoch = frame["epoch"].as_str().unwrap_or_default();
        if let Some(position) = &mut self.position {
            if position.epoch != epoch {
                self.events.push(Event::NewEpoch);
                epoch.clone_into(&mut position.epoch);
            }
            position.seq = to.unwrap_or(position.seq);
        }
    }

    fn error(&mut self, frame: &Value, joined: bool) -> Option<After> {
        let retry = Duration::from_millis(frame["retry"].as_u64().unwrap_or(500));
        if !joined {
            return Some(After::Leave);
        }
        if frame["id"].as_u64() == Some(u64::from(self.post.n)) {
            self.post.on_its_way = false;
            self.post.not_before = Instant::now() + retry;
        }
        None
    }
}

/// What a frame demands of the connection.
enum After {
    Moved(Duration),
    Leave,
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
