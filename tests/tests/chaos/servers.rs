//! What goes wrong with servers of Redis, and between them, although one copy of everything stays.

use std::time::{Duration, Instant};

use anyhow::Result;
use parlor_tests::{link::State, redis::eventually};
use rand::Rng;
use tokio::{task::block_in_place, time::sleep};

use super::fault::Saboteur;

impl Saboteur<'_> {
    /// Every command waits behind one that takes a quarter of a second.
    pub(super) async fn primary_slow(&mut self, slot: u16) -> Result<()> {
        const BUSY: &str = "local n = 0 while n < tonumber(ARGV[1]) do n = n + 1 end return n";
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} is slow"));
        let node = &self.world.redis.nodes[primary];
        let until = Instant::now() + Duration::from_secs(5);
        let mut loops = 1_000_000_u64;
        while Instant::now() < until {
            let began = Instant::now();
            block_in_place(|| node.call(&["EVAL", BUSY, "0", &loops.to_string()]))?;
            let took = began.elapsed().as_millis().max(1) as u64;
            loops = (loops * 250 / took).clamp(100_000, 100_000_000);
            sleep(Duration::from_millis(50)).await;
        }
        self.timeline.note(format!("primary {primary} is fast again"));
        Ok(())
    }

    pub(super) async fn primary_full(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} has no memory left"));
        block_in_place(|| self.world.redis.nodes[primary].call(&["CONFIG", "SET", "maxmemory", "1"]))?;
        self.last(4.0).await;
        self.timeline.note(format!("primary {primary} has memory again"));
        block_in_place(|| self.world.redis.nodes[primary].call(&["CONFIG", "SET", "maxmemory", "0"])).map(drop)
    }

    pub(super) async fn replica_frozen(&mut self, slot: u16) -> Result<()> {
        let replica = block_in_place(|| self.world.redis.replica(self.world.redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} freezes"));
        self.world.redis.nodes[replica].pause()?;
        self.last(10.0).await;
        self.timeline.note(format!("replica {replica} thaws"));
        self.world.redis.nodes[replica].resume()
    }

    pub(super) async fn primary_killed(&mut self, slot: u16, seat: Option<usize>) -> Result<()> {
        let redis = &mut self.world.redis;
        let primary = block_in_place(|| redis.primary(slot))?;
        let with = seat.map(|seat| format!(", and gateway {seat} with it")).unwrap_or_default();
        self.timeline.note(format!("primary {primary} is killed{with}"));
        redis.nodes[primary].kill()?;
        if let Some(seat) = seat {
            self.world.seats[seat].kill()?;
        }
        let redis = &self.world.redis;
        block_in_place(|| eventually("that a replica took over", || redis.primary(slot).is_ok_and(|p| p != primary)))?;
        self.timeline.note("a replica took over");
        self.last(2.0).await;
        self.timeline
            .note(format!("server {primary} starts again{}", if seat.is_some() { ", and the gateway" } else { "" }));
        block_in_place(|| self.world.redis.nodes[primary].restart())?;
        match seat {
            Some(seat) => self.world.seats[seat].restart().await,
            None => Ok(()),
        }
    }

    pub(super) async fn primary_restarted(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} is killed and starts again at once"));
        block_in_place(|| self.world.redis.nodes[primary].restart())
    }

    pub(super) async fn primary_frozen(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} freezes"));
        self.world.redis.nodes[primary].pause()?;
        let redis = &self.world.redis;
        block_in_place(|| eventually("that a replica took over", || redis.primary(slot).is_ok_and(|p| p != primary)))?;
        self.timeline.note("a replica took over");
        self.last(3.0).await;
        self.timeline.note(format!("server {primary} thaws, stale"));
        self.world.redis.nodes[primary].resume()
    }

    pub(super) async fn replica_lost(&mut self, slot: u16) -> Result<()> {
        let replica = block_in_place(|| self.world.redis.replica(self.world.redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} is killed"));
        self.world.redis.nodes[replica].kill()?;
        self.last(8.0).await;
        self.timeline.note(format!("replica {replica} starts again"));
        block_in_place(|| self.world.redis.nodes[replica].restart())
    }

    pub(super) fn planned_failover(&mut self, slot: u16) -> Result<()> {
        let redis = &self.world.redis;
        let replica = block_in_place(|| redis.replica(redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} takes over as planned"));
        block_in_place(|| redis.failover(replica))
    }

    pub(super) async fn slot_moved(&mut self, slot: u16) -> Result<()> {
        let redis = &self.world.redis;
        let from = block_in_place(|| redis.primary(slot))?;
        let others = [0_u16, 8191, 16383].map(|slot| block_in_place(|| redis.primary(slot)).ok());
        let Some(to) = others.into_iter().flatten().find(|primary| *primary != from) else { return Ok(()) };
        self.timeline.note(format!("the keys of slot {slot} move from {from} to {to}"));
        block_in_place(|| redis.move_keys(slot, to))?;
        self.last(2.0).await;
        self.timeline.note(format!("slot {slot} moves to {to}"));
        block_in_place(|| self.world.redis.move_slot(slot, to))
    }

    pub(super) async fn redis_restarted(&mut self) -> Result<()> {
        self.timeline.note("all of redis is killed");
        for node in &mut self.world.redis.nodes {
            node.kill()?;
        }
        self.last(3.0).await;
        self.timeline.note("all of redis starts again, with its data");
        block_in_place(|| self.world.redis.nodes.iter_mut().try_for_each(|node| node.restart()))
    }

    /// What a primary has to write down finds no place: Redis refuses to write as long as that lasts.
    pub(super) async fn primary_disk_full(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary}'s disk is full"));
        self.world.redis.nodes[primary].fill_disk(true)?;
        self.last(5.0).await;
        self.timeline.note(format!("primary {primary}'s disk has room again"));
        self.world.redis.nodes[primary].fill_disk(false)
    }

    /// A primary and its replica no longer hear each other, or one of them no longer hears the other; all others hear both.
    pub(super) async fn between(&mut self, slot: u16, state: State) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("between primary {primary} and its replica: {state:?}"));
        self.world.redis.set_between(primary, state)?;
        self.last(12.0).await;
        self.timeline.note(format!("between primary {primary} and its replica: {:?}", State::Open));
        self.world.redis.set_between(primary, State::Open)
    }

    /// A server's time of day is another for a while.
    pub(super) async fn clock_jumps(&mut self, slot: u16) -> Result<()> {
        /// More than the age of the history that is shown, less than Redis keeps it.
        const JUMP: i64 = 26 * 3600;
        let redis = &self.world.redis;
        let primary = block_in_place(|| redis.primary(slot))?;
        let server = if self.rng.random() { primary } else { block_in_place(|| redis.replica(primary))? };
        let seconds = if self.rng.random() { JUMP } else { -JUMP };
        self.timeline.note(format!("the clock of server {server} jumps by {seconds} s"));
        redis.nodes[server].set_clock(seconds)?;
        // Shorter, and a server that called itself cut off during the jump would wait for that time to come again.
        sleep(Duration::from_secs(4)).await;
        self.last(2.0).await;
        self.timeline.note(format!("the clock of server {server} is right again"));
        self.world.redis.nodes[server].set_clock(0)
    }

    /// Every server asks for another password from now on, and gateways learn it later.
    pub(super) async fn password_rotated(&mut self) -> Result<()> {
        let password = format!("{:016x}", self.rng.random::<u64>());
        self.timeline.note("the password of Redis is another");
        block_in_place(|| self.world.redis.nodes.iter_mut().try_for_each(|node| node.set_password(&password)))?;
        self.last(2.0).await;
        self.timeline.note("gateways learn the password");
        self.world.seats.iter_mut().try_for_each(|seat| seat.set_password(&password))
    }
}
