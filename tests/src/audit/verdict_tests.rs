//! The judge is fed one broken trace of each kind, and must catch each.

use std::collections::HashMap;

use super::{
    trace::{Event, MemberTrace, Promise, RoomTrace, Trace},
    verdict::{Kind, Verdict, judge},
};

fn shown(seq: u64) -> Event {
    Event::Shown { seq: Some(seq), key: (1, seq as u32) }
}

fn unnumbered(n: u32) -> Event {
    Event::Shown { seq: None, key: (1, n) }
}

const JOINED: Event = Event::Connected { after: Some(0) };

/// Sender 1 posted 1 to 5, which got these seqs; one member saw `events`, another one everything.
fn judged(promise: Promise, events: &[Event]) -> Verdict {
    let whole = [vec![JOINED], (1..=5).map(shown).collect()].concat();
    let member = |member: &str, promise, events: &[Event]| MemberTrace {
        member: member.into(),
        promise,
        events: events.to_vec(),
    };
    judge(&Trace {
        rooms: vec![RoomTrace {
            room: "r".into(),
            acknowledged: (1..=5).map(|n| ((1, n), u64::from(n))).collect(),
            deletions: [((1, 2), Some(8)), ((1, 4), None)].into(),
            tried: [(1, 5)].into(),
            members: vec![member("whole", Promise::Whole, &whole), member("m", promise, events)],
        }],
    })
}

fn kinds(verdict: &Verdict) -> Vec<(Kind, u32)> {
    assert!(verdict.faults.iter().all(|fault| fault.member == "m"), "{:?}", verdict.faults);
    let mut kinds: Vec<_> = verdict.faults.iter().map(|fault| (fault.kind, fault.key.1)).collect();
    kinds.sort();
    kinds
}

fn whole(events: &[Event]) -> Vec<(Kind, u32)> {
    kinds(&judged(Promise::Whole, &[&[JOINED], events].concat()))
}

#[test]
fn a_perfect_run_is_clean() {
    let verdict = judged(Promise::Whole, &[JOINED, shown(1), shown(2), shown(3), shown(4), shown(5)]);
    assert!(verdict.is_clean());
    assert_eq!((verdict.shown, verdict.acknowledged, verdict.unconfirmed, verdict.connections), (10, 5, 0, 2));
}

#[test]
fn a_dropped_message_is_lost_in_the_middle_at_the_end_and_at_the_start() {
    assert_eq!(whole(&[shown(1), shown(2), shown(4), shown(5)]), [(Kind::Lost, 3)]);
    assert_eq!(whole(&[shown(1), shown(2), shown(3), shown(4)]), [(Kind::Lost, 5)]);
    assert_eq!(whole(&[shown(2), shown(3), shown(4), shown(5)]), [(Kind::Lost, 1)]);
    assert_eq!(whole(&[]).len(), 5);
}

#[test]
fn what_came_before_the_first_join_is_not_owed() {
    let events = [Event::Connected { after: Some(3) }, shown(4), shown(5)];
    assert!(judged(Promise::Whole, &events).is_clean());
}

#[test]
fn a_resume_one_entry_late_loses_that_entry() {
    let again = Event::Connected { after: Some(3) };
    assert_eq!(whole(&[shown(1), shown(2), again, shown(4), shown(5)]), [(Kind::Lost, 3)]);
}

#[test]
fn a_resume_one_entry_early_doubles_that_entry() {
    let again = Event::Connected { after: Some(1) };
    assert_eq!(whole(&[shown(1), shown(2), again, shown(2), shown(3), shown(4), shown(5)]), [(Kind::Doubled, 2)]);
}

#[test]
fn swapped_messages_are_out_of_order() {
    assert_eq!(whole(&[shown(1), shown(3), shown(2), shown(4), shown(5)]), [(Kind::OutOfOrder, 2)]);
}

#[test]
fn swapped_seqs_are_misplaced_even_when_they_ascend() {
    let wrong = |seq, n| Event::Shown { seq: Some(seq), key: (1, n) };
    let found = whole(&[shown(1), wrong(2, 3), wrong(3, 2), shown(4), shown(5)]);
    for kind in [Kind::Misplaced, Kind::Clash, Kind::OutOfOrder] {
        assert!(found.iter().any(|(k, _)| *k == kind), "{kind:?} in {found:?}");
    }
}

#[test]
fn a_message_stored_twice_is_doubled_though_its_seqs_differ() {
    let again = Event::Shown { seq: Some(6), key: (1, 2) };
    let found = whole(&[shown(1), shown(2), shown(3), shown(4), shown(5), again]);
    assert!(found.contains(&(Kind::Doubled, 2)), "{found:?}");
}

#[test]
fn a_message_that_no_one_sent_is_invented() {
    let foreign = Event::Shown { seq: Some(6), key: (1, 6) };
    assert_eq!(whole(&[shown(1), shown(2), shown(3), shown(4), shown(5), foreign]), [(Kind::Invented, 6)]);
}

#[test]
fn an_announced_gap_excuses_what_it_names_and_nothing_more() {
    let gap = Event::Gap { from: 2, to: Some(3) };
    let verdict = judged(Promise::Whole, &[JOINED, shown(1), gap, shown(4), shown(5)]);
    assert_eq!((kinds(&verdict), verdict.gaps, verdict.excused, verdict.is_clean()), (vec![], 1, 2, false));
    assert_eq!(whole(&[shown(1), gap, shown(5)]), [(Kind::Lost, 4)]);
}

