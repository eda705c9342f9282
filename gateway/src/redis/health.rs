//! How each Redis server is doing, from what it last answered, and what follows from that.
//!
//! Decides who is reachable, whether a shard has only one copy, and where a partition is read. Pure: the clock is passed
//! in, the prober brings the answers. A primary alone never decides that it has no replica: one that was cut off would
//! call itself unreplicated and lose what it acknowledges.

use std::collections::HashMap;

use parlor_redis::Address;
use tokio::time::Instant;

use super::{
    followers::Followers,
    topology::{Member, Topology},
};
use crate::deadlines::{LINK_DOWN, SILENT};

/// How a shard or a whole Redis is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Replicated,
    Unreplicated,
    Unavailable,
}

/// What a server says about its part in replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// With this many replicas that follow, as far as it has heard of them lately.
    Primary { followers: usize },
    /// Whether its link to the primary works.
    Replica { linked: bool },
}

impl Role {
    /// Reads `INFO replication` of a server whose replicas were `followers` when it was asked before.
    pub fn parse(info: &str, followers: &mut Followers, now: Instant) -> Option<Self> {
        let says = |what: &str| info.lines().any(|line| line.trim() == what);
        if says("role:master") {
            return Some(Self::Primary { followers: followers.count(info, now) });
        }
        let linked = says("master_link_status:up");
        says("role:slave").then_some(Self::Replica { linked })
    }
}

/// What one probe brought.
#[derive(Clone, Debug)]
pub struct Answer {
    pub role: Option<Role>,
    /// Its view of the cluster; None where there is no cluster.
    pub view: Option<Topology>,
    /// Its clock, in milliseconds since the Unix epoch.
    pub clock: Option<u64>,
}

/// A server as it was last seen.
#[derive(Clone, Debug)]
struct Seen {
    /// Of the last answer; before the first one, when it was first asked.
    at: Instant,
    /// When it last had a replica that follows; before that, when it was first asked.
    followed: Instant,
    role: Option<Role>,
    view: Option<Topology>,
    clock: Option<u64>,
}

/// Where a partition is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A copy.
    Replica(Address),
    /// The primary, although it may hold what nobody else holds: reads wait for a copy.
    Primary,
    /// The primary, which is the only copy.
    OnlyCopy,
}

/// The servers as they were last seen.
#[derive(Clone, Debug, Default)]
pub struct HealthView {
    servers: HashMap<Address, Seen>,
}

/// Does this view name `server` as a primary with slots whose replicas have all failed (or never were)?
fn lonely(view: &Topology, server: &Address, any_link: bool) -> bool {
    let Some(primary) = view.voters().find(|member| member.server == *server) else { return false };
    !primary.node.flags.failed && (!any_link || view.replicas(primary).all(|replica| replica.node.flags.failed))
}

impl HealthView {
    /// A probe of `server` begins; from now on its silence counts.
    pub fn asked(&mut self, server: &Address, now: Instant) {
        let first = Seen { at: now, followed: now, role: None, view: None, clock: None };
        self.servers.entry(server.clone()).or_insert(first);
    }

    /// Notes an answer.
    pub fn answered(&mut self, server: &Address, Answer { role, view, clock }: Answer, now: Instant) {
        self.asked(server, now);
        let Some(seen) = self.servers.get_mut(server) else { return };
        let follows = !matches!(role, Some(Role::Primary { followers: 0 }));
        let followed = if follows { now } else { seen.followed };
        *seen = Seen { at: now, followed, role, view, clock };
    }

    /// What most servers' clocks say now, in milliseconds since the Unix epoch: a single one that is wrong decides nothing
    /// where there are more.
    pub fn clock(&self, now: Instant) -> Option<u64> {
        let said = |seen: &Seen| Some(seen.clock? + now.saturating_duration_since(seen.at).as_millis() as u64);
        let reachable = self.servers.iter().filter(|(server, _)| self.reachable(server, now));
        let mut clocks: Vec<_> = reachable.filter_map(|(_, seen)| said(seen)).collect();
        clocks.sort_unstable();
        clocks.get(clocks.len() / 2).copied()
    }

