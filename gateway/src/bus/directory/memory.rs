//! The directory of a single gateway, in memory: the semantics of Redis, kept until the process ends.

mod pairs;
mod people;
mod social;

use std::sync::{Mutex, PoisonError};

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

    fn reply(&self, query: Query) -> Reply {
        match query {
            Query::Pairs(query) => Reply::Pairs(self.pairs(|pairs, now| pairs.ask(query, now))),
            Query::People(query) => Reply::People(self.people(|people, now| people.ask(query, now))),
            Query::Social(query) => Reply::Social(self.people(|people, now| people.ask_social(query, now))),
        }
    }

    fn pairs<T>(&self, act: impl FnOnce(&mut pairs::Pairs, u64) -> T) -> T {
        act(&mut self.pairs.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }

    fn people<T>(&self, act: impl FnOnce(&mut people::People, u64) -> T) -> T {
        act(&mut self.people.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Clock::start())
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
