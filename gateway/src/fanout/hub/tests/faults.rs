//! The bus loses, repeats, fails and comes back: nothing is lost silently, nothing is shown twice.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    fake::{Fake, Fate},
    world::{Gateway, at, room, text},
};
use crate::{
    bus::AppendError,
    fanout::{
        messages::ToReactor,
        session::{Answer, Ask, Gap, PostError},
    },
    rooms::{Epoch, Position},
};

const SECOND: Duration = Duration::from_secs(1);

/// Chunks and gaps in a form that reads well.
fn shown(messages: &[ToReactor]) -> Vec<String> {
    let show = |message: &ToReactor| match message {
        ToReactor::Chunk { chunk, .. } => Some(text(chunk)),
        ToReactor::Gap { epoch, from, to, .. } => Some(format!("gap {}: {from}..{to:?}", epoch.0)),
        _ => None,
    };
    messages.iter().filter_map(show).collect()
}

async fn lobby(bus: &std::sync::Arc<Fake>) -> Gateway {
    let mut gateway = Gateway::start(bus.clone());
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    gateway
}

async fn say(gateway: &mut Gateway, key: &str) {
    gateway.post(at(1, 9), "lobby", key);
    gateway.posted(1).await.unwrap();
    sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_without_an_answer_is_sent_again_and_shown_once() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    bus.next_groups(&[Fate::Refused, Fate::Unanswered, Fate::Unanswered]);
    gateway.post(at(1, 9), "lobby", "a");
    assert_eq!(gateway.posted(1).await.unwrap().seq, 1);
    assert_eq!(shown(&gateway.during(0, SECOND).await), ["1:a"]);
}