    /// Forgets servers that are no longer part of the cluster.
    pub fn keep(&mut self, is_member: impl Fn(&Address) -> bool) {
        self.servers.retain(|server, _| is_member(server));
    }

    /// When `server` counts as dead unless it answers before; None for one that was never asked.
    pub fn silent_at(&self, server: &Address) -> Option<Instant> {
        Some(self.servers.get(server)?.at + SILENT)
    }

    /// Whether `server` has answered lately.
    pub fn reachable(&self, server: &Address, now: Instant) -> bool {
        self.silent_at(server).is_none_or(|silent| now < silent)
    }

    /// Since when `server` has been silent, if it counts as dead.
    pub fn silent_since(&self, server: &Address, now: Instant) -> Option<Instant> {
        self.servers.get(server).filter(|_| !self.reachable(server, now)).map(|seen| seen.at)
    }

    /// True while only this primary holds its shard's data, and a majority of the primaries agrees.
    pub fn unreplicated(&self, topology: &Topology, primary: &Address, now: Instant) -> bool {
        if topology.is_alone() {
            return true;
        }
        let Some(seen) = self.servers.get(primary) else { return false };
        if seen.role != Some(Role::Primary { followers: 0 }) || !self.reachable(primary, now) {
            return false;
        }
        let linked_lately = now.saturating_duration_since(seen.followed) < LINK_DOWN;
        let voters: Vec<_> = topology.voters().map(|member| &member.server).collect();
        let agrees = |voter: &&&Address| {
            let view =
                self.servers.get(**voter).filter(|_| self.reachable(voter, now)).and_then(|seen| seen.view.as_ref());
            view.is_some_and(|view| lonely(view, primary, linked_lately))
        };
        voters.iter().filter(agrees).count() > voters.len() / 2
    }

    /// How many copies a write to `primary` waits for: 0 where it is the only one, else as many as its replicas that follow.
    /// Any of those may be elected, so that each must hold what was acknowledged.
    pub fn copies(&self, topology: &Topology, primary: &Address, now: Instant) -> usize {
        if self.unreplicated(topology, primary, now) {
            return 0;
        }
        match self.servers.get(primary).and_then(|seen| seen.role) {
            Some(Role::Primary { followers }) => followers.max(1),
            Some(Role::Replica { .. }) | None => 1,
        }
    }

    /// The worst of the shards.
    pub fn overall(&self, topology: &Topology, now: Instant) -> Health {
        let shard = |member: &Member| {
            if !self.reachable(&member.server, now) {
                Health::Unavailable
            } else if self.unreplicated(topology, &member.server, now) {
                Health::Unreplicated
            } else {
                Health::Replicated
            }
        };
        topology.voters().map(shard).max().unwrap_or(Health::Unavailable)
    }

    fn readable(&self, replica: &Member, now: Instant) -> bool {
        let linked = |seen: &Seen| seen.role == Some(Role::Replica { linked: true });
        replica.is_well()
            && self.reachable(&replica.server, now)
            && self.servers.get(&replica.server).is_some_and(linked)
    }

