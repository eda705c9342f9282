//! The directory on Redis: one script per decision, all of it in one slot, copied like everything else before it is answered.
//!
//! Decides which attempts may be made again: those that surely did nothing. Reports that nobody awaits are gathered
//! here, the latest for each account, and written with the next tick.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use fred::types::Value;
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Directory, Query, Reply, Task,
    pairs::{self, Exit},
    people,
    scripts::{Decision, PAIRS, PEOPLE},
};
use crate::{
    deadlines::{ACCOUNT_LEASE, DECIDE},
    redis::{
        Fault, Servers,
        connection::{Command, failed_to, list},
        lane::{Answer, Connection, Failed, Lane, Repeat, Request},
        script::Script,
        server_time::ServerTime,
    },
    rooms::{Origin, Partition, Position, RoomName, Unavailable},
};

/// Notes in one call, so that no script blocks Redis for long; the rest goes with the next.
const NOTES: usize = 200;
/// Sessions that may wait for their end; beyond it they end with their accounts.
const ENDS: usize = 1000;
/// Reports that nobody awaits, between two ticks. Beyond this, a report is dropped: a message is then delivered once more, a
/// mention is not delivered, and a message that was never confirmed to its sender is not kept.
const LATER: usize = 10_000;

/// What connections reported about an account since the last tick.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    seen: Option<Instant>,
    read: Option<Position>,
    gone: bool,
}

/// What is written with the next tick.
#[derive(Debug, Default)]
struct Notes {
    /// By account and holder: bounded by the accounts that this gateway holds.
    accounts: HashMap<(u64, Origin), Note>,
    /// Sessions to end, at most [`ENDS`].
    ends: Vec<pairs::Query>,
    /// What people confirmed, left, were mentioned in or had said before they left, in its order, at most [`LATER`].
    later: Vec<people::Query>,
}

/// Accounts of all gateways.
#[derive(Debug)]
pub struct RedisDirectory {
    servers: Arc<Servers>,
    partition: Partition,
    lane: Lane,
    notes: Mutex<Notes>,
    hurry: Notify,
    /// Held while notes are on their way, so that who comes back finds what their connection before has left.
    writing: tokio::sync::Mutex<()>,
    /// This gateway as holders name it; 0 until it holds something.
    gateway: AtomicU64,
    /// Since when ticks have succeeded without a pause.
    steady: Mutex<Option<(Instant, Instant)>>,
}

