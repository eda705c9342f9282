//! What can go wrong although one copy of everything stays, and where it is brought about.
//!
//! Each fault is undone when its injection returns; the next one waits until the world is well.

use std::time::Duration;

use anyhow::Result;
use parlor_gateway::{redis::slot, rooms::Partition};
use parlor_tests::link::State;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{timeline::Timeline, world::World};

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
    GatewayAndServerDeaf,
    PrimaryKilled,
    PrimaryRestarted,
    PrimaryFrozen,
    PrimarySlow,
    PrimaryFull,
    PrimaryDiskFull,
    ReplicaCutOff,
    ReplicaHearsNothing,
    ReplicaIsNotHeard,
    ClockJumps,
    PasswordRotated,
    ReplicaLost,
    ReplicaFrozen,
    GatewayAndPrimaryKilled,
    PlannedFailover,
    SlotMoved,
    RedisRestarted,
}

impl Fault {
    pub(crate) const ALL: [Self; 26] = [
        Self::GatewayKilled,
        Self::GatewayFrozen,
        Self::GatewaysReplaced,
        Self::GatewayCutOff,
        Self::GatewayLinkFrozen,
        Self::GatewayLinkMute,
        Self::GatewayAndServerSilent,
        Self::GatewayAndServerMute,
        Self::GatewayAndServerDeaf,
        Self::PrimaryKilled,
        Self::PrimaryRestarted,
        Self::PrimaryFrozen,
        Self::PrimarySlow,
        Self::PrimaryFull,
        Self::PrimaryDiskFull,
        Self::ReplicaCutOff,
        Self::ReplicaHearsNothing,
        Self::ReplicaIsNotHeard,
        Self::ClockJumps,
        Self::PasswordRotated,
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
            Fault::GatewayAndServerDeaf => self.way_to_one_server(seat, slot, State::Deaf).await,
            Fault::PrimaryKilled => self.primary_killed(slot, None).await,
            Fault::PrimaryRestarted => self.primary_restarted(slot).await,
            Fault::PrimaryFrozen => self.primary_frozen(slot).await,
            Fault::PrimarySlow => self.primary_slow(slot).await,
            Fault::PrimaryFull => self.primary_full(slot).await,
            Fault::PrimaryDiskFull => self.primary_disk_full(slot).await,
            Fault::ReplicaCutOff => self.between(slot, State::Frozen).await,
            Fault::ReplicaHearsNothing => self.between(slot, State::Mute).await,
            Fault::ReplicaIsNotHeard => self.between(slot, State::Deaf).await,
            Fault::ClockJumps => self.clock_jumps(slot).await,
            Fault::PasswordRotated => self.password_rotated().await,
            Fault::ReplicaLost => self.replica_lost(slot).await,
            Fault::ReplicaFrozen => self.replica_frozen(slot).await,
            Fault::GatewayAndPrimaryKilled => self.primary_killed(slot, Some(seat)).await,
            Fault::PlannedFailover => self.planned_failover(slot),
            Fault::SlotMoved => self.slot_moved(slot).await,
            Fault::RedisRestarted => self.redis_restarted().await,
        }
    }

    /// Lasts for a random time up to `most` seconds, at least half of it.
    pub(crate) async fn last(&mut self, most: f64) {
        let seconds = self.rng.random_range(most / 2.0..=most);
        sleep(Duration::from_secs_f64(seconds)).await;
    }
}