    /// Where to read what `primary` holds: on, where it is read now; else from a replica in sync, `turn` spreads
    /// partitions over several, and one that lay behind (`shunned`) comes last; else from the primary.
    pub fn reader(
        &self,
        topology: &Topology,
        primary: &Member,
        in_use: Option<&Address>,
        (shunned, turn): (Option<&Address>, usize),
        now: Instant,
    ) -> Reader {
        if self.unreplicated(topology, &primary.server, now) {
            return Reader::OnlyCopy;
        }
        let mut replicas: Vec<_> =
            topology.replicas(primary).filter(|replica| self.readable(replica, now)).map(|r| &r.server).collect();
        if let Some(server) = in_use.filter(|server| replicas.contains(server)) {
            return Reader::Replica(server.clone());
        }
        let turn = turn % replicas.len().max(1);
        replicas.rotate_left(turn);
        replicas.sort_by_key(|server| Some(*server) == shunned);
        replicas.first().map_or(Reader::Primary, |server| Reader::Replica((*server).clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_redis::{Prefer, Slot};

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn view(replica_flags: &str, owner: &str) -> Topology {
        let (a, b) = if owner == "a" { ("0-16383", "") } else { ("", "0-16383") };
        let text = format!(
            "a 10.0.0.1:1@2 master - 0 0 1 connected {a}\nb 10.0.0.2:1@2 master - 0 0 2 connected {b}\n\
             c 10.0.0.3:1@2 {replica_flags} a 0 0 1 connected\nd 10.0.0.4:1@2 slave a 0 0 1 connected\n"
        );
        Topology::parse(&text, &address("x:1"), Prefer::Ip).unwrap()
    }

    #[test]
    fn a_server_says_whether_it_is_a_primary_or_a_replica() {
        let role = |info| Role::parse(info, &mut Followers::default(), Instant::now());
        assert_eq!(role("role:master\r\nconnected_slaves:0\r\n"), Some(Role::Primary { followers: 0 }));
        assert_eq!(role("role:slave\r\nmaster_link_status:down\r\n"), Some(Role::Replica { linked: false }));
        assert_eq!(role("what"), None);
    }

    /// Three shards of one replica each; the first shard's replica has these flags.
    fn cluster(flags: &str) -> Topology {
        let shard = |n: usize, slots: &str, flags: &str| {
            let replica = n + 3;
            format!(
                "p{n} 10.0.0.{n}:1@2 master - 0 0 {n} connected {slots}\n\
                 r{n} 10.0.0.{replica}:1@2 {flags} p{n} 0 0 {n} connected\n"
            )
        };
        let text = shard(1, "0-5000", flags) + &shard(2, "5001-10000", "slave") + &shard(3, "10001-16383", "slave");
        Topology::parse(&text, &address("x:1"), Prefer::Ip).unwrap()
    }

    struct World {
        health: HealthView,
        topology: Topology,
        now: Instant,
    }

    impl World {
        /// All six servers have just answered.
        fn new() -> Self {
            let mut world = Self { health: HealthView::default(), topology: cluster("slave"), now: Instant::now() };
            world.answer(&[1, 2, 3], Role::Primary { followers: 1 });
            world.answer(&[4, 5, 6], Role::Replica { linked: true });
            world
        }

        fn answer(&mut self, servers: &[usize], role: Role) {
            for n in servers {
                let answer = Answer { role: Some(role), view: Some(self.topology.clone()), clock: Some(*n as u64) };
                self.health.answered(&address(&format!("10.0.0.{n}:1")), answer, self.now);
            }
        }

        fn reader(&self, in_use: Option<&str>) -> Reader {
            let (in_use, primary) = (in_use.map(address), self.topology.primary(Slot::FIRST).unwrap());
            self.health.reader(&self.topology, primary, in_use.as_ref(), (None, 0), self.now)
        }

        fn overall(&self) -> Health {
            self.health.overall(&self.topology, self.now)
        }
    }

    #[test]
    fn a_replica_that_is_silent_towards_this_gateway_is_read_no_longer_and_its_shard_stays_replicated() {
        let mut world = World::new();
        assert_eq!(world.reader(None), Reader::Replica(address("10.0.0.4:1")));
        world.now += SILENT;
        world.answer(&[1, 2, 3], Role::Primary { followers: 1 });
        world.answer(&[5, 6], Role::Replica { linked: true });
        assert_eq!(world.reader(Some("10.0.0.4:1")), Reader::Primary);
        assert_eq!(world.overall(), Health::Replicated);
        world.answer(&[4], Role::Replica { linked: true });
        assert_eq!(world.reader(None), Reader::Replica(address("10.0.0.4:1")));
    }

    #[test]
    fn a_replica_whose_link_is_down_is_not_read() {
        let mut world = World::new();
        world.answer(&[4], Role::Replica { linked: false });
        assert_eq!(world.reader(Some("10.0.0.4:1")), Reader::Primary);
    }

    #[test]
    fn a_frozen_replica_leaves_its_shard_unreplicated_once_a_majority_calls_it_failed_or_after_five_seconds() {
        for (flags, after, expected) in [
            ("slave,fail?", Duration::ZERO, Health::Replicated),
            ("slave,fail", Duration::ZERO, Health::Unreplicated),
            ("slave", LINK_DOWN - Duration::from_millis(1), Health::Replicated),
            ("slave", LINK_DOWN, Health::Unreplicated),
        ] {
            let mut world = World::new();
            world.now += after;
            world.topology = cluster(flags);
            world.answer(&[1], Role::Primary { followers: 0 });
            world.answer(&[2, 3], Role::Primary { followers: 1 });
            assert_eq!(world.overall(), expected, "{flags} after {after:?}");
        }
    }

    #[test]
    fn a_primary_that_is_cut_off_from_the_others_does_not_decide_that_it_is_alone() {
        let mut world = World::new();
        world.now += LINK_DOWN;
        world.answer(&[1], Role::Primary { followers: 0 });
        assert!(!world.health.unreplicated(&world.topology, &address("10.0.0.1:1"), world.now), "nobody else answered");
        assert_eq!(world.overall(), Health::Unavailable);
    }

    #[test]
    fn a_primary_is_alone_when_its_replicas_failed_and_it_still_owns_the_slots() {
        let server = address("10.0.0.1:1");
        assert!(!lonely(&view("slave,fail", "a"), &server, true), "one of two has not failed");
        assert!(lonely(&view("slave", "a"), &server, false));
        assert!(!lonely(&view("slave,fail", "b"), &server, false));
    }

    #[test]
    fn a_write_waits_for_every_replica_that_follows_and_for_none_where_there_is_none() {
        let mut world = World::new();
        let primary = address("10.0.0.1:1");
        let copies = |world: &World| world.health.copies(&world.topology, &primary, world.now);
        assert_eq!(copies(&world), 1);
        world.answer(&[1], Role::Primary { followers: 3 });
        assert_eq!(copies(&world), 3);
        world.answer(&[1], Role::Primary { followers: 0 });
        assert_eq!(copies(&world), 1, "nobody agrees that it is alone");
        world.topology = cluster("slave,fail");
        world.answer(&[1], Role::Primary { followers: 0 });
        world.answer(&[2, 3], Role::Primary { followers: 1 });
        assert_eq!(copies(&world), 0);
        assert_eq!(HealthView::default().copies(&world.topology, &primary, world.now), 1);
    }

    #[test]
    fn the_time_is_what_most_servers_say_and_goes_on_between_their_answers() {
        let mut world = World::new();
        world.now += Duration::from_millis(100);
        assert_eq!(world.health.clock(world.now), Some(104));
        world.now += SILENT;
        world.answer(&[1, 2, 3], Role::Primary { followers: 1 });
        assert_eq!(world.health.clock(world.now), Some(2), "silent servers have no say");
        assert_eq!(HealthView::default().clock(world.now), None);
    }

    #[test]
    fn a_primary_that_was_never_asked_counts_as_reachable_and_one_that_never_answers_does_not() {
        let (mut health, server, now) = (HealthView::default(), address("h:1"), Instant::now());
        assert!(health.reachable(&server, now));
        health.asked(&server, now);
        assert!(!health.reachable(&server, now + SILENT));
    }
}