impl RedisDirectory {
    /// The directory of the ChatRoom whose Redis these are.
    pub fn new(servers: Arc<Servers>) -> Self {
        let partition = Partition::of(&RoomName::private("directory", 0));
        Self {
            lane: Lane::new(Arc::clone(&servers), partition),
            servers,
            partition,
            notes: Mutex::default(),
            hurry: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            gateway: AtomicU64::new(0),
            steady: Mutex::default(),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock()
    }

    /// Runs the script until it was run once, or surely not: a decision is not made twice.
    pub(super) async fn run(&self, script: &Decision, words: &[String]) -> Result<Vec<Value>, Fault> {
        let command = Command::new("EVALSHA")
            .arg(script.source.sha())
            .arg(script.keys.len() as u32)
            .args(script.keys.iter().map(|name| self.servers.keys.directory(self.partition, name)))
            .args(script.limits.iter().map(u64::to_string))
            .args(script.names.iter().copied())
            .args(words.iter().cloned());
        self.lane.carry_out(Decide { script: &script.source, command }, DECIDE).await
    }

    async fn ask_pairs(&self, query: pairs::Query) -> Result<pairs::Reply, Fault> {
        if let pairs::Query::Create { holder, .. } | pairs::Query::Reconnect { holder, .. } = &query {
            self.gateway.store(holder.gateway, Relaxed);
        }
        if let pairs::Query::Reconnect { account, .. } = &query {
            self.write_notes_of(*account).await;
        }
        let values = self.run(&PAIRS, &pairs::redis::words(query)).await?;
        pairs::redis::reply(&values).ok_or_else(|| Fault::Refused(format!("the directory answered {values:?}").into()))
    }

    /// Somebody comes back, perhaps before it is written that they have gone.
    async fn write_notes_of(&self, account: u64) {
        // What is on its way arrives first.
        drop(self.writing.lock().await);
        let noted = self.notes().accounts.keys().any(|(of, _)| *of == account);
        if noted && let Err(fault) = self.tick().await {
            tracing::debug!(%fault, "failed to write what is known of an account that comes back");
        }
    }

    /// The time by which signs of life in `notes` are dated. Asked for before the script: the time in there is later by
    /// what the call takes, and what was said meanwhile would pass for read.
    async fn server_time(&self, notes: &[((u64, Origin), Note)]) -> Option<ServerTime> {
        notes.iter().find(|(_, note)| note.seen.is_some())?;
        let told = async { ServerTime::of(self.lane.connection().await?.node()).await };
        told.await
            .inspect_err(|fault| tracing::debug!(%fault, "failed to read the time of the directory's server"))
            .ok()
    }

    async fn tick(&self) -> Result<Vec<Exit>, Fault> {
        let _writing = self.writing.lock().await;
        let notes: Vec<_> = {
            let all = &mut self.notes().accounts;
            let some: Vec<_> = all.keys().take(NOTES).copied().collect();
            if all.len() > NOTES {
                self.hurry.notify_one();
            }
            some.into_iter().filter_map(|key| Some((key, all.remove(&key)?))).collect()
        };
        // Without it signs of life are not noted now, and the ones before them stay: nobody misses anything by that.
        let time = self.server_time(&notes).await;
        let gateway = match self.gateway.load(Relaxed) {
            0 => String::new(),
            gateway => format!("{gateway:x}"),
        };
        let mut words =
            vec!["tick".into(), gateway, ACCOUNT_LEASE.as_millis().to_string(), u8::from(self.steady()).to_string()];
        for ((account, origin), note) in &notes {
            let seen = time.zip(note.seen).map(|(time, seen)| time.at(seen).to_string()).unwrap_or_default();
            let read = note.read.map(pairs::redis::position).unwrap_or_default();
            let gone = u8::from(note.gone).to_string();
            words.extend([account.to_string(), pairs::redis::holder(*origin), seen, read, gone]);
        }
        match self.run(&PAIRS, &words).await {
            Ok(values) => {
                self.ticked(true);
                self.end_sessions().await?;
                self.catch_up().await?;
                Ok(values.iter().skip(1).filter_map(pairs::redis::exit).collect())
            }
            Err(fault) => {
                self.ticked(false);
                let all = &mut self.notes().accounts;
                for (key, note) in notes {
                    let newer = all.entry(key).or_default();
                    newer.seen = newer.seen.or(note.seen);
                    newer.read = newer.read.or(note.read);
                    newer.gone |= note.gone;
                }
                Err(fault)
            }
        }
    }

    async fn ask_people(&self, query: people::Query) -> Result<people::Reply, Fault> {
        if let people::Query::Init { holder, .. } = &query {
            self.gateway.store(holder.gateway, Relaxed);
        }
        let values = self.run_people(query).await?;
        people::redis::reply(&values).ok_or_else(|| Fault::Refused(format!("the directory answered {values:?}").into()))
    }

    /// Runs the script until it is done with a block, however large that is: at most once for every 200 of its people.
    async fn run_people(&self, query: people::Query) -> Result<Vec<Value>, Fault> {
        let (words, mut late) = (people::redis::words(query), Vec::new());
        loop {
            let mut values = self.run(&PEOPLE, &words).await?;
            if !people::redis::is_unfinished(&values) {
                values.append(&mut late);
                return Ok(values);
            }
            late.extend(values.into_iter().skip(1));
        }
    }

    /// Carries out the changes of people, in their order; what fails goes with the next tick.
    async fn catch_up(&self) -> Result<(), Fault> {
        let later = std::mem::take(&mut self.notes().later);
        for (done, query) in later.iter().enumerate() {
            if let Err(fault) = self.run_people(query.clone()).await {
                self.notes().later.splice(0..0, later[done..].iter().cloned());
                return Err(fault);
            }
        }
        Ok(())
    }

    async fn end_sessions(&self) -> Result<(), Fault> {
        let ends = std::mem::take(&mut self.notes().ends);
        for end in ends {
            self.run(&PAIRS, &pairs::redis::words(end)).await?;
        }
        Ok(())
    }

    /// Whether this gateway has ticked for a whole lease. When the directory was unavailable for all, the leases of all have
    /// ended, and the first one back must not take the others for lost.
    fn steady(&self) -> bool {
        let steady = self.steady.lock();
        steady.is_some_and(|(since, _)| since.elapsed() > ACCOUNT_LEASE)
    }

    fn ticked(&self, well: bool) {
        let mut steady = self.steady.lock();
        let now = Instant::now();
        let unbroken = steady.filter(|(_, last)| well && last.elapsed() < ACCOUNT_LEASE / 2);
        *steady = well.then(|| (unbroken.map_or(now, |(since, _)| since), now));
    }

    /// Writes what is queued.
    async fn write_out(&self) {
        while {
            let notes = self.notes();
            !notes.accounts.is_empty() || !notes.later.is_empty()
        } {
            if let Err(fault) = self.tick().await {
                tracing::debug!(%fault, "accounts of this gateway are released when its lease ends");
                return;
            }
        }
    }
}

/// A decision on its way to Redis.
struct Decide<'a> {
    script: &'a Script,
    command: Command,
}

