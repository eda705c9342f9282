//! How many gateways there should be: as written, or as the connections demand.
//!
//! A pure function of the last decision and of numbers of connections. It holds when it cannot see, moves in bounded steps,
//! never leaves min..max, and never asks for fewer while anything in the last `scaleDownAfter` needed more.

use parlor_crds::ChatRoomSpec;
use parlor_crds::chatroom::Size;
use serde::Deserialize;

/// Gateways that may be added at once, whatever the size; a larger fleet may double.
const SMALLEST_RISE: u32 = 4;

/// What is known of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// Open connections of all gateways; absent when one that serves did not say.
    pub connections: Option<u64>,
    /// Most connections in the last `scaleDownAfter`; absent until it was watched that long.
    pub peak: Option<u64>,
    /// Gateways are still being emptied after the last decision.
    pub draining: bool,
}

/// What was decided, and on what grounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// `spec.suspend`.
    Suspended,
    /// `spec.replicas`.
    Fixed,
    /// A serving gateway did not report: the size stays.
    Blind,
    /// As many as needed.
    Steady,
    /// Fewer would do, but not for long enough yet.
    Patient,
    /// More are needed.
    Up,
    /// Fewer have been enough for `scaleDownAfter`.
    Down,
}

/// A number of gateways and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Gateways wanted.
    pub wanted: u32,
    /// Gateways wanted before.
    pub previous: u32,
    /// Why.
    pub grounds: Grounds,
}

/// Decides the number of gateways. `previous` is the last decision, or the gateways that exist if there was none.
pub fn size(spec: &ChatRoomSpec, previous: u32, load: Load) -> Decision {
    let decided = |wanted, grounds| Decision { wanted, previous, grounds };
    if spec.suspend {
        return decided(0, Grounds::Suspended);
    }
    let scaling = match spec.size() {
        Size::Fixed(replicas) => return decided(replicas, Grounds::Fixed),
        Size::Scaled(scaling) => scaling,
    };
    let bounds = Bounds { min: scaling.min, max: scaling.max, target: u64::from(spec.target_connections()) };
    let (wanted, grounds) = bounds.scale(previous.clamp(bounds.min, bounds.max), load);
    decided(wanted, grounds)
}

struct Bounds {
    min: u32,
    max: u32,
    target: u64,
}

impl Bounds {
    fn needed(&self, connections: u64) -> u32 {
        let gateways = connections.div_ceil(self.target.max(1));
        u32::try_from(gateways).unwrap_or(u32::MAX).clamp(self.min, self.max)
    }

    fn scale(&self, previous: u32, load: Load) -> (u32, Grounds) {
        let Some(connections) = load.connections else { return (previous, Grounds::Blind) };
        let needed = self.needed(connections);
        if needed > previous {
            let step = previous.max(SMALLEST_RISE);
            return (needed.min(previous.saturating_add(step)), Grounds::Up);
        }
        if needed == previous {
            return (previous, Grounds::Steady);
        }
        let enough = load.peak.map_or(previous, |peak| self.needed(peak.max(connections)));
        if enough >= previous || load.draining {
            return (previous, Grounds::Patient);
        }
        let step = (previous / 4).max(1);
        (enough.max(previous - step), Grounds::Down)
    }
}

