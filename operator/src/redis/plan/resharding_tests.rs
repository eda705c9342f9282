use parlor_redis::{Slot, SlotMove, SlotSet};
use proptest::prelude::*;

use super::{
    sketch::{Sketch, id, node, told},
    *,
};

const LARGER: Shape = Shape { shards: 4, replicas: 1 };

/// The formed cluster of six with two servers that have no place.
fn grown() -> Sketch {
    let mut sketch = Sketch::formed();
    let Sketch { members: new, .. } = Sketch::acquainted(8);
    sketch.members.extend(new.into_iter().skip(6));
    for at in 0..8 {
        let known: Vec<_> = sketch.view(at).topology.nodes.iter().map(|node| node.id.clone()).collect();
        let missing = (6..8).filter(|other| !known.contains(&id(*other))).collect::<Vec<_>>();
        sketch.view(at).topology.nodes.extend(missing.into_iter().map(|other| node(other, other == at)));
    }
    let lines: Vec<_> = (0..6).map(|at| sketch.view(at).myself().clone()).collect();
    for (at, line) in lines.iter().enumerate() {
        sketch.everywhere(at, |node| (node.slots, node.replica_of) = (line.slots.clone(), line.replica_of.clone()));
    }
    sketch
}

fn next(sketch: &mut Sketch, shape: Shape) -> Step {
    sketch.journal.note(sketch.now, &sketch.members);
    next_step(shape, &sketch.members, &sketch.journal)
}

/// Carries a hand-over of slots out.
fn hand_on(sketch: &mut Sketch, step: &Step) -> usize {
    let Step::Run { orders, .. } = step else { panic!("no order: {step:?}") };
    let [Order { command: Command::Hand(hand), .. }] = orders.as_slice() else { panic!("no move: {step:?}") };
    let at = |node: &parlor_redis::NodeId| (0..8).find(|at| id(*at) == *node).unwrap();
    sketch.everywhere(at(&hand.from), |node| node.slots.remove(&hand.slots));
    sketch.everywhere(at(&hand.to), |node| node.slots.add(&hand.slots));
    usize::from(hand.slots.len())
}

#[test]
fn a_new_primary_gets_one_slot_then_its_replica_and_then_its_share() {
    let mut sketch = grown();
    let first = next(&mut sketch, LARGER);
    assert_eq!(hand_on(&mut sketch, &first), 1);
    let Step::Run { orders, .. } = &first else { unreachable!() };
    let Command::Hand(hand) = &orders[0].command else { unreachable!() };
    assert!(!hand.copied && [id(6), id(7)].contains(&hand.to), "{hand:?}");
    let new = if hand.to == id(6) { 6 } else { 7 };
    let other = 13 - new;
    assert_eq!(super::sketch::commands(next(&mut sketch, LARGER)), [told(other, &format!("REPLICATE {}", id(new)))]);
    sketch.everywhere(other, |node| node.replica_of = Some(id(new)));
    let mut moved = 1;
    loop {
        let step = next(&mut sketch, LARGER);
        if step == Step::Settled {
            break;
        }
        moved += hand_on(&mut sketch, &step);
        assert!(moved <= 4096, "more than the share");
    }
    assert_eq!((moved, sketch.view(new).myself().slots.len()), (4096, 4096));
}

#[test]
fn a_shard_that_is_one_too_many_gives_all_its_slots_away() {
    let mut sketch = grown();
    let quarter = SlotSet::full().split(4);
    for (part, at) in [0, 2, 4, 6].into_iter().enumerate() {
        sketch.everywhere(at, |node| node.slots = quarter[part].clone());
    }
    sketch.everywhere(7, |node| node.replica_of = Some(id(6)));
    (sketch.members[6].surplus, sketch.members[7].surplus) = (true, true);
    assert!(!can_do_without_surplus(super::sketch::SHAPE, &sketch.members));
    let mut moved = 0;
    while !sketch.view(6).myself().slots.is_empty() {
        let step = next(&mut sketch, super::sketch::SHAPE);
        moved += hand_on(&mut sketch, &step);
    }
    assert_eq!(moved, 4096);
    assert!(can_do_without_surplus(super::sketch::SHAPE, &sketch.members));
}

