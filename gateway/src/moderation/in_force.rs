//! Moderation as one gateway knows it.
//!
//! Decides what is refused, from memory alone: while Redis is unavailable, what was known stays in force. [`super::keeper`] keeps it up
//! to date.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};
use serde_json::value::RawValue;
use tokio::{sync::mpsc, time::Instant};

use super::{
    memory::MemoryModeration,
    record::Record,
    rules::{News, Refusal, Table, Who},
    slow::SlowPosts,
    store::{Snapshot, Store},
    webhook::Webhook,
    words::Words,
};
use crate::{
    clock::Clock,
    rooms::{Author, Content, Post, RoomName, Unavailable, present::Change},
};

/// Addresses of banned people that wait to be written: beyond it one is left out, and comes with the person's next
/// connection.
const SEEN: usize = 1024;

/// What the server's clock said, and when: what a gateway dates ends with.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    pub(super) told: u64,
    pub(super) at: Instant,
}

impl ServerClock {
    /// Never after the server's own time: it was read before the answer came.
    pub(super) fn now(self) -> u64 {
        self.told + self.at.elapsed().as_millis() as u64
    }
}

/// What this gateway knows to be in force.
pub(super) struct Known {
    pub(super) table: Table,
    pub(super) clock: ServerClock,
    /// Of the newest action in the table.
    pub(super) number: u64,
}

/// An address that a banned person was seen at.
pub(super) struct Seen {
    pub(super) ban: Arc<Record>,
    pub(super) address: IpAddr,
}

/// What a ChatRoom says about the content of messages.
#[derive(Debug, Default)]
pub struct Filters {
    words: RwLock<Option<Arc<Words>>>,
    webhook: Option<Webhook>,
}

impl Filters {
    /// The words that no message may contain, and who is asked about messages.
    pub fn new(words: Option<Words>, webhook: Option<Webhook>) -> Self {
        Self { words: RwLock::new(words.map(Arc::new)), webhook }
    }
}

/// Moderation as one gateway knows it.
pub struct Moderation {
    pub(super) store: Arc<dyn Store>,
    pub(super) known: RwLock<Known>,
    /// Nobody and nothing is restricted: what most posts of most ChatRooms need to know.
    quiet: AtomicBool,
    slow: AtomicBool,
    filters: Arc<Filters>,
    posts: Mutex<SlowPosts>,
    pub(super) seen: (mpsc::Sender<Seen>, tokio::sync::Mutex<mpsc::Receiver<Seen>>),
}

impl std::fmt::Debug for Moderation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moderation")
    }
}

impl Moderation {
    /// Reads what is in force. A gateway that cannot does not start: it would let banned people in.
    pub async fn open(store: Arc<dyn Store>, filters: Arc<Filters>) -> Result<Arc<Self>, Unavailable> {
        let snapshot = store.read(0).await?;
        Ok(Self::with(store, filters, snapshot))
    }

    /// That of a gateway alone, in memory, where nothing is in force yet; `clock` is the server's time.
    pub fn in_memory(clock: Clock, filters: Arc<Filters>) -> Arc<Self> {
        let store = Arc::new(MemoryModeration::new(clock));
        let snapshot = store.snapshot(0);
        Self::with(store, filters, snapshot)
    }

