//! An OnlyOne member: its protocol has no acknowledgement and no position, so it counts on its own echo, posts nothing
//! twice, and must receive only what passes while it is connected.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use rand::Rng;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    run::{Member, Outcome, Phase},
    tag::Tag,
    trace::{Event, Key, MemberTrace, Promise, RoomTrace},
};
use crate::client::{Frame, Socket};

/// An echo that takes longer is given up: the message is unconfirmed.
const ECHO_WITHIN: Duration = Duration::from_secs(5);
/// How long after the last post who reconnected stays, in microseconds.
const LINGER: u64 = 3_000_000;
/// Longest pause between two attempts to connect.
const BACKOFF: Duration = Duration::from_secs(2);

struct State {
    member: Member,
    ready: Option<mpsc::Sender<()>>,
    events: Vec<Event>,
    /// Posts so far.
    tried: u32,
    /// The post whose echo is awaited, and until when.
    awaited: Option<Instant>,
    finished: bool,
    shown: u64,
    attempt: u32,
}

/// Runs the member to the end of the run.
pub(super) async fn member(member: Member, ready: mpsc::Sender<()>) -> Outcome {
    let (ready, events) = (Some(ready), Vec::new());
    let mut state = State { member, ready, events, tried: 0, awaited: None, finished: false, shown: 0, attempt: 0 };
    let mut pause = Duration::ZERO;
    while *state.member.shared.phase.borrow() != Phase::Over {
        sleep(pause).await;
        if state.connection().await {
            break;
        }
        state.awaited = None;
        pause = (pause * 2).clamp(Duration::from_millis(100), BACKOFF).mul_f64(rand::rng().random_range(0.5..1.0));
        state.member.shared.reconnects.fetch_add(1, Ordering::Relaxed);
    }
    if !state.finished {
        state.member.finished();
    }
    let State { member, events, tried, .. } = state;
    let trace =
        MemberTrace { member: format!("{} (onlyone)", member.name()), promise: Promise::WhileConnected, events };
    Outcome { room: member.room, sender: member.number, tried, trace }
}

/// What OnlyOne members were shown counts as acknowledged, at the place that native members were shown. What none of
/// those was shown counts only if its sender saw it in time: later, the others may have left.
pub(super) fn acknowledge_echoes(room: &mut RoomTrace, echoed: &HashSet<Key>) {
    let shown = |member: &MemberTrace| -> Vec<(Key, Option<u64>)> {
        let keys = member.events.iter();
        keys.filter_map(|e| if let Event::Shown { seq, key } = *e { Some((key, seq)) } else { None }).collect()
    };
    let (native, onlyone): (Vec<_>, Vec<_>) = room.members.iter().partition(|m| m.promise == Promise::Whole);
    let places: HashMap<Key, u64> =
        native.iter().flat_map(|m| shown(m)).filter_map(|(key, seq)| Some((key, seq?))).collect();
    for (key, _) in onlyone.iter().flat_map(|m| shown(m)) {
        // Shown here and to no native member: each of them lacks it, wherever it belongs.
        let nowhere = echoed.contains(&key).then_some(u64::MAX);
        if let Some(place) = places.get(&key).copied().or(nowhere) {
            room.acknowledged.entry(key).or_insert(place);
        }
    }
}

impl State {
    /// Runs one connection; true at the end of the run.
    async fn connection(&mut self) -> bool {
        self.attempt += 1;
        let Ok(mut socket) = self.member.dial(self.attempt - 1).await else { return false };
        let join = json!({
            "requestId": 2, "type": "request", "route": "roomHandler.joinRoom",
            "data": {"room_id": self.member.room_name()}
        });
        if socket.text(join.to_string()).await.is_err() {
            return false;
        }
        self.events.push(Event::Connected { after: None });
        let (mut joined, mut phase) = (false, self.member.shared.phase.clone());
        loop {
            if *phase.borrow_and_update() == Phase::Over || self.is_done(joined) {
                timeout(Duration::from_secs(1), socket.close(1000)).await.ok();
                return true;
            }
            tokio::select! {
                frame = socket.next() => match frame {
                    Frame::Text(text) => joined |= self.frame(&text),
                    Frame::Binary(_) | Frame::Closed(..) | Frame::Ended => return false,
                },
                () = at(self.next_post(joined)) => {
                    if self.send_post(&mut socket).await.is_err() {
                        return false;
                    }
                }
                () = at(self.awaited) => self.awaited = None,
                _ = phase.changed() => {}
                () = sleep(Duration::from_millis(200)), if *phase.borrow() >= Phase::Settling => {}
            }
        }
    }

    /// After a reconnect it cannot know what it lacks, so it stays a while longer.
    fn is_done(&mut self, joined: bool) -> bool {
        if !self.finished && self.awaited.is_none() && self.member.timetable.due(self.tried + 1).is_none() {
            self.finished = true;
            self.member.finished();
        }
        let all = self.member.has_all(u64::MAX, self.shown);
        let late = self.member.shared.clock().now() > self.member.timetable.end() + LINGER;
        joined && self.member.is_quiet() && (all || self.attempt > 1 && late)
    }

    fn next_post(&self, joined: bool) -> Option<Instant> {
        if !joined || self.awaited.is_some() || *self.member.shared.phase.borrow() == Phase::Connecting {
            return None;
        }
        self.member.timetable.due(self.tried + 1).map(|due| self.member.shared.clock().at(due))
    }

    async fn send_post(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        let Some(due) = self.member.timetable.due(self.tried + 1) else { return Ok(()) };
        self.tried += 1;
        self.awaited = Some(Instant::now() + ECHO_WITHIN);
        let Self { member, tried, .. } = self;
        let text = Tag { sender: member.number, n: *tried, due }.text(&member.shared.run, member.shared.bytes);
        let data = json!({"room_id": member.room_name(), "chat_message": {"type": "text", "content": text}});
        socket.text(json!({"route": "chatHandler.chat", "data": data}).to_string()).await
    }

    /// True if the frame is the answer to the join.
    fn frame(&mut self, text: &str) -> bool {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        if frame["type"] == "response" {
            if let Some(ready) = self.ready.take() {
                // Has room for every member.
                ready.try_send(()).ok();
            }
            return frame["code"] == 0;
        }
        let content = frame["data"]["chat_message"]["content"].as_str().unwrap_or_default();
        if let (Some("room.chat"), Ok(tag)) = (frame["route"].as_str(), Tag::read(&self.member.shared.run, content)) {
            self.events.push(Event::Shown { seq: None, key: tag.key() });
            self.member.shared.shown(tag);
            self.shown += 1;
            if tag.sender == self.member.number {
                if tag.n == self.tried && self.awaited.take().is_some() {
                    self.member.echoed(tag.n);
                } else {
                    self.member.confirmed();
                }
            }
        }
        false
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