/// The decision in words and numbers.
pub fn explain(spec: &ChatRoomSpec, decision: &Decision, connections: Option<u64>) -> String {
    let target = spec.target_connections();
    let seen = connections.unwrap_or_default();
    match decision.grounds {
        Grounds::Suspended => "spec.suspend is true".into(),
        Grounds::Fixed => format!("spec.replicas is {}", decision.wanted),
        Grounds::Blind => format!("kept at {}: a gateway does not report its connections", decision.wanted),
        Grounds::Steady | Grounds::Patient => {
            format!("{seen} connections at {target} per gateway: {} gateways", decision.wanted)
        }
        Grounds::Up => {
            format!("{seen} connections at {target} per gateway: from {} to {}", decision.previous, decision.wanted)
        }
        Grounds::Down => format!(
            "{seen} connections at {target} per gateway, and no more for scaleDownAfter: from {} to {}",
            decision.previous, decision.wanted
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_crds::chatroom::Scaling;
    use proptest::prelude::*;

    fn spec(min: u32, max: u32, target: u32) -> ChatRoomSpec {
        let scaling = Scaling { min, max, connections_per_gateway: Some(target), ..Scaling::default() };
        ChatRoomSpec { scaling: Some(scaling), ..ChatRoomSpec::default() }
    }

    fn load(connections: u64, peak: Option<u64>) -> Load {
        Load { connections: Some(connections), peak, draining: false }
    }

    #[test]
    fn fixed_and_suspended_sizes_ask_nobody() {
        let fixed = ChatRoomSpec { replicas: Some(3), ..ChatRoomSpec::default() };
        assert_eq!(size(&fixed, 7, Load::default()).wanted, 3);
        let suspended = ChatRoomSpec { suspend: true, ..fixed };
        assert_eq!(size(&suspended, 3, Load::default()).wanted, 0);
    }

    #[test]
    fn one_connection_above_the_target_asks_for_one_more() {
        assert_eq!(size(&spec(2, 10, 100), 2, load(200, None)).wanted, 2);
        let more = size(&spec(2, 10, 100), 2, load(201, None));
        assert_eq!((more.wanted, more.grounds), (3, Grounds::Up));
        let said = explain(&spec(2, 10, 100), &more, Some(201));
        assert_eq!(said, "201 connections at 100 per gateway: from 2 to 3");
    }

    #[test]
    fn fewer_are_asked_for_only_after_the_peak_has_passed_and_the_last_drain_is_over() {
        let spec = spec(2, 10, 100);
        assert_eq!(size(&spec, 5, load(210, None)).grounds, Grounds::Patient, "not watched for long enough");
        assert_eq!(size(&spec, 5, load(210, Some(480))).grounds, Grounds::Patient, "five were needed lately");
        assert_eq!(size(&spec, 5, load(210, Some(250))).wanted, 4, "one at a time");
        let draining = Load { draining: true, ..load(210, Some(250)) };
        assert_eq!(size(&spec, 5, draining).grounds, Grounds::Patient);
    }

    prop_compose! {
        fn bounds()(min in 1u32..20, more in 0u32..50, target in 1u32..5000) -> ChatRoomSpec {
            spec(min, min + more, target)
        }
    }

    proptest! {
        #[test]
        fn the_size_never_leaves_min_and_max(
            spec in bounds(), previous in 0u32..200, seen in proptest::option::of(0u64..500_000), peak in proptest::option::of(0u64..500_000)
        ) {
            let scaling = spec.scaling.clone().unwrap();
            let wanted = size(&spec, previous, Load { connections: seen, peak, draining: false }).wanted;
            prop_assert!((scaling.min..=scaling.max).contains(&wanted));
        }

        #[test]
        fn constant_load_comes_to_rest_and_stays(spec in bounds(), start in 1u32..200, seen in 0u64..500_000) {
            let mut now = start;
            for _ in 0..64 {
                now = size(&spec, now, load(seen, Some(seen))).wanted;
            }
            for _ in 0..8 {
                prop_assert_eq!(size(&spec, now, load(seen, Some(seen))).wanted, now);
            }
        }

        #[test]
        fn more_load_never_gives_fewer_gateways(
            spec in bounds(), previous in 1u32..100, seen in 0u64..200_000, more in 0u64..200_000, peak in proptest::option::of(0u64..200_000)
        ) {
            let less = size(&spec, previous, load(seen, peak)).wanted;
            prop_assert!(size(&spec, previous, load(seen + more, peak)).wanted >= less);
        }

        #[test]
        fn a_step_is_bounded(spec in bounds(), previous in 1u32..100, seen in 0u64..500_000, peak in proptest::option::of(0u64..500_000)) {
            let scaling = spec.scaling.clone().unwrap();
            let previous = previous.clamp(scaling.min, scaling.max);
            let wanted = size(&spec, previous, load(seen, peak)).wanted;
            prop_assert!(wanted <= previous + previous.max(4));
            prop_assert!(wanted + (previous / 4).max(1) >= previous);
        }

        #[test]
        fn nothing_moves_while_a_gateway_is_silent(spec in bounds(), previous in 1u32..100, peak in proptest::option::of(0u64..500_000)) {
            let scaling = spec.scaling.clone().unwrap();
            let blind = size(&spec, previous, Load { connections: None, peak, draining: false });
            prop_assert_eq!(blind.wanted, previous.clamp(scaling.min, scaling.max));
            prop_assert_eq!(blind.grounds, Grounds::Blind);
        }
    }
}