impl Request for Decide<'_> {
    type Done = Vec<Value>;
    /// A decision is not made twice.
    const REPEAT: Repeat = Repeat::Unsent;

    async fn attempt(&mut self, connection: &Connection) -> Result<Vec<Value>, Failed> {
        let Answer { value, copied, sent } = connection.run(self.script, self.command.clone()).await?;
        if !copied {
            connection.copied(sent).await?;
        }
        Ok(list(value))
    }
}

impl Directory for RedisDirectory {
    fn ask(&self, query: Query) -> Task<'_, Result<Reply, Unavailable>> {
        Box::pin(async move {
            match query {
                Query::Pairs(query) => {
                    Ok(Reply::Pairs(self.ask_pairs(query).await.map_err(failed_to("ask for a pair"))?))
                }
                Query::People(query) => {
                    Ok(Reply::People(self.ask_people(query).await.map_err(failed_to("ask for an account"))?))
                }
                Query::Social(query) => {
                    Ok(Reply::Social(self.ask_social(query).await.map_err(failed_to("ask for a person's list"))?))
                }
            }
        })
    }

    fn tell(&self, query: Query, at: Instant) {
        match query {
            Query::Pairs(pairs::Query::Seen { account, holder }) => {
                self.notes().accounts.entry((account, holder)).or_default().seen = Some(at);
            }
            Query::Pairs(pairs::Query::Read { account, holder, read }) => {
                self.notes().accounts.entry((account, holder)).or_default().read = Some(read);
            }
            Query::Pairs(pairs::Query::Release { account, holder }) => {
                self.notes().accounts.entry((account, holder)).or_default().gone = true;
                self.hurry.notify_one();
            }
            Query::Pairs(end @ pairs::Query::End { .. }) => {
                let ends = &mut self.notes().ends;
                if ends.len() < ENDS {
                    ends.push(end);
                }
            }
            Query::People(query) => {
                let later = &mut self.notes().later;
                if later.len() < LATER {
                    later.push(query);
                }
                self.hurry.notify_one();
            }
            // What has an answer is asked.
            Query::Pairs(_) | Query::Social(_) => {}
        }
    }

    fn hurry(&self) -> Task<'_, ()> {
        Box::pin(self.hurry.notified())
    }

    fn tick(&self) -> Task<'_, Result<Vec<Exit>, Unavailable>> {
        Box::pin(async { self.tick().await.map_err(failed_to("renew accounts and pairs")) })
    }

    fn announced<'a>(&'a self, exits: &'a [Exit]) -> Task<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let member = |Exit { session, account, partner }: &Exit| format!("{session}:{account}:{partner}");
            let words: Vec<_> = std::iter::once("announced".to_owned()).chain(exits.iter().map(member)).collect();
            self.run(&PAIRS, &words).await.map_err(failed_to("note that exits were announced"))?;
            Ok(())
        })
    }

    fn close(&self, limit: Duration) -> Task<'_, ()> {
        Box::pin(async move {
            if timeout(limit, self.write_out()).await.is_err() {
                tracing::debug!("failed to write everything before the directory was closed");
            }
        })
    }
}
