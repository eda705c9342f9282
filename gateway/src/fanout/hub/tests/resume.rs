//! Who comes back gets what was missed, once, whatever the gateway has in memory.

use std::time::Duration;

use super::{
    super::HubSettings,
    world::{Gateway, at, memory},
};
use crate::{
    fanout::session::{Answer, Ask, Gap},
    rooms::{Epoch, Position, log::Window},
};

async fn write(gateway: &mut Gateway, count: u32) -> Position {
    let mut last = None;
    for n in 1..=count {
        gateway.post(at(0, 0), "lobby", &format!("m{n}"));
        last = Some(gateway.posted(0).await.unwrap());
    }
    last.map(|posted| Position { epoch: posted.epoch, seq: posted.seq }).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_position_resumes_with_exactly_what_was_missed_on_a_cold_gateway() {
    let bus = memory();
    let (mut one, mut two) = (Gateway::start(bus.clone()), Gateway::start(bus));
    let head = write(&mut one, 5).await;
    two.join(at(1, 1), "lobby").after(Position { seq: 3, ..head }).send();
    let (joined, backlog) = two.joined(1).await;
    assert_eq!((joined.recovered, joined.gap, joined.head, backlog.as_str()), (true, None, head, "4:m4 5:m5"));
}

#[tokio::test(start_paused = true)]
async fn a_position_further_back_than_a_page_is_reached_by_reading_on() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 350).await;
    gateway.join(at(1, 1), "lobby").send();
    gateway.joined(1).await;
    gateway.join(at(1, 2), "lobby").after(Position { seq: 10, ..head }).send();
    let (joined, backlog) = gateway.joined(1).await;
    assert!(joined.recovered);
    assert!(backlog.split_whitespace().zip(11..).all(|(entry, seq)| entry == format!("{seq}:m{seq}")));
    assert_eq!(backlog.split_whitespace().count(), 340);
}

#[tokio::test(start_paused = true)]
async fn entries_that_do_not_fit_into_memory_are_an_explicit_gap() {
    let window = Window { entries: 3, bytes: 1 << 20 };
    let mut gateway = Gateway::with(memory(), HubSettings { window, ..HubSettings::default() });
    let head = write(&mut gateway, 10).await;
    gateway.join(at(1, 1), "lobby").after(Position { seq: 2, ..head }).send();
    let (joined, backlog) = gateway.joined(1).await;
    assert_eq!((joined.recovered, joined.gap), (false, Some(Gap { from: 3, to: Some(7) })));
    assert_eq!(backlog, "8:m8 9:m9 10:m10");
}

#[tokio::test(start_paused = true)]
async fn a_position_of_an_older_epoch_is_on_no_known_branch() {
    let mut gateway = Gateway::start(memory());
    write(&mut gateway, 3).await;
    gateway.join(at(1, 1), "lobby").after(Position { epoch: Epoch(1), seq: 2 }).send();
    let (joined, backlog) = gateway.joined(1).await;
    assert_eq!((joined.recovered, joined.gap, backlog.as_str()), (false, Some(Gap { from: 3, to: None }), ""));
}

#[tokio::test(start_paused = true)]
async fn a_position_ahead_of_the_room_is_told_after_two_seconds_that_it_is_on_no_known_branch() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 3).await;
    let younger = Epoch(head.epoch.0 + 1);
    for (slot, position) in [(1, Position { seq: 9, ..head }), (2, Position { epoch: younger, seq: 2 })] {
        let start = tokio::time::Instant::now();
        gateway.join(at(1, slot), "lobby").after(position).send();
        let (joined, backlog) = gateway.joined(1).await;
        let gap = Some(Gap { from: position.seq + 1, to: None });
        assert_eq!((joined.recovered, joined.gap, joined.head, backlog.as_str()), (false, gap, head, ""));
        assert!((2000..2500).contains(&start.elapsed().as_millis()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_ahead_resumes_once_the_room_has_come_that_far() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 3).await;
    gateway.join(at(1, 1), "lobby").after(Position { seq: 4, ..head }).send();
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.post(at(0, 0), "lobby", "late");
    let (joined, backlog) = gateway.joined(1).await;
    assert_eq!((joined.recovered, joined.head.seq, backlog.as_str()), (true, 4, ""));
}

#[tokio::test(start_paused = true)]
async fn nineteen_thousand_clients_with_one_position_cost_one_encoding() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 50).await;
    for slot in 0..19_000 {
        let join = || gateway.join(at(1, slot), "lobby").after(Position { seq: 20, ..head });
        join().send();
        if slot % 1024 == 0 {
            tokio::task::yield_now().await;
            gateway.during(1, Duration::ZERO).await;
        }
    }
    while gateway.hub.totals().joins < 19_000 {
        gateway.during(1, Duration::from_millis(10)).await;
    }
    let totals = gateway.hub.totals();
    assert_eq!((totals.encoded, totals.resumed, totals.reads), (1, 19_000, 1));
}

#[tokio::test(start_paused = true)]
async fn joining_again_answers_again_and_writes_nothing_twice() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 2).await;
    gateway.join(at(1, 1), "lobby").after(Position { seq: 0, ..head }).send();
    assert_eq!(gateway.joined(1).await.1, "1:m1 2:m2");
    gateway.join(at(1, 1), "lobby").after(Position { seq: 0, ..head }).send();
    let (joined, backlog) = gateway.joined(1).await;
    assert_eq!((joined.members, joined.recovered, backlog.as_str()), (1, true, ""));
}

#[tokio::test(start_paused = true)]
async fn joining_again_is_recovered_by_the_same_rule_as_joining() {
    let mut gateway = Gateway::start(memory());
    let head = write(&mut gateway, 5).await;
    gateway.join(at(1, 1), "lobby").send();
    gateway.joined(1).await;
    let mut again = async |position: Position| {
        gateway.join(at(1, 1), "lobby").after(position).send();
        let (joined, backlog) = gateway.joined(1).await;
        (joined.recovered, joined.gap, backlog)
    };
    let unknown = |from| Some(Gap { from, to: None });
    assert_eq!(again(Position { epoch: Epoch(1), seq: 4 }).await, (false, unknown(5), String::new()));
    assert_eq!(again(Position { seq: 999, ..head }).await, (false, unknown(1000), String::new()));
    assert_eq!(again(Position { seq: 2, ..head }).await, (true, None, "3:m3 4:m4 5:m5".into()));
    assert_eq!(again(Position { seq: 3, ..head }).await, (true, None, String::new()), "it was shown that");
}

#[tokio::test(start_paused = true)]
async fn pages_come_from_memory_while_it_holds_them() {
    let mut gateway = Gateway::start(memory());
    write(&mut gateway, 30).await;
    gateway.join(at(1, 1), "lobby").send();
    gateway.joined(1).await;
    let reads = gateway.hub.totals().reads;
    for (before, limit, first, older) in [(None, 10, 21, true), (Some(11), 10, 1, false), (Some(1), 10, 0, false)] {
        gateway.ask(at(1, 1), Ask::History { room: super::world::room("lobby"), before, limit });
        let Answer::History { entries, more, .. } = gateway.answer(1).await else { panic!("no page") };
        assert_eq!((entries.first().map_or(0, |entry| entry.seq), more), (first, older));
    }
    assert_eq!(gateway.hub.totals().reads, reads);
}