#[test]
fn a_gap_of_unknown_extent_ends_at_what_comes_next() {
    let gap = Event::Gap { from: 2, to: None };
    assert_eq!(whole(&[shown(1), gap, shown(4)]), [(Kind::Lost, 5)]);
    assert_eq!(whole(&[shown(1), gap]), []);
}

#[test]
fn seqs_may_step_back_only_with_a_new_epoch() {
    let older = Event::Shown { seq: Some(2), key: (2, 1) };
    let room = |events: Vec<Event>| {
        judge(&Trace {
            rooms: vec![RoomTrace {
                room: "r".into(),
                acknowledged: (1..=3).map(|n| ((1, n), u64::from(n))).collect(),
                deletions: HashMap::new(),
                tried: [(1, 3), (2, 1)].into(),
                members: vec![MemberTrace { member: "m".into(), promise: Promise::Whole, events }],
            }],
        })
    };
    let kept = room(vec![JOINED, shown(1), shown(2), shown(3), Event::NewEpoch, older]);
    assert_eq!(kept.faults, []);
    let broken = room(vec![JOINED, shown(1), shown(2), shown(3), older]);
    assert!(broken.count(Kind::OutOfOrder) == 1 && broken.count(Kind::Clash) == 1, "{:?}", broken.faults);
}

#[test]
fn after_a_lost_log_its_seqs_are_others_and_nothing_new_is_excused() {
    let again = |seq, n| Event::Shown { seq: Some(seq), key: (2, n) };
    let gap = [JOINED, shown(1), shown(2), Event::Gap { from: 3, to: None }, Event::NewEpoch];
    let judged = |second: &[Event]| {
        let member = |member: &str, events: &[Event]| MemberTrace {
            member: member.into(),
            promise: Promise::Whole,
            events: [&gap[..], events].concat(),
        };
        judge(&Trace {
            rooms: vec![RoomTrace {
                room: "r".into(),
                acknowledged: [((1, 1), 1), ((1, 2), 2), ((1, 3), 3), ((2, 1), 1), ((2, 2), 4)].into(),
                deletions: HashMap::new(),
                tried: [(1, 3), (2, 2)].into(),
                members: vec![member("whole", &[again(1, 1), again(4, 2)]), member("m", second)],
            }],
        })
    };
    let kept = judged(&[again(1, 1), again(4, 2)]);
    assert_eq!((kept.faults.as_slice(), kept.excused), (&[][..], 2));
    assert_eq!(kinds(&judged(&[again(1, 1)])), [(Kind::Lost, 2)]);
}

#[test]
fn without_seqs_the_order_is_that_of_the_room() {
    let seen = |ns: &[u32]| {
        let events = std::iter::once(Event::Connected { after: None }).chain(ns.iter().map(|n| unnumbered(*n)));
        kinds(&judged(Promise::WhileConnected, &events.collect::<Vec<_>>()))
    };
    assert_eq!(seen(&[2, 3, 4]), [], "what came before and after a connection does not count");
    assert_eq!(seen(&[1, 2, 4]), [(Kind::Lost, 3)]);
    assert_eq!(seen(&[1, 3, 5]), [], "protocols without seqs say nothing of a message that was deleted");
    assert_eq!(seen(&[2, 1, 3]), [(Kind::OutOfOrder, 1)]);
    assert_eq!(seen(&[1, 2, 2, 3]), [(Kind::Doubled, 2)]);
}

#[test]
fn without_a_position_messages_between_two_connections_are_not_delivered() {
    let again = Event::Connected { after: None };
    let verdict = judged(Promise::WhileConnected, &[again, unnumbered(1), again, unnumbered(4), unnumbered(5)]);
    assert_eq!(kinds(&verdict), []);
}

#[test]
fn what_was_never_acknowledged_may_be_shown_or_not() {
    let trace = |events: Vec<Event>| Trace {
        rooms: vec![RoomTrace {
            room: "r".into(),
            acknowledged: [((1, 1), 1)].into(),
            deletions: HashMap::new(),
            tried: [(1, 2)].into(),
            members: vec![MemberTrace { member: "m".into(), promise: Promise::Whole, events }],
        }],
    };
    for events in [vec![JOINED, shown(1)], vec![JOINED, shown(1), shown(2)]] {
        let verdict = judge(&trace(events));
        assert_eq!((verdict.faults.len(), verdict.unconfirmed), (0, 1));
    }
}

#[test]
fn a_deleted_message_may_be_missing_but_is_not_shown_to_who_joined_later() {
    let joined = |head| Event::Head { seq: head };
    let (rest, gone) = ([shown(3), shown(4), shown(5)], Event::Gone { seq: 2 });
    assert_eq!(whole(&[&[joined(7), shown(1), shown(2)], &rest[..]].concat()), []);
    assert_eq!(whole(&[&[joined(8), shown(1), shown(2)], &rest[..]].concat()), [(Kind::Revealed, 2)]);
    assert_eq!(whole(&[&[joined(8), shown(1), gone], &rest[..]].concat()), []);
    assert_eq!(whole(&[&[joined(8), shown(1)], &rest[..]].concat()), [(Kind::Lost, 2)], "nobody said that it is gone");
}
