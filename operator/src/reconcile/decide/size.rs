//! How many gateways there should be: as written, or as the connections demand.
//!
//! A pure function of the last decision and of numbers of connections. It never asks for fewer while a gateway is silent, or
//! while anything in the last `scaleDownAfter` needed more; it moves in bounded steps, and never leaves min..max.

use parlor_crds::{
    ChatRoomSpec,
    chatroom::{ScalingGrounds, Size},
};

/// Gateways that may be added at once, whatever the size; a larger fleet may double.
const SMALLEST_RISE: u32 = 4;
/// One gateway fewer must hold the peak with a tenth to spare. Without this band, noise around a multiple of the target would
/// start a gateway and drain one several times per hour.
const SCALE_DOWN_PERCENT: u64 = 90;

/// Open connections, as far as gateways reported them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Every serving gateway reported.
    All(u64),
    /// Some did not: there are at least so many.
    AtLeast(u64),
}

/// What is known of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Open connections of all gateways.
    pub connections: Seen,
    /// Gateways that serve.
    pub serving: u32,
    /// Those of them that refuse connections because they are full, or are about to.
    pub full: u32,
    /// Most connections in the last `scaleDownAfter`; absent until it was watched that long.
    pub peak: Option<u64>,
    /// Gateways still drain after the last decision.
    pub draining: bool,
    /// Connections that a gateway should hold.
    pub target: u32,
}

impl Load {
    /// What the fleet is asked for. Those who are refused are not counted by anyone: while the whole fleet holds more than it
    /// should, each full gateway stands for twice its target.
    fn demand(&self) -> u64 {
        let (Seen::All(open) | Seen::AtLeast(open)) = self.connections;
        let target = u64::from(self.target);
        if self.full == 0 || open < u64::from(self.serving) * target {
            return open;
        }
        let others = u64::from(self.serving - self.full.min(self.serving));
        open.max(u64::from(self.full) * 2 * target + others * target)
    }
}

/// A number of gateways and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Gateways wanted.
    pub wanted: u32,
    /// Gateways wanted before.
    pub previous: u32,
    /// Why.
    pub grounds: ScalingGrounds,
    /// Connections that were counted on.
    pub connections: Seen,
    /// Connections that were planned for: more than are open when some are refused.
    pub demand: u64,
}

/// Decides the number of gateways. `previous` is the last decision, or the gateways that exist if there was none.
pub fn size(spec: &ChatRoomSpec, previous: u32, load: Load) -> Decision {
    let (connections, demand) = (load.connections, load.demand());
    let decided = |(wanted, grounds)| Decision { wanted, previous, grounds, connections, demand };
    if spec.suspend {
        return decided((0, ScalingGrounds::Suspended));
    }
    let scaling = match spec.size() {
        Size::Fixed(replicas) => return decided((replicas, ScalingGrounds::Fixed)),
        Size::Scaled(scaling) => scaling,
    };
    let bounds = Bounds { min: scaling.min, max: scaling.max, target: u64::from(load.target.max(1)) };
    decided(bounds.scale(previous.clamp(bounds.min, bounds.max), &load))
}

struct Bounds {
    min: u32,
    max: u32,
    target: u64,
}

impl Bounds {
    fn needed(&self, connections: u64) -> u32 {
        self.clamped(connections.div_ceil(self.target))
    }

    /// Gateways that hold the connections with a tenth to spare.
    fn needed_with_room(&self, connections: u64) -> u32 {
        self.clamped((connections * 100).div_ceil(self.target * SCALE_DOWN_PERCENT))
    }

    fn clamped(&self, gateways: u64) -> u32 {
        u32::try_from(gateways).unwrap_or(u32::MAX).clamp(self.min, self.max)
    }

    fn scale(&self, previous: u32, load: &Load) -> (u32, ScalingGrounds) {
        let needed = self.needed(load.demand());
        if needed > previous {
            let step = previous.max(SMALLEST_RISE);
            return (needed.min(previous.saturating_add(step)), ScalingGrounds::ScaleUp);
        }
        let Seen::All(connections) = load.connections else { return (previous, ScalingGrounds::Blind) };
        if self.needed_with_room(connections) >= previous {
            return (previous, ScalingGrounds::Steady);
        }
        let enough = load.peak.map_or(previous, |peak| self.needed_with_room(peak.max(connections)));
        if enough >= previous || load.draining {
            return (previous, ScalingGrounds::ScaleDownPending);
        }
        let step = (previous / 4).max(1);
        (enough.max(previous - step), ScalingGrounds::ScaleDown)
    }
}

