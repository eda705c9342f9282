//! Moves connections from the fullest gateways to the others after the fleet has changed (`spec.drain.rebalance`).
//!
//! A pure function of what gateways report and of what moves have achieved so far. Nobody is moved while gateways start or
//! drain, for a difference that chance explains, or when moving does not help, as behind a load balancer with preferences of
//! its own. Called by `decide`.

use std::cmp::Reverse;

use kube::ResourceExt;
use parlor_crds::chatroom::Drain;

use super::fleet::{Fleet, Order};
use crate::reconcile::observed::{self, Observed};

/// The fullest and the emptiest gateway may differ by so much of the mean.
const TOLERANCE_PERCENT: u64 = 10;
/// A gateway asks at most so many times what it has above the mean to move: most who are moved come back to gateways like it.
const MOST_TIMES: u64 = 4;
/// How unevenly connections are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    mean: u64,
    spread: u64,
}

impl Load {
    fn of(connections: &[u32]) -> Option<Self> {
        let (least, most) = (connections.iter().min()?, connections.iter().max()?);
        let sum: u64 = connections.iter().copied().map(u64::from).sum();
        Some(Self { mean: sum / connections.len() as u64, spread: u64::from(most - least) })
    }

    /// Whether chance explains the difference: people who come at random differ by the square root of the mean, two gateways by
    /// the square root of twice that, and six times as much is never seen.
    fn is_even(self) -> bool {
        let chance = 6 * (2 * self.mean).isqrt();
        self.spread <= (self.mean * TOLERANCE_PERCENT / 100).max(chance)
    }
}

/// The difference between the fullest and the emptiest of the gateways that serve.
pub fn spread(observed: &Observed) -> u64 {
    let serving = serving(observed);
    let connections: Vec<u32> = serving.iter().map(|(.., connections)| *connections).collect();
    Load::of(&connections).map_or(0, |load| load.spread)
}

/// Which gateways ask connections to move: the fullest gateways, while nothing else is under way and moving helps.
pub fn balance(fleet: &Fleet, wanted: u32, drain: &Drain, observed: &Observed) -> Vec<Order> {
    let serving = serving(observed);
    let rests = fleet.draining == 0 && fleet.outdated == 0 && serving.len() == wanted as usize;
    if !rests || !observed.moves.may_go_on(observed.now) {
        return Vec::new();
    }
    let connections: Vec<u32> = serving.iter().map(|(.., connections)| *connections).collect();
    let order = |(at, connections): (usize, u32)| {
        let (pod, ip, _) = serving[at].clone();
        Order::GiveAway { pod, ip, connections, rate: drain.rate }
    };
    given(&connections, drain.at_once).into_iter().map(order).collect()
}

/// Which of the gateways with so many connections ask how many of them to move: as many as would bring all to the mean, if
/// every gateway above it asked and clients came to all gateways alike. Only the fullest ask at the same time.
fn given(connections: &[u32], at_once: u32) -> Vec<(usize, u32)> {
    let Some(load) = Load::of(connections).filter(|load| !load.is_even()) else { return Vec::new() };
    let all = connections.len();
    let mut fullest: Vec<usize> = (0..all).filter(|at| u64::from(connections[*at]) > load.mean).collect();
    let below = (all - fullest.len()).max(1) as u64;
    fullest.sort_by_key(|at| Reverse(connections[*at]));
    fullest.truncate((all * at_once as usize).div_ceil(100).max(1));
    let share = |at: usize| {
        let above = u64::from(connections[at]).saturating_sub(load.mean);
        let given = (above * all as u64 / below).min(above * MOST_TIMES);
        (at, u32::try_from(given).unwrap_or(u32::MAX).min(connections[at]))
    };
    fullest.into_iter().map(share).collect()
}