    fn with(store: Arc<dyn Store>, filters: Arc<Filters>, snapshot: Snapshot) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(SEEN);
        let moderation = Self {
            store,
            known: RwLock::new(Known {
                table: Table::default(),
                clock: ServerClock { told: snapshot.time, at: Instant::now() },
                number: snapshot.number,
            }),
            quiet: AtomicBool::new(true),
            slow: AtomicBool::new(false),
            filters,
            posts: Mutex::default(),
            seen: (sender, tokio::sync::Mutex::new(receiver)),
        };
        moderation.adopt(snapshot);
        Arc::new(moderation)
    }

    /// Whether a post may be appended. One that may is counted in a slow room.
    pub fn may_post(&self, room: &RoomName, who: Who<'_>) -> Result<(), Refusal> {
        if self.quiet.load(Relaxed) {
            return Ok(());
        }
        let (pause, now) = {
            let known = self.known.read();
            let now = known.clock.now();
            (known.table.may_post(room, who, now)?, now)
        };
        let Some(pause) = pause else { return Ok(()) };
        self.posts.lock().take(room, who.person, now, pause).map_err(|retry| Refusal::SlowMode { retry })
    }

    /// Whether a person may become a reader of a room.
    pub fn may_join(&self, room: &RoomName, person: &str, address: Option<IpAddr>) -> Result<(), Refusal> {
        if self.quiet.load(Relaxed) {
            return Ok(());
        }
        let known = self.known.read();
        known.table.may_join(room, person, address, known.clock.now())
    }

    /// What is in force for a person who has joined a room.
    pub fn news_of(&self, room: &RoomName, person: &str) -> Vec<News> {
        if self.quiet.load(Relaxed) {
            return Vec::new();
        }
        let known = self.known.read();
        known.table.news_of(room, person, known.clock.now()).collect()
    }

    /// Whether anybody may come from an address.
    pub fn may_come(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.quiet.load(Relaxed) {
            return Ok(());
        }
        let known = self.known.read();
        known.table.may_come(Some(address), known.clock.now())
    }

    /// Whether the list of words lets a message pass, with the name of its author, which is shown with it. Messages between
    /// two people are not looked at.
    pub fn may_say(&self, room: &RoomName, from: &Author, body: &RawValue) -> Result<(), Refusal> {
        let words = self.filters.words.read();
        let Some(words) = words.as_ref().filter(|_| !room.is_private()) else { return Ok(()) };
        match words.are_in_body(body) || words.are_in(&from.name) {
            true => Err(Refusal::Refused("the message has a word that is not wanted here".into())),
            false => Ok(()),
        }
    }

    /// From now on no message may have these.
    pub fn use_words(&self, words: Words) {
        *self.filters.words.write() = Some(Arc::new(words));
    }

    /// Whether somebody has to be asked about messages in the room.
    pub fn is_screened(&self, room: &RoomName) -> bool {
        self.filters.webhook.is_some() && !room.is_private()
    }

    /// Asks about a post, which may come back rewritten: then every protocol shows the new text.
    pub async fn screen(&self, mut post: Post) -> Result<Post, Refusal> {
        // A deletion and a reaction say nothing.
        let says = post.amends.as_ref().is_none_or(|amendment| amendment.change == Change::Edit);
        if let Some(webhook) = self.filters.webhook.as_ref().filter(|_| says && self.is_screened(&post.room))
            && let Some(body) = webhook.judge(&post).await?
        {
            post.content = Content { body, verbatim: None };
        }
        Ok(post)
    }

    /// From now on questions about messages are signed with this.
    pub fn use_webhook_key(&self, key: Arc<[u8]>) {
        self.filters.webhook.iter().for_each(|webhook| webhook.use_key(Arc::clone(&key)));
    }

    /// Questions about messages so far, and those that were not answered; None where nobody is asked.
    pub fn questions(&self) -> Option<(u64, u64)> {
        let counters = &self.filters.webhook.as_ref()?.counters;
        Some((counters.asked.load(Relaxed), counters.failed.load(Relaxed)))
    }

    /// Notes a message that came in anywhere, so that a slow room is slow over all gateways that have members in it.
    pub fn saw_post(&self, room: &RoomName, person: &Arc<str>) {
        if self.slow.load(Relaxed) {
            // Dated by when it was seen: the server that stored it has a clock of its own.
            let now = self.now();
            self.posts.lock().saw(room, person, now);
        }
    }

    /// A connection of the person that `ban` is about comes from `address`.
    pub fn saw_address(&self, ban: &Arc<Record>, address: IpAddr) {
        if self.may_come(address).is_ok() && self.seen.0.try_send(Seen { ban: Arc::clone(ban), address }).is_err() {
            tracing::warn!("too many addresses of banned people at once: one was not banned");
        }
    }

    /// As if a moderator had done this.
    #[cfg(test)]
    pub(crate) fn suppose(&self, room: &RoomName, action: super::Action) {
        let by = crate::rooms::Author { id: "m".into(), name: "mod".into(), extra: None };
        let until = (action.lasts() > 0).then(|| self.now() + action.lasts() * 1000);
        self.change(|known| {
            known.number += 1;
            let act = super::Act { by, room: room.clone(), action };
            let record = Record { number: known.number, time: known.clock.now(), until, act };
            known.table.apply(&Arc::new(record));
        });
    }

    /// The server's time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.known.read().clock.now()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write();
        change(&mut known);
        self.slow.store(known.table.has_slow_rooms(), Relaxed);
        self.quiet.store(known.table.is_empty(), Relaxed);
    }
}
