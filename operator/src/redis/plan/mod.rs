//! Decides the next single step of a managed Redis Cluster from what its servers say.
//!
//! A function of the live topology, and of how long things have lasted: an operator that died half-way finds the same place
//! again. It never drops data that a living server holds, never declares a server dead whose pod may still come back while
//! nobody misses it, and repeats nothing that is under way. What needs everybody (burying a shard, giving slots out, moving
//! them) waits for everybody; all other healing continues while a member is absent. Called once per pass; `client` carries the
//! step out.

mod command;
mod election;
mod introduction;
mod member;
mod picture;
mod placement;
mod resharding;
#[cfg(test)]
pub(crate) mod sketch;
mod synchrony;

pub use command::{Command, Hand, Order};
pub(crate) use election::HAND_OVER_TIME;
pub use member::{Member, Shape};
pub(crate) use picture::{Live, Picture};

use super::journal::Journal;

/// Most commands in one step, so that a step stays short even in a large cluster; the next pass continues.
const MAX_ORDERS: usize = 64;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The cluster is what the ChatRoom asks for.
    Settled,
    /// Something must happen by itself first.
    Wait(String),
    /// Commands to send, in order, and the reason.
    Run {
        /// One clause in words.
        why: String,
        /// At most 64.
        orders: Vec<Order>,
    },
}

/// Decides the next step.
pub fn next_step(shape: Shape, members: &[Member], journal: &Journal) -> Step {
    let picture = Picture::of(members);
    let Some(seed) = picture.seed() else { return Step::Wait("no Redis server answers".into()) };
    if let Some(step) = picture.protect() {
        return step;
    }
    // Elections and meetings can each be waited for; neither wait may keep the other from being ordered.
    let waits = match picture.elect(journal) {
        Some(run @ Step::Run { .. }) => return run,
        wait => wait,
    };
    let meeting = match picture.meet(seed) {
        Some(run @ Step::Run { .. }) => return run,
        wait => wait,
    };
    picture
        .conflict()
        .or_else(|| picture.evacuate(journal))
        .or(waits)
        .or(meeting)
        .or_else(|| picture.mend_moves(journal))
        .or_else(|| picture.bury())
        .or_else(|| picture.cover(shape))
        .or_else(|| picture.replicate(shape))
        .or_else(|| picture.repoint(journal))
        .or_else(|| picture.forget())
        .or_else(|| picture.absence())
        .or_else(|| picture.retire_password())
        .or_else(|| picture.sync())
        .or_else(|| picture.reshape(shape))
        .or_else(|| picture.renew_certificates(journal))
        .unwrap_or(Step::Settled)
}

/// Whether the servers that are to stay serve every slot and have all the replicas that are wanted, so that the others can go.
pub fn can_do_without_surplus(shape: Shape, members: &[Member]) -> bool {
    let staying: Vec<Member> = members.iter().filter(|member| !member.surplus).cloned().collect();
    let picture = Picture::of(&staying);
    let copied =
        |one: &Live<'_>| picture.replicas_of(&one.me.id).filter(|replica| replica.in_sync()).count() >= shape.replicas;
    picture.served.complement().is_empty() && picture.primaries().all(copied)
}

fn run_or_wait(why: String, wait: &str, orders: impl Iterator<Item = Order>) -> Option<Step> {
    let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
    Some(if orders.is_empty() { Step::Wait(wait.to_owned()) } else { Step::Run { why, orders } })
}

fn run_if_any(why: impl FnOnce(usize) -> String, orders: impl Iterator<Item = Order>) -> Option<Step> {
    let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
    (!orders.is_empty()).then(|| Step::Run { why: why(orders.len()), orders })
}

#[cfg(test)]
mod resharding_tests;
#[cfg(test)]
mod tests;