/// Gateways that are ready and report: pod, address, connections.
fn serving(observed: &Observed) -> Vec<(String, String, u32)> {
    let ready = observed.living().filter(|pod| observed::is_ready(pod) && observed::draining_since(pod).is_none());
    let seen = ready.filter_map(|pod| {
        let report = observed.reports.get(&pod.name_any())?;
        Some((pod.name_any(), pod.status.as_ref()?.pod_ip.clone()?, report.connections))
    });
    seen.collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use serde_json::json;

    use super::*;
    use crate::reconcile::decide::moves::{MOST_VAIN, Moves};

    /// Between two passes.
    const STEP: i64 = 5;
    const DAY: i64 = 86_400;

    /// A fleet whose people come at random, stay for a while, and reconnect to any gateway when they are asked to move.
    struct World {
        now: i64,
        connections: Vec<f64>,
        moves: Moves,
        /// Still to be asked, by gateway.
        asked: Vec<u32>,
        moved: u64,
        rng: StdRng,
    }

    impl World {
        fn new(connections: Vec<f64>) -> Self {
            let asked = vec![0; connections.len()];
            Self { now: 0, connections, moves: Moves::default(), asked, moved: 0, rng: StdRng::seed_from_u64(3) }
        }

        fn add(&mut self, gateways: usize) {
            self.connections.extend(vec![0.0; gateways]);
            self.asked.extend(vec![0; gateways]);
        }

        /// A pass, and what happens until the next. `mean` people are there in the long run, each for `session` seconds.
        fn step(&mut self, mean: f64, session: f64) {
            let (drain, now) = (Drain::default(), Timestamp::from_second(self.now).unwrap());
            self.moves.note_fleet((0..self.connections.len()).map(|at| at.to_string()).collect());
            if self.moves.may_go_on(now) {
                let seen: Vec<u32> = self.connections.iter().map(|n| n.round() as u32).collect();
                let spread = Load::of(&seen).unwrap().spread;
                for (at, connections) in given(&seen, drain.at_once) {
                    self.asked[at] = connections;
                    self.moves.note_move(spread, connections, drain.rate, now);
                }
            }
            let n = self.connections.len();
            let mut homeless = poisson(&mut self.rng, mean * STEP as f64 / session);
            for at in 0..n {
                let leave = poisson(&mut self.rng, self.connections[at] * STEP as f64 / session);
                self.connections[at] = (self.connections[at] - leave).max(0.0);
                let asked = self.asked[at].min(Drain::default().rate * STEP as u32);
                self.asked[at] -= asked;
                self.moved += u64::from(asked);
                self.connections[at] -= f64::from(asked);
                homeless += f64::from(asked);
            }
            for at in 0..n {
                let comes = poisson(&mut self.rng, homeless / n as f64);
                self.connections[at] += comes;
            }
            self.now += STEP;
        }

        fn unevenness(&self) -> f64 {
            let most = self.connections.iter().fold(0.0, |a: f64, b| a.max(*b));
            let least = self.connections.iter().fold(f64::MAX, |a, b| a.min(*b));
            (most - least) / (self.connections.iter().sum::<f64>() / self.connections.len() as f64)
        }
    }

    /// By a normal approximation, good for large means.
    fn poisson(rng: &mut StdRng, mean: f64) -> f64 {
        let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (mean + mean.sqrt() * normal).max(0.0).round()
    }

    #[test]
    fn days_of_people_who_come_at_random_move_nobody() {
        for (gateways, mean, session) in [(2, 20_000.0, 1_800.0), (4, 2_000.0, 600.0), (10, 100_000.0, 7_200.0)] {
            let mut world = World::new(vec![mean / f64::from(gateways); gateways as usize]);
            for _ in 0..3 * DAY / STEP {
                world.step(mean, session);
            }
            assert_eq!(world.moved, 0, "{gateways} gateways, {mean} people for {session} s");
        }
    }

    #[test]
    fn after_a_scale_up_gateways_come_within_a_tenth_of_each_other_and_then_nobody_is_moved() {
        for (before, added) in [(2, 1), (2, 2), (4, 4), (10, 1)] {
            let mean = 10_000.0 * f64::from(before);
            let mut world = World::new(vec![10_000.0; before as usize]);
            world.add(added);
            // People who stay for a day: without help the fleet would be even tomorrow.
            let mut steps = 0;
            while world.unevenness() > 0.1 {
                world.step(mean, DAY as f64);
                steps += 1;
                assert!(steps < 3_600 / STEP, "{before}+{added}: {:?} after an hour", world.connections);
            }
            let moved = world.moved;
            for _ in 0..DAY / STEP {
                world.step(mean, DAY as f64);
            }
            let more = world.moved - moved;
            assert!(more as f64 <= mean / 5.0, "{before}+{added}: {moved} were moved, and {more} later");
        }
    }

    #[test]
    fn a_fleet_that_moving_does_not_make_even_is_left_as_it_is() {
        let mut world = World::new(vec![15_000.0, 5_000.0]);
        for _ in 0..DAY / STEP {
            world.step(20_000.0, DAY as f64);
            // The load balancer sends everyone back.
            world.connections = vec![15_000.0, 5_000.0];
        }
        assert!(world.moved <= 15_000 * (u64::from(MOST_VAIN) + 1), "{} were moved", world.moved);
    }

    #[test]
    fn nobody_is_moved_while_gateways_start_drain_or_are_replaced() {
        let pod = |name: &str| {
            json!({
                "metadata": { "name": name },
                "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }] },
            })
        };
        let report = |connections: u32| {
            json!({
                "gateway": "", "version": "1", "ready": true, "connections": connections, "connectionsLimit": 15_000, "rooms": 1,
                "bus": "Replicated",
            })
        };
        let observed: Observed = serde_json::from_value(json!({
            "gateways": [pod("a"), pod("b")], "reports": { "a": report(10_000), "b": report(0) },
        }))
        .unwrap();
        let orders = |fleet: &Fleet, wanted| balance(fleet, wanted, &Drain::default(), &observed).len();
        assert_eq!(orders(&Fleet::default(), 2), 1);
        assert_eq!(orders(&Fleet::default(), 3), 0, "a third is to come");
        assert_eq!(orders(&Fleet { draining: 1, ..Fleet::default() }, 2), 0);
        assert_eq!(orders(&Fleet { outdated: 1, ..Fleet::default() }, 2), 0);
    }
}
