//! One run: starts the members, ends it in order, gathers what they saw.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Plan, Report,
    clock::{Clock, Timetable},
    native, onlyone,
    tag::Tag,
    trace::{Key, MemberTrace, RoomTrace, Trace},
    verdict,
};
use crate::client::Socket;

/// Connecting is spread over this long for each thousand members, so that the storm is no part of the measurement.
const RAMP_PER_THOUSAND: Duration = Duration::from_secs(2);

/// What happens now; members watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Connecting,
    Posting,
    /// No new posts; what is on its way is finished, and everybody catches up.
    Settling,
    Over,
}

/// What all members share.
pub(super) struct Shared {
    /// Tells this run's messages from others.
    pub(super) run: String,
    pub(super) bytes: usize,
    pub(super) deletes: u32,
    pub(super) phase: watch::Receiver<Phase>,
    /// Set when posting begins.
    clock: Mutex<Clock>,
    rooms: Vec<Room>,
    latency: Mutex<Histogram<u64>>,
    /// By the second in which messages were due.
    slowest: Mutex<BTreeMap<u64, Duration>>,
    pub(super) reconnects: AtomicU64,
}

/// What the members of one room share.
struct Room {
    name: String,
    acknowledged: Mutex<HashMap<Key, u64>>,
    deletions: Mutex<HashMap<Key, Option<u64>>>,
    /// Members that have posts to send or to hear of.
    posters: AtomicU64,
    /// Posts of which their senders know that they are in the room.
    confirmed: AtomicU64,
    /// Those of them whose senders saw them come back, and learned no seq.
    echoed: Mutex<HashSet<Key>>,
    /// The highest seq that anyone received.
    head: AtomicU64,
}

/// One member's identity in the run.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) room: usize,
    /// Unique in the run; the sender of its messages.
    pub(super) number: u32,
    pub(super) urls: Arc<[String]>,
    pub(super) via: Option<SocketAddr>,
    pub(super) timetable: Timetable,
}

/// What a member brings back.
pub(super) struct Outcome {
    pub(super) room: usize,
    pub(super) sender: u32,
    pub(super) tried: u32,
    pub(super) trace: MemberTrace,
}

impl Shared {
    pub(super) fn clock(&self) -> Clock {
        *self.clock.lock()
    }

    /// Notes that a message of this run was shown now.
    pub(super) fn shown(&self, tag: Tag) {
        let late = self.clock().now().saturating_sub(tag.due).max(1);
        self.latency.lock().saturating_record(late);
        let mut slowest = self.slowest.lock();
        let slowest = slowest.entry(tag.due / 1_000_000).or_default();
        *slowest = Duration::from_micros(late).max(*slowest);
    }
}

impl Member {
    /// Connects, the next time to the next URL.
    pub(super) async fn dial(&self, attempt: u32) -> Result<Socket> {
        let url = &self.urls[(self.number as usize + attempt as usize) % self.urls.len()];
        match self.via {
            Some(address) if !names_an_address(url) => Socket::dial_via(url, address).await,
            _ => Socket::dial(url).await,
        }
    }

    pub(super) fn room_name(&self) -> &str {
        &self.shared.rooms[self.room].name
    }

    pub(super) fn name(&self) -> String {
        format!("m{}", self.number)
    }

    pub(super) fn key(&self, n: u32) -> String {
        format!("{}-{}-{n}", self.shared.run, self.number)
    }

    /// The member has nothing more to post, and knows what became of what it posted, as far as it ever will.
    pub(super) fn finished(&self) {
        self.in_room().posters.fetch_sub(1, Ordering::SeqCst);
    }

    /// The member's post is in the room.
    pub(super) fn confirmed(&self) {
        self.in_room().confirmed.fetch_add(1, Ordering::SeqCst);
    }

    /// The member's `n`-th post came back to it while it waited.
    pub(super) fn echoed(&self, n: u32) {
        self.in_room().echoed.lock().insert((self.number, n));
        self.confirmed();
    }

    /// Some member was shown this seq.
    pub(super) fn reached(&self, seq: u64) {
        self.in_room().head.fetch_max(seq, Ordering::SeqCst);
    }

    fn in_room(&self) -> &Room {
        &self.shared.rooms[self.room]
    }

    pub(super) fn acknowledged(&self, n: u32, seq: u64) {
        self.in_room().acknowledged.lock().insert((self.number, n), seq);
        self.reached(seq);
        self.confirmed();
    }

    /// The member tries to delete its `n`-th post, or learned the seq of the deletion.
    pub(super) fn deleted(&self, n: u32, seq: Option<u64>) {
        let mut deletions = self.in_room().deletions.lock();
        let known = deletions.entry((self.number, n)).or_default();
        *known = known.or(seq);
    }

    /// True when nothing will be posted any longer.
    pub(super) fn is_quiet(&self) -> bool {
        *self.shared.phase.borrow() >= Phase::Settling && self.in_room().posters.load(Ordering::SeqCst) == 0
    }