#[test]
fn a_move_that_was_begun_is_finished_before_another_begins() {
    let mut sketch = grown();
    let slot = Slot::LAST;
    sketch.everywhere(4, |node| {
        if node.flags.myself {
            node.moves = vec![SlotMove::Migrating(slot, id(2))];
        }
    });
    let step = next(&mut sketch, LARGER);
    let Step::Run { orders, why } = &step else { panic!("{step:?}") };
    assert_eq!(why, "finish moving 1 slots");
    assert!(matches!(&orders[0].command, Command::Hand(hand) if hand.to == id(2) && hand.slots.contains(slot)));
    assert_eq!(orders[0].pod, "redis-4");
}

#[test]
fn a_target_that_fell_is_replaced_by_who_took_over_from_it() {
    let mut sketch = Sketch::formed();
    let slot = Slot::LAST;
    sketch.view(4).topology.nodes.iter_mut().filter(|node| node.flags.myself).for_each(|node| {
        node.moves = vec![SlotMove::Migrating(slot, id(2))];
    });
    // 5 copies 2, which the journal notes; then 2 falls and 5 takes over.
    sketch.step();
    let slots = sketch.view(2).myself().slots.clone();
    let mut sketch = sketch.silent(2, true);
    assert!(matches!(sketch.step(), Step::Wait(_)), "the election is awaited");
    sketch.everywhere(5, |node| (node.slots, node.replica_of) = (slots.clone(), None));
    sketch.everywhere(2, |node| node.slots = SlotSet::empty());
    let step = sketch.step();
    let Step::Run { orders, .. } = &step else { panic!("{step:?}") };
    assert!(matches!(&orders[0].command, Command::Hand(hand) if hand.to == id(5)), "{orders:?}");
}

#[test]
fn what_is_left_of_a_move_that_is_over_is_cleared() {
    let mut sketch = Sketch::formed();
    let first = Slot::FIRST;
    sketch.view(0).topology.nodes.iter_mut().filter(|node| node.flags.myself).for_each(|node| {
        node.moves = vec![SlotMove::Importing(first, id(2))];
    });
    let step = sketch.step();
    let Step::Run { orders, .. } = &step else { panic!("{step:?}") };
    assert_eq!(orders[0].command, Command::EndMoves([first].into_iter().collect()));
}

proptest! {
    // A case takes some fifty steps.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// From any distribution, every step brings the shares nearer to even, and they become even.
    #[test]
    fn slots_become_even_from_anywhere(cuts in proptest::collection::vec(0u16..Slot::COUNT, 2)) {
        let mut sketch = Sketch::formed();
        let (low, high) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
        let part = |at: usize| {
            let all = SlotSet::full();
            let fits = |slot: &Slot| match at {
                0 => slot.number() <= low,
                2 => slot.number() > low && slot.number() <= high,
                _ => slot.number() > high,
            };
            all.iter().filter(fits).collect::<SlotSet>()
        };
        for at in [0, 2, 4] {
            sketch.everywhere(at, |node| node.slots = part(at));
        }
        prop_assume!([0, 2, 4].iter().all(|at| !part(*at).is_empty()));
        for _ in 0..200 {
            let step = next(&mut sketch, super::sketch::SHAPE);
            if step == Step::Settled {
                let mut shares = [0, 2, 4].map(|at| sketch.view(at).myself().slots.len());
                shares.sort_unstable();
                prop_assert_eq!(shares, [5461, 5461, 5462]);
                return Ok(());
            }
            hand_on(&mut sketch, &step);
        }
        prop_assert!(false, "more steps than slots could need");
    }
}