/// The decision in words and numbers.
pub fn explain(spec: &ChatRoomSpec, decision: &Decision) -> String {
    let Decision { wanted, previous, grounds, connections, demand } = decision;
    let (open, seen) = match connections {
        Seen::All(open) => (open, format!("{open} connections")),
        Seen::AtLeast(open) => (open, format!("at least {open} connections")),
    };
    let refused = if demand > open { " and more refused" } else { "" };
    let facts = format!("{seen}{refused} at {} per gateway", spec.target_connections());
    match grounds {
        ScalingGrounds::Suspended => "spec.suspend is true".into(),
        ScalingGrounds::Fixed => format!("spec.replicas is {wanted}"),
        ScalingGrounds::Blind => format!("kept at {wanted}: a gateway does not report its connections"),
        ScalingGrounds::Steady | ScalingGrounds::ScaleDownPending => format!("{facts}: {wanted} gateways"),
        ScalingGrounds::ScaleUp => format!("{facts}: from {previous} to {wanted}"),
        ScalingGrounds::ScaleDown => format!("{facts}, and no more for scaleDownAfter: from {previous} to {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use parlor_crds::chatroom::Scaling;
    use proptest::prelude::*;

    use super::*;

    fn spec(min: u32, max: u32, target: u32) -> ChatRoomSpec {
        let scaling = Scaling { min, max, connections_per_gateway: Some(target), ..Scaling::default() };
        ChatRoomSpec { scaling: Some(scaling), ..ChatRoomSpec::default() }
    }

    fn load(spec: &ChatRoomSpec, connections: Seen, peak: Option<u64>) -> Load {
        Load { connections, serving: 1, full: 0, peak, draining: false, target: spec.target_connections() }
    }

    fn seen(spec: &ChatRoomSpec, connections: u64, peak: Option<u64>) -> Load {
        load(spec, Seen::All(connections), peak)
    }

    #[test]
    fn fixed_and_suspended_sizes_do_not_depend_on_the_load() {
        let fixed = ChatRoomSpec { replicas: Some(3), ..ChatRoomSpec::default() };
        assert_eq!(size(&fixed, 7, seen(&fixed, 0, None)).wanted, 3);
        let suspended = ChatRoomSpec { suspend: true, ..fixed };
        assert_eq!(size(&suspended, 3, seen(&suspended, 0, None)).wanted, 0);
    }

    #[test]
    fn one_connection_above_the_target_asks_for_one_more() {
        let spec = spec(2, 10, 100);
        assert_eq!(size(&spec, 2, seen(&spec, 200, None)).wanted, 2);
        let more = size(&spec, 2, seen(&spec, 201, None));
        assert_eq!((more.wanted, more.grounds), (3, ScalingGrounds::ScaleUp));
        assert_eq!(explain(&spec, &more), "201 connections at 100 per gateway: from 2 to 3");
    }

    #[test]
    fn fewer_are_asked_for_only_after_the_peak_has_passed_and_the_last_drain_is_over() {
        let spec = spec(2, 10, 100);
        let pending = |peak| size(&spec, 5, seen(&spec, 210, peak));
        assert_eq!(pending(None).grounds, ScalingGrounds::ScaleDownPending, "not watched for long enough");
        assert_eq!(pending(Some(480)).grounds, ScalingGrounds::ScaleDownPending, "five were needed lately");
        assert_eq!(pending(Some(250)).wanted, 4, "one at a time");
        let draining = Load { draining: true, ..seen(&spec, 210, Some(250)) };
        assert_eq!(size(&spec, 5, draining).grounds, ScalingGrounds::ScaleDownPending);
    }

    #[test]
    fn a_gateway_goes_only_when_the_others_have_a_tenth_to_spare() {
        let spec = spec(1, 10, 100);
        assert_eq!(size(&spec, 3, seen(&spec, 195, Some(195))).wanted, 3, "two would be at 97 %");
        assert_eq!(size(&spec, 3, seen(&spec, 180, Some(180))).wanted, 2);
    }

    #[test]
    fn silent_gateways_keep_nobody_from_scaling_up_and_let_nobody_scale_down() {
        let spec = spec(1, 10, 100);
        let up = size(&spec, 2, load(&spec, Seen::AtLeast(250), None));
        assert_eq!((up.wanted, up.grounds), (3, ScalingGrounds::ScaleUp));
        assert_eq!(explain(&spec, &up), "at least 250 connections at 100 per gateway: from 2 to 3");
        let blind = size(&spec, 5, load(&spec, Seen::AtLeast(10), Some(10)));
        assert_eq!((blind.wanted, blind.grounds), (5, ScalingGrounds::Blind));
    }

    #[test]
    fn a_fleet_that_refuses_connections_doubles_and_comes_to_rest_once_there_is_room() {
        let spec = spec(2, 100, 100);
        let full = Load { serving: 2, full: 2, ..seen(&spec, 300, None) };
        let up = size(&spec, 2, full);
        assert_eq!(up.wanted, 4);
        assert_eq!(explain(&spec, &up), "300 connections and more refused at 100 per gateway: from 2 to 4");
        let room = Load { serving: 4, full: 2, ..seen(&spec, 320, None) };
        assert_eq!(size(&spec, 4, room).wanted, 4, "the two old ones are still full");
    }

    prop_compose! {
        fn bounds()(min in 1u32..20, more in 0u32..50, target in 1u32..5000) -> ChatRoomSpec {
            spec(min, min + more, target)
        }
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        (any::<bool>(), 0u64..500_000).prop_map(|(all, n)| if all { Seen::All(n) } else { Seen::AtLeast(n) })
    }

    proptest! {
        #[test]
        fn the_size_never_leaves_min_and_max(
            spec in bounds(), previous in 0u32..200, seen in any_seen(), full in 0u32..5, peak in proptest::option::of(0u64..500_000)
        ) {
            let scaling = spec.scaling.clone().unwrap();
            let wanted = size(&spec, previous, Load { serving: 5, full, ..load(&spec, seen, peak) }).wanted;
            prop_assert!((scaling.min..=scaling.max).contains(&wanted));
        }

        #[test]
        fn constant_load_comes_to_rest_and_stays(spec in bounds(), start in 1u32..200, connections in 0u64..500_000) {
            let mut now = start;
            for _ in 0..64 {
                now = size(&spec, now, seen(&spec, connections, Some(connections))).wanted;
            }
            for _ in 0..8 {
                prop_assert_eq!(size(&spec, now, seen(&spec, connections, Some(connections))).wanted, now);
            }
        }

        #[test]
        fn more_load_never_gives_fewer_gateways(
            spec in bounds(), previous in 1u32..100, connections in 0u64..200_000, more in 0u64..200_000, peak in proptest::option::of(0u64..200_000)
        ) {
            let less = size(&spec, previous, seen(&spec, connections, peak)).wanted;
            prop_assert!(size(&spec, previous, seen(&spec, connections + more, peak)).wanted >= less);
        }

        #[test]
        fn a_step_is_bounded(spec in bounds(), previous in 1u32..100, seen in any_seen(), peak in proptest::option::of(0u64..500_000)) {
            let scaling = spec.scaling.clone().unwrap();
            let previous = previous.clamp(scaling.min, scaling.max);
            let wanted = size(&spec, previous, load(&spec, seen, peak)).wanted;
            prop_assert!(wanted <= previous + previous.max(4));
            prop_assert!(wanted + (previous / 4).max(1) >= previous);
        }

        #[test]
        fn nobody_goes_while_a_gateway_is_silent(spec in bounds(), previous in 1u32..100, least in 0u64..500_000, peak in proptest::option::of(0u64..500_000)) {
            let scaling = spec.scaling.clone().unwrap();
            let blind = size(&spec, previous, load(&spec, Seen::AtLeast(least), peak));
            prop_assert!(blind.wanted >= previous.clamp(scaling.min, scaling.max));
        }
    }
}