    /// True once a quiet room has nothing left for a member at `position` that was shown, or is excused from, `shown`
    /// messages.
    pub(super) fn has_all(&self, position: u64, shown: u64) -> bool {
        let room = self.in_room();
        position >= room.head.load(Ordering::SeqCst) && shown >= room.confirmed.load(Ordering::SeqCst)
    }
}

fn names_an_address(url: &str) -> bool {
    let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| host.parse::<Ipv4Addr>().is_ok())
}

/// Carries the plan out. Fails only if it cannot be carried out at all; what went wrong is in the report.
pub async fn run(plan: &Plan) -> Result<Report> {
    ensure!(!plan.native.is_empty(), "an audit needs a native URL: only native members know every message's place");
    ensure!(!plan.rooms.is_empty() && plan.members > 0, "an audit needs a room and a member");
    let (phase, watched) = watch::channel(Phase::Connecting);
    let shared = Arc::new(Shared {
        run: format!("audit-{:08x}", rand::random::<u32>()),
        bytes: plan.bytes,
        deletes: plan.deletes,
        phase: watched,
        clock: Mutex::new(Clock::start()),
        rooms: plan.rooms.iter().map(|name| Room::new(name, plan.members)).collect(),
        latency: Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3).context("make a histogram")?),
        slowest: Mutex::default(),
        reconnects: AtomicU64::new(0),
    });
    let began = Instant::now();
    let mut tasks = start(plan, &shared).await;
    let posting = Instant::now();
    *shared.clock.lock() = Clock::start();
    phase.send_replace(Phase::Posting);
    tokio::time::sleep(plan.duration).await;
    phase.send_replace(Phase::Settling);
    let mut outcomes = Vec::new();
    let gathering = async {
        while let Some(outcome) = tasks.join_next().await {
            outcomes.push(outcome.context("a member's task ended")?);
        }
        anyhow::Ok(())
    };
    // Members that are behind at the end are told to stop; what they lack is in the verdict.
    let in_time = tokio::time::timeout(plan.patience, gathering).await;
    phase.send_replace(Phase::Over);
    in_time.unwrap_or(Ok(()))?;
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.context("a member's task ended")?);
    }
    let trace = trace(&shared, outcomes);
    let (latency, slowest) = (shared.latency.lock().clone(), shared.slowest.lock().clone());
    let reconnects = shared.reconnects.load(Ordering::SeqCst);
    Ok(Report { verdict: verdict::judge(&trace), latency, slowest, reconnects, posting, elapsed: began.elapsed() })
}

impl Room {
    fn new(name: &str, members: u32) -> Self {
        Self {
            name: name.to_owned(),
            acknowledged: Mutex::default(),
            deletions: Mutex::default(),
            posters: AtomicU64::new(members.into()),
            confirmed: AtomicU64::new(0),
            echoed: Mutex::default(),
            head: AtomicU64::new(0),
        }
    }
}

/// Starts all members and waits until they have connected, or for a while.
async fn start(plan: &Plan, shared: &Arc<Shared>) -> JoinSet<Outcome> {
    let (native, onlyone): (Arc<[String]>, Arc<[String]>) = (plan.native.clone().into(), plan.onlyone.clone().into());
    let total = plan.members * plan.rooms.len() as u32;
    let pause = RAMP_PER_THOUSAND / 1000;
    let (ready, mut connected) = tokio::sync::mpsc::channel(total as usize);
    let mut tasks = JoinSet::new();
    for number in 0..total {
        let room = (number % plan.rooms.len() as u32) as usize;
        let timetable = Timetable::of(number, total, plan.rate, plan.duration);
        let speaks_onlyone = !onlyone.is_empty() && (number / plan.rooms.len() as u32) % 2 == 1;
        let urls = Arc::clone(if speaks_onlyone { &onlyone } else { &native });
        let member = Member { shared: Arc::clone(shared), room, number, urls, via: plan.via, timetable };
        if speaks_onlyone {
            tasks.spawn(onlyone::member(member, ready.clone()));
        } else {
            tasks.spawn(native::member(member, ready.clone()));
        }
        tokio::time::sleep(pause).await;
    }
    drop(ready);
    let all = async {
        for _ in 0..total {
            connected.recv().await;
        }
    };
    // A member that has not connected by then is late for its posts, which the latency shows.
    tokio::time::timeout(plan.patience, all).await.unwrap_or(());
    tasks
}

fn trace(shared: &Shared, outcomes: Vec<Outcome>) -> Trace {
    let mut rooms: Vec<RoomTrace> = shared
        .rooms
        .iter()
        .map(|room| RoomTrace {
            room: room.name.clone(),
            acknowledged: room.acknowledged.lock().clone(),
            deletions: room.deletions.lock().clone(),
            ..RoomTrace::default()
        })
        .collect();
    for Outcome { room, sender, tried, trace } in outcomes {
        rooms[room].tried.insert(sender, tried);
        rooms[room].members.push(trace);
    }
    for (trace, room) in rooms.iter_mut().zip(&shared.rooms) {
        onlyone::acknowledge_echoes(trace, &room.echoed.lock());
    }
    Trace { rooms }
}
