//! Moderation of a single gateway, in memory: the semantics of Redis, kept until the process ends.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use super::{
    action::Act,
    record::Record,
    rules::{Change, Kind},
    store::{ActError, LOG, SWEPT, Snapshot, Store, Task},
};
use crate::{clock::Clock, rooms::Unavailable};

/// As long as Redis is asked to wait.
const WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    rows: HashMap<Kind, HashMap<String, Record>>,
    /// Oldest first.
    log: VecDeque<Record>,
    number: u64,
}

/// Everything in this process.
#[derive(Debug)]
pub struct MemoryModeration {
    state: Mutex<State>,
    acted: Notify,
    clock: Clock,
}

impl State {
    fn act(&mut self, act: &Act, changes: &[Change], now: u64) -> Result<Record, ActError> {
        for kind in Kind::ALL {
            let rows = self.rows.entry(kind).or_default();
            let mut ended: Vec<_> = rows.iter().filter(|(_, row)| !row.is_in_force(now)).collect();
            ended.sort_by_key(|(_, row)| row.until);
            let ended: Vec<_> = ended.into_iter().take(SWEPT).map(|(name, _)| name.clone()).collect();
            ended.iter().for_each(|name| drop(rows.remove(name)));
        }
        for change in changes {
            if let Change::Put(kind, name) = change {
                let rows = self.rows.entry(*kind).or_default();
                if rows.len() >= kind.bound() && !rows.contains_key(name) {
                    return Err(ActError::Full(*kind));
                }
            }
        }
        self.number += 1;
        let lasts = act.action.lasts();
        let until = (lasts > 0).then(|| now + lasts * 1000);
        let record = Record { number: self.number, time: now, until, act: act.clone() };
        for change in changes {
            match change {
                Change::Put(kind, name) => {
                    self.rows.entry(*kind).or_default().insert(name.clone(), record.clone());
                }
                Change::Remove(kind, name) => {
                    self.rows.entry(*kind).or_default().remove(name);
                }
            }
        }
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(record.clone());
        Ok(record)
    }

    fn since(&self, number: u64) -> Vec<Record> {
        self.log.iter().filter(|record| record.number > number).cloned().collect()
    }
}

impl MemoryModeration {
    /// Nothing is in force yet; `clock` is the server's time.
    pub fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), acted: Notify::new(), clock }
    }

    /// Everything that is in force, and what was done after `number`.
    pub(super) fn snapshot(&self, number: u64) -> Snapshot {
        let (state, time) = (self.state.lock(), self.clock.now());
        let rows = state.rows.values().flat_map(HashMap::values).filter(|row| row.is_in_force(time));
        Snapshot { number: state.number, time, rows: rows.cloned().collect(), since: state.since(number) }
    }
}

impl Store for MemoryModeration {
    fn act<'a>(&'a self, act: &'a Act, changes: &'a [Change]) -> Task<'a, Result<Record, ActError>> {
        Box::pin(async move {
            let record = self.state.lock().act(act, changes, self.clock.now())?;
            self.acted.notify_waiters();
            Ok(record)
        })
    }

    fn read(&self, number: u64) -> Task<'_, Result<Snapshot, Unavailable>> {
        Box::pin(async move { Ok(self.snapshot(number)) })
    }

    fn follow(&self, number: u64) -> Task<'_, Result<Vec<Record>, Unavailable>> {
        Box::pin(async move {
            let acted = self.acted.notified();
            tokio::pin!(acted);
            // Before looking, so that what is done between the two is not missed.
            acted.as_mut().enable();
            let records = self.state.lock().since(number);
            if !records.is_empty() || timeout(WAIT, acted).await.is_err() {
                return Ok(records);
            }
            Ok(self.state.lock().since(number))
        })
    }

    fn log(&self, before: Option<u64>, limit: u32) -> Task<'_, Result<Vec<Record>, Unavailable>> {
        Box::pin(async move {
            let below = |record: &&Record| before.is_none_or(|before| record.number < before);
            Ok(self.state.lock().log.iter().rev().filter(below).take(limit as usize).cloned().collect())
        })
    }
}
