//! The directory of a single gateway, in memory: the semantics of Redis, kept until the process ends.

mod pairs;
mod people;
mod social;

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::{Directory, Query, Reply, pairs::Exit};
use crate::bus::{Away, Task};

/// Everything in this process.
#[derive(Debug)]
pub struct Memory {
    pairs: Mutex<pairs::Pairs>,
    people: Mutex<people::People>,
    /// Both clocks at the start, so that time never goes back and follows a paused clock in tests.
    started: (u64, Instant),
}

impl Memory {
    /// An empty directory.
    pub fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Self { pairs: Mutex::default(), people: Mutex::default(), started: (unix, Instant::now()) }
    }

    fn now(&self) -> u64 {
        self.started.0 + self.started.1.elapsed().as_millis() as u64
    }

    fn reply(&self, query: Query) -> Reply {
        match query {
            Query::Pairs(query) => Reply::Pairs(self.pairs(|pairs, now| pairs.ask(query, now))),
            Query::People(query) => Reply::People(self.people(|people, now| people.ask(query, now))),
            Query::Social(query) => Reply::Social(self.people(|people, now| people.ask_social(query, now))),
        }
    }

    fn pairs<T>(&self, act: impl FnOnce(&mut pairs::Pairs, u64) -> T) -> T {
        act(&mut self.pairs.lock().unwrap_or_else(PoisonError::into_inner), self.now())
    }

    fn people<T>(&self, act: impl FnOnce(&mut people::People, u64) -> T) -> T {
        act(&mut self.people.lock().unwrap_or_else(PoisonError::into_inner), self.now())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Directory for Memory {
    fn ask(&self, query: Query) -> Task<'_, Result<Reply, Away>> {
        let reply = self.reply(query);
        Box::pin(async { Ok(reply) })
    }

    fn tell(&self, query: Query) {
        self.reply(query);
    }

    fn hurry(&self) -> Task<'_, ()> {
        // Everything is carried out when it is told.
        Box::pin(std::future::pending())
    }

    fn tick(&self) -> Task<'_, Result<Vec<Exit>, Away>> {
        let exits = self.pairs(pairs::Pairs::tick);
        Box::pin(async { Ok(exits) })
    }

    fn told<'a>(&'a self, exits: &'a [Exit]) -> Task<'a, Result<(), Away>> {
        self.pairs(|pairs, _| pairs.told(exits));
        Box::pin(async { Ok(()) })
    }
}