#[tokio::test(start_paused = true)]
async fn posts_fail_once_the_bus_was_unavailable_for_too_long_and_then_flow_again() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    bus.next_groups(&[Fate::Refused; 100]);
    let start = tokio::time::Instant::now();
    gateway.post(at(1, 9), "lobby", "a");
    assert!(matches!(gateway.posted(1).await, Err(PostError::Append(AppendError::Unavailable(_)))));
    assert!((8..=10).contains(&start.elapsed().as_secs()));
    while bus.pending_fates() > 0 {
        gateway.post(at(1, 9), "lobby", "b");
        gateway.during(1, SECOND * 10).await;
    }
    gateway.post(at(1, 9), "lobby", "c");
    assert!(gateway.posted(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_post_that_fails_says_what_the_bus_said_last_though_it_was_silent_in_the_end() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    bus.next_groups(&[Fate::Refused, Fate::Silent]);
    gateway.post(at(1, 9), "lobby", "a");
    let failed = |message| match message {
        ToReactor::Posted { result: Err(error), .. } => Some(error.to_string()),
        _ => None,
    };
    let told: Vec<_> = gateway.during(1, SECOND * 11).await.into_iter().filter_map(failed).collect();
    assert!(told.len() == 1 && told[0].contains("as the test wants"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn posts_beyond_the_queue_are_refused_at_once() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    bus.next_groups(&[Fate::Refused; 100]);
    let mut full = 0;
    for n in 0..6000 {
        gateway.post(at(1, 9), "lobby", &n.to_string());
        if n % 1000 == 999 {
            let answers = gateway.during(1, Duration::from_millis(10)).await;
            let refused =
                |message: &&ToReactor| matches!(message, ToReactor::Posted { result: Err(PostError::Full { .. }), .. });
            full += answers.iter().filter(refused).count();
        }
    }
    assert!((1000..=1904).contains(&full), "{full}");
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_from_the_history() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    say(&mut gateway, "a").await;
    bus.skip(2);
    for key in ["b", "c", "d", "e"] {
        say(&mut gateway, key).await;
    }
    assert_eq!(shown(&gateway.during(0, SECOND).await).join(" "), "1:a 2:b 3:c 4:d 5:e");
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_history_is_reported_as_a_gap() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    say(&mut gateway, "a").await;
    bus.skip(2);
    bus.trim(4);
    for key in ["b", "c", "d", "e"] {
        say(&mut gateway, key).await;
    }
    assert_eq!(shown(&gateway.during(0, SECOND).await), ["1:a", "gap 1: 2..Some(3)", "4:d", "5:e"]);
}

#[tokio::test(start_paused = true)]
async fn readers_receive_a_gap_for_what_a_failover_lost_and_continue_on_the_new_branch() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    for key in ["a", "b", "c"] {
        say(&mut gateway, key).await;
    }
    bus.fail_over(&room("lobby"), 2);
    say(&mut gateway, "d").await;
    assert_eq!(shown(&gateway.during(0, SECOND).await), ["1:a", "2:b", "3:c", "gap 2: 2..None", "2:d"]);
    gateway.join(at(0, 2), "lobby").after(Position { epoch: Epoch(1), seq: 2 }).send();
    assert_eq!(gateway.joined(0).await.0.gap, Some(Gap { from: 3, to: None }));
    gateway.join(at(0, 3), "lobby").after(Position { epoch: Epoch(1), seq: 1 }).send();
    let (joined, backlog) = gateway.joined(0).await;
    assert_eq!((joined.recovered, joined.head.epoch, backlog.as_str()), (true, Epoch(2), "2:d"));
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_lost_nothing_only_tells_the_epoch() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    say(&mut gateway, "a").await;
    bus.fail_over(&room("lobby"), 0);
    say(&mut gateway, "b").await;
    say(&mut gateway, "c").await;
    assert_eq!(shown(&gateway.during(0, SECOND).await), ["1:a", "epoch! 2:b", "3:c"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_an_epoch_that_this_gateway_has_not_seen_resumes() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    say(&mut gateway, "a").await;
    bus.fail_over(&room("lobby"), 0);
    sleep(SECOND).await;
    gateway.join(at(0, 2), "lobby").after(Position { epoch: Epoch(2), seq: 1 }).send();
    let (joined, backlog) = gateway.joined(0).await;
    assert_eq!((joined.recovered, joined.head.epoch, backlog.as_str()), (true, Epoch(2), ""));
}

#[tokio::test(start_paused = true)]
async fn all_that_wait_for_a_room_share_its_reads() {
    let bus = Fake::new();
    let mut gateway = Gateway::start(bus.clone());
    for slot in 0..500 {
        gateway.join(at(0, slot), "lobby").send();
        gateway.ask(at(1, slot), Ask::History { room: room("garden"), before: None, limit: 50 });
        gateway.ask(at(1, slot), Ask::Members { room: room("garden") });
    }
    for _ in 0..500 {
        gateway.joined(0).await;
        gateway.answer(1).await;
        gateway.answer(1).await;
    }
    assert_eq!(bus.reads(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn joins_are_unavailable_while_the_bus_is_unavailable_and_work_once_it_is_back() {
    let bus = Fake::new();
    bus.set_unavailable(true);
    let mut gateway = Gateway::start(bus.clone());
    gateway.join(at(0, 1), "lobby").send();
    assert!(matches!(gateway.answer(0).await, Answer::Unavailable { .. }));
    gateway.join(at(0, 1), "lobby").send();
    sleep(SECOND).await;
    bus.set_unavailable(false);
    gateway.joined(0).await;
    bus.set_unavailable(true);
    say(&mut gateway, "a").await;
    say(&mut gateway, "b").await;
    sleep(SECOND * 5).await;
    bus.set_unavailable(false);
    assert_eq!(shown(&gateway.during(0, SECOND * 3).await), ["1:a 2:b"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_other_gateways_count_until_their_lease_ends() {
    let bus = Fake::new();
    let other = bus.another();
    let (mut one, mut two) = (Gateway::start(bus.clone()), Gateway::start(other.clone()));
    one.join(at(0, 1), "lobby").watching().send();
    one.joined(0).await;
    two.join(at(0, 1), "lobby").announced().send();
    assert_eq!(two.joined(0).await.0.members, 2);
    let told = |messages: Vec<ToReactor>| {
        let presence = |message| match message {
            ToReactor::Presence { presence, .. } => Some((presence.members, presence.joined.len())),
            _ => None,
        };
        messages.into_iter().filter_map(presence).collect::<Vec<_>>()
    };
    assert_eq!(told(one.during(0, SECOND).await).last(), Some(&(2, 1)));
    other.forget_counts();
    assert_eq!(told(one.during(0, SECOND * 3).await), [(1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_join_never_waits_for_the_number_of_members_and_presence_corrects_it() {
    let bus = Fake::new();
    let (mut one, mut two) = (Gateway::start(bus.clone()), Gateway::start(bus.another()));
    one.join(at(0, 1), "lobby").send();
    one.joined(0).await;
    sleep(SECOND).await;
    bus.silence_sums(true);
    let start = tokio::time::Instant::now();
    two.join(at(0, 2), "lobby").watching().send();
    assert_eq!(two.joined(0).await.0.members, 1, "as far as is known");
    assert!(start.elapsed() < Duration::from_millis(50));
    bus.silence_sums(false);
    let presence = |message| match message {
        ToReactor::Presence { presence, .. } => Some(presence.members),
        _ => None,
    };
    let told: Vec<_> = two.during(0, SECOND * 2).await.into_iter().filter_map(presence).collect();
    assert_eq!(told.last(), Some(&2), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn rooms_without_members_elsewhere_cost_an_idle_gateway_two_reads_per_minute() {
    let bus = Fake::new();
    let mut gateway = Gateway::start(bus.clone());
    for slot in 0..5 {
        gateway.join(at(0, slot), &format!("room {slot}")).watching().send();
        gateway.joined(0).await;
    }
    gateway.during(0, SECOND * 5).await;
    let (_, before) = bus.reads();
    gateway.during(0, SECOND * 60).await;
    assert!(bus.reads().1 - before <= 10, "{}", bus.reads().1 - before);
}

#[tokio::test(start_paused = true)]
async fn people_on_all_gateways_are_named_once() {
    let bus = Fake::new();
    let (mut one, mut two) = (Gateway::start(bus.clone()), Gateway::start(bus.another()));
    one.join(at(0, 1), "lobby").send();
    one.joined(0).await;
    for slot in 1..=3 {
        two.join(at(0, slot), "lobby").send();
        two.joined(0).await;
    }
    sleep(SECOND).await;
    for (limit, named, more) in [(100, ["p1", "p2", "p3"].as_slice(), false), (2, &["p1", "p2"], true)] {
        let start = tokio::time::Instant::now();
        one.ask(at(0, 1), Ask::People { room: room("lobby"), limit });
        let Answer::People { count, people, more: told } = one.answer(0).await else { panic!("no people") };
        let names: Vec<_> = people.iter().map(|who| who.name.as_ref()).collect();
        assert_eq!((count, names.as_slice(), told), (4, named, more));
        assert!(start.elapsed() < Duration::from_millis(100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_nobody_uses_leaves_memory_after_its_grace() {
    let bus = Fake::new();
    let mut gateway = lobby(&bus).await;
    gateway.leave(at(0, 1), "lobby", false);
    sleep(SECOND * 20).await;
    let (reads, _) = bus.reads();
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    assert_eq!(bus.reads().0, reads, "the room was still warm");
    gateway.leave(at(0, 1), "lobby", false);
    sleep(SECOND * 40).await;
    gateway.join(at(0, 1), "lobby").send();
    gateway.joined(0).await;
    assert_eq!(bus.reads().0, reads + 1);
}
