//! Who becomes a primary and who copies whom, so that one host or zone takes as little as possible with it.
//!
//! Pure choices among members that the planner found without a place.

use std::collections::BTreeMap;

use parlor_redis::NodeId;

/// Where a pod runs; empty while unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Kubernetes node.
    pub host: String,
    /// Zone of that node; empty too where nodes have none.
    pub zone: String,
}

/// How much two pods would be lost together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// With nothing that is known.
    Apart,
    /// With their zone.
    Zone,
    /// With their host.
    Host,
}

impl Location {
    /// What two pods share.
    pub fn nearness(&self, other: &Location) -> Nearness {
        let same = |one: &str, other: &str| !one.is_empty() && one == other;
        if same(&self.host, &other.host) {
            Nearness::Host
        } else if same(&self.zone, &other.zone) {
            Nearness::Zone
        } else {
            Nearness::Apart
        }
    }
}

/// A place to fill or somebody to fill it: a Redis node and where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Node id.
    pub id: &'a NodeId,
    /// Where its pod runs.
    pub place: &'a Location,
    /// Its pod is about to go.
    pub leaving: bool,
}

/// A primary and how many replicas it has by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard<'a> {
    /// The primary.
    pub primary: Candidate<'a>,
    /// Its living replicas.
    pub replicas: usize,
    /// Its replicas that are absent and may come back.
    pub absent: usize,
}

/// How unevenly primaries are spread: less is better, and the order of the fields is the order of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strain {
    leaving: usize,
    zones: usize,
    hosts: usize,
}

impl Strain {
    /// Of these primaries. Squares make one with two weigh more than two with one.
    pub fn of<'a>(primaries: impl Iterator<Item = Candidate<'a>> + Clone) -> Self {
        let squares = |name: fn(&'a Location) -> &'a str| {
            let mut load: BTreeMap<&str, usize> = BTreeMap::new();
            primaries.clone().for_each(|one| *load.entry(name(one.place)).or_default() += 1);
            load.into_values().map(|count| count * count).sum()
        };
        Self {
            leaving: primaries.clone().filter(|one| one.leaving).count(),
            zones: squares(|place| &place.zone),
            hosts: squares(|place| &place.host),
        }
    }
}

/// Picks `count` of the `spares` as primaries, each where it strains the spread least.
pub fn choose_primaries<'a>(existing: &[Candidate<'a>], spares: &[Candidate<'a>], count: usize) -> Vec<Candidate<'a>> {
    let mut left = spares.to_vec();
    let mut chosen: Vec<Candidate<'a>> = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let so_far: Vec<Candidate<'a>> = existing.iter().chain(&chosen).copied().collect();
        let strain = |at: usize| Strain::of(so_far.iter().chain([&left[at]]).copied());
        let best = (0..left.len()).min_by_key(|at| (strain(*at), *at)).unwrap_or(0);
        chosen.push(left.remove(best));
    }
    chosen
}

