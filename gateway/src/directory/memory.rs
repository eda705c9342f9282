//! The directory of a single gateway, in memory: the semantics of Redis, kept until the process ends.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    Directory, Query, Reply, Task,
    pairs::{Exit, memory::Pairs},
    people::memory::People,
};
use crate::{clock::Clock, rooms::Unavailable};

/// Everything in this process.
#[derive(Debug)]
pub struct MemoryDirectory {
    pairs: Mutex<Pairs>,
    people: Mutex<People>,
    clock: Clock,
}

impl MemoryDirectory {
    /// An empty directory beside a bus whose entries are dated by `clock`: what an account missed is found by comparing
    /// their times with its last sign of life.
    pub fn new(clock: Clock) -> Self {
        Self { pairs: Mutex::default(), people: Mutex::default(), clock }
    }

    fn reply(&self, query: Query, now: u64) -> Reply {
        match query {
            Query::Pairs(query) => Reply::Pairs(self.pairs().ask(query, now)),
            Query::People(query) => Reply::People(self.people().ask(query, now)),
            Query::Social(query) => Reply::Social(self.people().ask_social(query, now)),
        }
    }

    fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.pairs.lock()
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock()
    }
}

impl Default for MemoryDirectory {
    fn default() -> Self {
        Self::new(Clock::start())
    }
}

impl Directory for MemoryDirectory {
    fn ask(&self, query: Query) -> Task<'_, Result<Reply, Unavailable>> {
        let reply = self.reply(query, self.clock.now());
        Box::pin(async { Ok(reply) })
    }

    fn tell(&self, query: Query, at: Instant) {
        self.reply(query, self.clock.at(at));
    }

    fn hurry(&self) -> Task<'_, ()> {
        // Everything is carried out at once.
        Box::pin(std::future::pending())
    }

    fn tick(&self) -> Task<'_, Result<Vec<Exit>, Unavailable>> {
        let exits = self.pairs().tick(self.clock.now());
        Box::pin(async { Ok(exits) })
    }

    fn announced<'a>(&'a self, exits: &'a [Exit]) -> Task<'a, Result<(), Unavailable>> {
        self.pairs().announced(exits);
        Box::pin(async { Ok(()) })
    }

    fn close(&self, _limit: Duration) -> Task<'_, ()> {
        Box::pin(async {})
    }
}
