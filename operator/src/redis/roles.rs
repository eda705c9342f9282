//! Who becomes a primary and who copies whom, so that one host takes as little as possible with it.
//!
//! Pure choices among members that the planner found without a place.

use std::collections::BTreeMap;

/// A place to fill or somebody to fill it: a Redis node and the host it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Node id.
    pub id: &'a str,
    /// Kubernetes node of the pod; empty while unknown.
    pub host: &'a str,
}

/// A primary and how many replicas it has by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard<'a> {
    /// The primary.
    pub primary: Candidate<'a>,
    /// Its replicas.
    pub replicas: usize,
}

/// Picks `count` of the `spares` as primaries, each on the host with the fewest primaries so far.
pub fn choose_primaries<'a>(existing: &[Candidate<'a>], spares: &[Candidate<'a>], count: usize) -> Vec<Candidate<'a>> {
    let mut load: BTreeMap<&str, usize> = BTreeMap::new();
    for primary in existing {
        *load.entry(primary.host).or_default() += 1;
    }
    let mut left = spares.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let best = (0..left.len()).min_by_key(|at| (load.get(left[*at].host).copied().unwrap_or(0), *at)).unwrap_or(0);
        let primary = left.remove(best);
        *load.entry(primary.host).or_default() += 1;
        chosen.push(primary);
    }
    chosen
}

/// Gives each of the `spares` a primary with fewer than `wanted` replicas: the one with the fewest, on another host if there is one.
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
        let other_host = left.iter().position(|spare| spare.host != primary.host);
        let replica = left.remove(other_host.unwrap_or(0));
        shards[at].replicas += 1;
        pairs.push((replica, primary));
    }
    pairs
}

/// The shard with the fewest replicas; among equals the one with the fewest spares on other hosts, which has the least choice.
fn neediest(shards: &[Shard<'_>], wanted: usize, left: &[Candidate<'_>]) -> Option<usize> {
    if left.is_empty() {
        return None;
    }
    let choice = |shard: &Shard<'_>| left.iter().filter(|spare| spare.host != shard.primary.host).count();
    let short = (0..shards.len()).filter(|at| shards[*at].replicas < wanted);
    short.min_by_key(|at| (shards[*at].replicas, choice(&shards[*at]), *at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(id: &'a str, host: &'a str) -> Candidate<'a> {
        Candidate { id, host }
    }

    #[test]
    fn primaries_spread_over_hosts_before_any_host_gets_a_second() {
        let spares = [at("0", "a"), at("1", "a"), at("2", "b"), at("3", "b"), at("4", "c"), at("5", "c")];
        let chosen = choose_primaries(&[], &spares, 3);
        assert_eq!(chosen, [at("0", "a"), at("2", "b"), at("4", "c")]);
        assert_eq!(choose_primaries(&chosen[..2], &spares[4..], 1), [at("4", "c")]);
    }

    #[test]
    fn replicas_go_to_other_hosts_than_their_primaries() {
        let shards = ["a", "b", "c"].map(|host| Shard { primary: at(host, host), replicas: 0 });
        let pairs = assign_replicas(&shards, &[at("1", "a"), at("3", "b"), at("5", "c")], 1);
        assert_eq!(pairs.len(), 3);
        assert!(pairs.iter().all(|(replica, primary)| replica.host != primary.host), "{pairs:?}");
    }

    #[test]
    fn a_single_host_still_gets_its_replicas_and_nobody_more_than_wanted() {
        let shards = [Shard { primary: at("p", "a"), replicas: 0 }, Shard { primary: at("q", "a"), replicas: 1 }];
        let pairs = assign_replicas(&shards, &[at("1", "a"), at("2", "a")], 1);
        assert_eq!(pairs, [(at("1", "a"), at("p", "a"))]);
    }
}