/// Gives each of the `spares` a primary with fewer than `wanted` replicas: the one with the fewest, as far away as there is one.
///
/// Spares that find no place are left out.
pub fn assign_replicas<'a>(
    shards: &[Shard<'a>],
    spares: &[Candidate<'a>],
    wanted: usize,
) -> Vec<(Candidate<'a>, Candidate<'a>)> {
    let mut shards = shards.to_vec();
    let mut left = spares.to_vec();
    let mut pairs = Vec::new();
    while let Some(at) = neediest(&shards, wanted, &left) {
        let primary = shards[at].primary;
        let distance = |at: &usize| (left[*at].place.nearness(primary.place), left[*at].leaving, *at);
        let replica = left.remove((0..left.len()).min_by_key(distance).unwrap_or(0));
        shards[at].replicas += 1;
        pairs.push((replica, primary));
    }
    pairs
}

/// The shard with the fewest replicas; among equals the one with the fewest spares elsewhere, which has the least choice.
fn neediest(shards: &[Shard<'_>], wanted: usize, left: &[Candidate<'_>]) -> Option<usize> {
    if left.is_empty() {
        return None;
    }
    let at_most = |shard: &Shard<'_>, nearness: Nearness| {
        left.iter().filter(|spare| spare.place.nearness(shard.primary.place) <= nearness).count()
    };
    let choice = |shard: &Shard<'_>| (at_most(shard, Nearness::Apart), at_most(shard, Nearness::Zone));
    let short = (0..shards.len()).filter(|at| shards[*at].replicas < wanted);
    short.min_by_key(|at| (shards[*at].replicas, shards[*at].absent, choice(&shards[*at]), *at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers named by number, each at `zone/host`.
    struct Servers(Vec<(NodeId, Location)>);

    impl Servers {
        fn at(places: &[&str]) -> Self {
            let place = |text: &&str| {
                let (zone, host) = text.split_once('/').unwrap_or(("", text));
                Location { host: host.into(), zone: zone.into() }
            };
            Self(places.iter().enumerate().map(|(at, text)| (NodeId::new(&at.to_string()), place(text))).collect())
        }

        fn candidates(&self) -> Vec<Candidate<'_>> {
            self.0.iter().map(|(id, place)| Candidate { id, place, leaving: false }).collect()
        }
    }

    fn names<'a>(candidates: impl IntoIterator<Item = Candidate<'a>>) -> Vec<&'a str> {
        candidates.into_iter().map(|one| one.id.as_str()).collect()
    }

    #[test]
    fn primaries_spread_over_hosts_before_any_host_gets_a_second() {
        let servers = Servers::at(&["a", "a", "b", "b", "c", "c"]);
        let spares = servers.candidates();
        let chosen = choose_primaries(&[], &spares, 3);
        assert_eq!(names(chosen.clone()), ["0", "2", "4"]);
        assert_eq!(names(choose_primaries(&chosen[..2], &spares[4..], 1)), ["4"]);
    }

    #[test]
    fn primaries_spread_over_zones_before_hosts() {
        let servers = Servers::at(&["z1/a", "z1/b", "z1/c", "z2/d", "z3/e"]);
        assert_eq!(names(choose_primaries(&[], &servers.candidates(), 3)), ["0", "3", "4"]);
    }

    #[test]
    fn a_host_that_is_being_drained_gets_no_primary_while_there_is_another() {
        let servers = Servers::at(&["a", "b"]);
        let mut spares = servers.candidates();
        spares[0].leaving = true;
        assert_eq!(names(choose_primaries(&[], &spares, 1)), ["1"]);
    }

    #[test]
    fn replicas_go_to_other_zones_and_hosts_than_their_primaries() {
        let servers = Servers::at(&["z1/a", "z2/b", "z3/c", "z1/d", "z2/e", "z3/f"]);
        let all = servers.candidates();
        let shards: Vec<_> =
            all[..3].iter().map(|primary| Shard { primary: *primary, replicas: 0, absent: 0 }).collect();
        let pairs = assign_replicas(&shards, &all[3..], 1);
        assert_eq!(pairs.len(), 3);
        assert!(pairs.iter().all(|(one, other)| one.place.nearness(other.place) == Nearness::Apart), "{pairs:?}");
    }

    #[test]
    fn a_single_host_still_gets_its_replicas_and_nobody_more_than_wanted() {
        let servers = Servers::at(&["a"; 4]);
        let all = servers.candidates();
        let shards = [0, 1].map(|at| Shard { primary: all[at], replicas: at, absent: 0 });
        let pairs = assign_replicas(&shards, &all[2..], 1);
        assert_eq!(
            pairs.iter().map(|(one, other)| (one.id.as_str(), other.id.as_str())).collect::<Vec<_>>(),
            [("2", "0")]
        );
    }

    #[test]
    fn a_shard_whose_replica_may_come_back_waits_for_one_that_has_none() {
        let servers = Servers::at(&["a", "b", "c"]);
        let all = servers.candidates();
        let shards =
            [Shard { primary: all[0], replicas: 0, absent: 1 }, Shard { primary: all[1], replicas: 0, absent: 0 }];
        let pairs = assign_replicas(&shards, &all[2..], 1);
        assert_eq!(pairs[0].1.id.as_str(), "1");
    }
}
