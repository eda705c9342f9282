//! The autoscaler over a recorded load, in virtual time.
//!
//! Runs the very functions of a pass, without a cluster. A gateway takes what it is offered up to its limit and refuses the
//! rest; drains end at once. Called by the command `simulate` and by tests.

use k8s_openapi::jiff::Timestamp;
use parlor_crds::{ChatRoomSpec, chatroom::Size};

use super::{
    size::{self, Decision, Load, Seen},
    window::Window,
};

/// A ChatRoom's autoscaler with what it keeps from pass to pass.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    spec: &'a ChatRoomSpec,
    window: Window,
    /// Gateways that there are now.
    pub gateways: u32,
}

impl<'a> Simulation<'a> {
    /// Begins with the fewest gateways.
    pub fn new(spec: &'a ChatRoomSpec) -> Self {
        let gateways = match spec.size() {
            Size::Fixed(replicas) => replicas,
            Size::Scaled(scaling) => scaling.min,
        };
        Self { spec, window: Window::default(), gateways }
    }

    /// One pass while `offered` connections are open or ask to be.
    pub fn step(&mut self, now: Timestamp, offered: u64) -> Decision {
        let room = u64::from(self.gateways) * u64::from(self.spec.limits.connections_per_gateway);
        let open = offered.min(room);
        if let Size::Scaled(scaling) = self.spec.size() {
            self.window.note(now, scaling.scale_down_after.as_duration(), open);
        }
        let load = Load {
            connections: Seen::All(open),
            serving: self.gateways,
            full: if offered > room { self.gateways } else { 0 },
            peak: self.window.peak(now),
            draining: false,
            target: self.spec.target_connections(),
        };
        let decision = size::size(self.spec, self.gateways, load);
        self.gateways = decision.wanted;
        decision
    }
}

#[cfg(test)]
mod tests {
    use parlor_crds::chatroom::Scaling;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const DAY: i64 = 86_400;
    const STEP: i64 = 5;

    fn spec() -> ChatRoomSpec {
        ChatRoomSpec { scaling: Some(Scaling { min: 2, max: 100, ..Scaling::default() }), ..ChatRoomSpec::default() }
    }

    /// Number of arrivals in a step, by a normal approximation of the Poisson distribution, good for large means.
    fn poisson(rng: &mut StdRng, mean: f64) -> f64 {
        let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (mean + mean.sqrt() * normal).max(0.0)
    }

    /// Times that the fleet grew and shrank over `days` of sessions that come at random and last `session` seconds.
    fn changes(mean: f64, session: f64, days: i64, seed: u64) -> (u32, u32) {
        let spec = spec();
        let (mut simulation, mut rng) = (Simulation::new(&spec), StdRng::seed_from_u64(seed));
        let (mut open, mut grew, mut shrank) = (mean, 0, 0);
        for second in (0..days * DAY).step_by(STEP as usize) {
            let leave = STEP as f64 / session;
            open += poisson(&mut rng, mean * leave) - poisson(&mut rng, open * leave);
            let before = simulation.gateways;
            let after = simulation.step(Timestamp::from_second(second).unwrap(), open as u64).wanted;
            // The first size is reached within the first minutes.
            if second > 600 {
                grew += u32::from(after > before);
                shrank += u32::from(after < before);
            }
        }
        (grew, shrank)
    }

    #[test]
    fn days_of_steady_load_at_a_multiple_of_the_target_move_nobody() {
        for (mean, session) in [(20_000.0, 600.0), (20_000.0, 1_800.0), (20_000.0, 7_200.0), (40_000.0, 1_800.0)] {
            let (grew, shrank) = changes(mean, session, 3, 7);
            assert!(grew <= 1 && shrank == 0, "{mean} people for {session} s: {grew} up, {shrank} down");
        }
    }

    #[test]
    fn a_load_that_doubles_is_served_after_one_round() {
        let spec = spec();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut simulation = Simulation::new(&spec);
        simulation.gateways = 4;
        simulation.step(at(0), 40_000);
        assert_eq!(simulation.gateways, 4);
        simulation.step(at(5), 80_000);
        assert!(u64::from(simulation.gateways) * u64::from(spec.target_connections()) >= 80_000);
    }

    #[test]
    fn a_load_that_goes_takes_the_gateways_along_one_part_at_a_time() {
        let spec = spec();
        let mut simulation = Simulation::new(&spec);
        simulation.gateways = 16;
        for second in (0..4 * 3_600).step_by(5) {
            simulation.step(Timestamp::from_second(second).unwrap(), 1_000);
        }
        assert_eq!(simulation.gateways, 2);
    }
}
