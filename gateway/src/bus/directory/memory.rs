//! The directory of a single gateway, in memory: the semantics of Redis, kept until the process ends.

mod pairs;
mod people;
mod social;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{Directory, Query, Reply, pairs::Exit};
use crate::bus::{Away, Task, clock::Clock};

/// Everything in this process.
#[derive(Debug)]
pub struct Memory {
    pairs: Mutex<pairs::Pairs>,
    people: Mutex<people::People>,
    clock: Clock,
}

impl Memory {
    /// An empty directory beside a bus whose entries are dated by `clock`: what an account missed is found by comparing
    /// their times with its last sign of life.
    pub(in crate::bus) fn new(clock: Clock) -> Self {
        Self { pairs: Mutex::default(), people: Mutex::default(), clock }
    }

    fn reply(&self, query: Query, now: u64) -> Reply {
        match query {
            Query::Pairs(query) => Reply::Pairs(self.pairs().ask(query, now)),
            Query::People(query) => Reply::People(self.people().ask(query, now)),
            Query::Social(query) => Reply::Social(self.people().ask_social(query, now)),
        }
    }

    fn pairs(&self) -> MutexGuard<'_, pairs::Pairs> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, people::People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Clock::start())
    }
}

impl Directory for Memory {
    fn ask(&self, query: Query) -> Task<'_, Result<Reply, Away>> {
        let reply = self.reply(query, self.clock.now());
        Box::pin(async { Ok(reply) })
    }

    fn tell(&self, query: Query, at: Instant) {
        self.reply(query, self.clock.at(at));
    }

    fn hurry(&self) -> Task<'_, ()> {
        // Everything is carried out when it is told.
        Box::pin(std::future::pending())
    }

    fn tick(&self) -> Task<'_, Result<Vec<Exit>, Away>> {
        let exits = self.pairs().tick(self.clock.now());
        Box::pin(async { Ok(exits) })
    }

    fn told<'a>(&'a self, exits: &'a [Exit]) -> Task<'a, Result<(), Away>> {
        self.pairs().told(exits);
        Box::pin(async { Ok(()) })
    }
}
