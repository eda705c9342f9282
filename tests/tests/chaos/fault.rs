//! What can go wrong, how it is brought about, and how it is undone.
//!
//! Each fault is undone when its injection returns; the next one waits until the world is well.

use std::time::{Duration, Instant};

use anyhow::Result;
use parlor_gateway::{redis::slot, rooms::Partition};
use parlor_tests::link::State;
use parlor_tests::redis::eventually;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::timeline::Timeline;
use super::world::World;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    GatewayKilled,
    GatewayFrozen,
    GatewaysReplaced,
    GatewayCutOff,
    GatewayLinkFrozen,
    GatewayLinkMute,
    GatewayAndServerSilent,
    GatewayAndServerMute,
    PrimaryKilled,
    PrimaryRestarted,
    PrimaryFrozen,
    PrimarySlow,
    PrimaryFull,
    ReplicaLost,
    ReplicaFrozen,
    GatewayAndPrimaryKilled,
    PlannedFailover,
    SlotMoved,
    RedisRestarted,
}

impl Fault {
    pub(crate) const ALL: [Self; 19] = [
        Self::GatewayKilled,
        Self::GatewayFrozen,
        Self::GatewaysReplaced,
        Self::GatewayCutOff,
        Self::GatewayLinkFrozen,
        Self::GatewayLinkMute,
        Self::GatewayAndServerSilent,
        Self::GatewayAndServerMute,
        Self::PrimaryKilled,
        Self::PrimaryRestarted,
        Self::PrimaryFrozen,
        Self::PrimarySlow,
        Self::PrimaryFull,
        Self::ReplicaLost,
        Self::ReplicaFrozen,
        Self::GatewayAndPrimaryKilled,
        Self::PlannedFailover,
        Self::SlotMoved,
        Self::RedisRestarted,
    ];
}

/// Brings faults about.
pub(crate) struct Saboteur<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) timeline: &'a mut Timeline,
    /// Longest time that a gateway stays frozen.
    pub(crate) freeze: Duration,
}

impl Saboteur<'_> {
    /// Brings one about and undoes it.
    pub(crate) async fn inject(&mut self, fault: Fault) -> Result<()> {
        let seat = self.rng.random_range(0..self.world.seats.len());
        let room = self.world.rooms.choose(self.rng).expect("a world has rooms");
        let slot = slot(Partition::of(room)).number();
        let freeze = self.freeze;
        match fault {
            Fault::GatewayKilled => self.gateway_killed(seat).await,
            Fault::GatewayFrozen => self.gateway_frozen(seat, freeze).await,
            Fault::GatewaysReplaced => self.gateways_replaced().await,
            Fault::GatewayCutOff => self.link(seat, State::Cut, 8.0).await,
            Fault::GatewayLinkFrozen => self.link(seat, State::Frozen, 8.0).await,
            Fault::GatewayLinkMute => self.answers_lost(seat).await,
            Fault::GatewayAndServerSilent => self.way_to_one_server(seat, slot, State::Frozen).await,
            Fault::GatewayAndServerMute => self.way_to_one_server(seat, slot, State::Mute).await,
            Fault::PrimaryKilled => self.primary_killed(slot, None).await,
            Fault::PrimaryRestarted => self.primary_restarted(slot).await,
            Fault::PrimaryFrozen => self.primary_frozen(slot).await,
            Fault::PrimarySlow => self.primary_slow(slot).await,
            Fault::PrimaryFull => self.primary_full(slot).await,
            Fault::ReplicaLost => self.replica_lost(slot).await,
            Fault::ReplicaFrozen => self.replica_frozen(slot).await,
            Fault::GatewayAndPrimaryKilled => self.primary_killed(slot, Some(seat)).await,
            Fault::PlannedFailover => self.planned_failover(slot),
            Fault::SlotMoved => self.slot_moved(slot).await,
            Fault::RedisRestarted => self.redis_restarted().await,
        }
    }

    /// Lasts for a random time up to `most` seconds, at least half of it.
    async fn last(&mut self, most: f64) {
        let seconds = self.rng.random_range(most / 2.0..=most);
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    async fn gateway_killed(&mut self, seat: usize) -> Result<()> {
        self.timeline.note(format!("gateway {seat} is killed"));
        self.world.seats[seat].kill()?;
        self.last(3.0).await;
        self.timeline.note(format!("gateway {seat} starts again"));
        self.world.seats[seat].restart().await
    }

    async fn gateway_frozen(&mut self, seat: usize, most: Duration) -> Result<()> {
        self.timeline.note(format!("gateway {seat} freezes"));
        self.world.seats[seat].gateway()?.freeze()?;
        self.last(most.as_secs_f64()).await;
        self.timeline.note(format!("gateway {seat} thaws"));
        self.world.seats[seat].gateway()?.thaw()
    }

    async fn gateways_replaced(&mut self) -> Result<()> {
        for seat in 0..self.world.seats.len() {
            self.timeline.note(format!("gateway {seat} is drained and replaced"));
            self.world.seats[seat].replace().await?;
        }
        Ok(())
    }

    async fn link(&mut self, seat: usize, state: State, most: f64) -> Result<()> {
        self.timeline.note(format!("gateway {seat}'s way to redis: {state:?}"));
        self.world.seats[seat].link.set(state);
        self.last(most).await;
        if state == State::Mute {
            return Ok(());
        }
        self.timeline.note(format!("gateway {seat}'s way to redis: {:?}", State::Open));
        self.world.seats[seat].link.set(State::Open);
        Ok(())
    }

    /// What the gateway asked is done, and the answer is lost.
    async fn answers_lost(&mut self, seat: usize) -> Result<()> {
        self.link(seat, State::Mute, 1.5).await?;
        self.link(seat, State::Cut, 0.5).await
    }

    /// One gateway and one server no longer hear each other, or the gateway no longer hears the server.
    async fn way_to_one_server(&mut self, seat: usize, slot: u16, state: State) -> Result<()> {
        let redis = &self.world.redis;
        let primary = block_in_place(|| redis.primary(slot))?;
        let server = if self.rng.random() { primary } else { block_in_place(|| redis.replica(primary))? };
        let port = redis.nodes[server].port();
        self.timeline.note(format!("gateway {seat}'s way to server {server}: {state:?}"));
        self.world.seats[seat].link.set_for(port, state);
        self.last(8.0).await;
        if state == State::Mute {
            // What was answered meanwhile is lost.
            self.world.seats[seat].link.set_for(port, State::Cut);
            sleep(Duration::from_millis(100)).await;
        }
        self.timeline.note(format!("gateway {seat}'s way to server {server}: {:?}", State::Open));
        self.world.seats[seat].link.set_for(port, State::Open);
        Ok(())
    }

    /// Every command waits behind one that takes a quarter of a second.
    async fn primary_slow(&mut self, slot: u16) -> Result<()> {
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

    async fn primary_full(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} has no memory left"));
        block_in_place(|| self.world.redis.nodes[primary].call(&["CONFIG", "SET", "maxmemory", "1"]))?;
        self.last(4.0).await;
        self.timeline.note(format!("primary {primary} has memory again"));
        block_in_place(|| self.world.redis.nodes[primary].call(&["CONFIG", "SET", "maxmemory", "0"])).map(drop)
    }

    async fn replica_frozen(&mut self, slot: u16) -> Result<()> {
        let replica = block_in_place(|| self.world.redis.replica(self.world.redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} freezes"));
        self.world.redis.nodes[replica].pause()?;
        self.last(10.0).await;
        self.timeline.note(format!("replica {replica} thaws"));
        self.world.redis.nodes[replica].resume()
    }

    async fn primary_killed(&mut self, slot: u16, seat: Option<usize>) -> Result<()> {
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

    async fn primary_restarted(&mut self, slot: u16) -> Result<()> {
        let primary = block_in_place(|| self.world.redis.primary(slot))?;
        self.timeline.note(format!("primary {primary} is killed and starts again at once"));
        block_in_place(|| self.world.redis.nodes[primary].restart())
    }

    async fn primary_frozen(&mut self, slot: u16) -> Result<()> {
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

    async fn replica_lost(&mut self, slot: u16) -> Result<()> {
        let replica = block_in_place(|| self.world.redis.replica(self.world.redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} is killed"));
        self.world.redis.nodes[replica].kill()?;
        self.last(8.0).await;
        self.timeline.note(format!("replica {replica} starts again"));
        block_in_place(|| self.world.redis.nodes[replica].restart())
    }

    fn planned_failover(&mut self, slot: u16) -> Result<()> {
        let redis = &self.world.redis;
        let replica = block_in_place(|| redis.replica(redis.primary(slot)?))?;
        self.timeline.note(format!("replica {replica} takes over as planned"));
        block_in_place(|| redis.failover(replica))
    }

    async fn slot_moved(&mut self, slot: u16) -> Result<()> {
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

    /// Ends a shard's replica, then its primary, and starts both without their data.
    pub(crate) async fn both_copies_lost(&mut self) -> Result<()> {
        let room = self.world.rooms.choose(self.rng).expect("a world has rooms");
        let redis = &mut self.world.redis;
        let primary = block_in_place(|| redis.primary(slot(Partition::of(room)).number()))?;
        let replica = block_in_place(|| redis.replica(primary))?;
        self.timeline.note(format!("replica {replica} and primary {primary} are killed, and start again empty"));
        redis.nodes[replica].kill()?;
        block_in_place(|| redis.nodes[primary].restart().and_then(|()| redis.nodes[replica].restart()))
    }

    async fn redis_restarted(&mut self) -> Result<()> {
        self.timeline.note("all of redis is killed");
        for node in &mut self.world.redis.nodes {
            node.kill()?;
        }
        self.last(3.0).await;
        self.timeline.note("all of redis starts again, with its data");
        block_in_place(|| self.world.redis.nodes.iter_mut().try_for_each(|node| node.restart()))
    }
}
