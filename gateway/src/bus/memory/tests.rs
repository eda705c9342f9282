use std::sync::Arc;

use serde_json::value::RawValue;

use super::{super::*, *};
use crate::rooms::{Author, Content, Origin, Post, ProtocolId};

const HISTORY: History = History { messages: 10, age: Duration::from_secs(3600) };

fn post(room: &RoomName, key: &str, text: &str) -> Post {
    Post {
        room: room.clone(),
        from: Author { id: "u1".into(), name: "ada".into(), extra: None },
        protocol: ProtocolId::Native,
        key: key.into(),
        content: Content { body: RawValue::from_string(format!("{{\"text\":\"{text}\"}}")).unwrap(), verbatim: None },
        amends: None,
        durable: false,
        origin: Origin::default(),
    }
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

async fn say(bus: &MemoryBus, room: &RoomName, key: &str) -> Appended {
    let group = [post(room, key, key)];
    bus.append(Partition::of(room), &group).await.unwrap()[0].clone().unwrap()
}

fn seqs(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.seq).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_known_for_ten_minutes() {
    let (bus, room) = (MemoryBus::new(HISTORY), room("lobby"));
    let first = say(&bus, &room, "a").await;
    tokio::time::advance(DEDUPE).await;
    assert_eq!(say(&bus, &room, "a").await, Appended { duplicate: true, ..first });
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(say(&bus, &room, "a").await.seq, 2);
}

#[tokio::test(start_paused = true)]
async fn history_pages_backwards_within_its_number_and_age() {
    let (bus, room) = (MemoryBus::new(HISTORY), room("lobby"));
    for n in 0..12 {
        say(&bus, &room, &n.to_string()).await;
    }
    let page = bus.history(&room, None, 4).await.unwrap();
    assert_eq!((seqs(&page), page.more, page.head.seq), (vec![9, 10, 11, 12], true, 12));
    let page = bus.history(&room, Some(5), 4).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![3, 4], false));
    assert!(bus.history(&room, Some(1), 4).await.unwrap().entries.is_empty());
    tokio::time::advance(HISTORY.age + Duration::from_millis(1)).await;
    let page = bus.history(&room, None, 4).await.unwrap();
    assert_eq!((page.entries.len(), page.more, page.head.seq), (0, false, 12));
}

#[tokio::test(start_paused = true)]
async fn a_reader_wakes_at_once_and_waits_a_second_at_most() {
    let (bus, room) = (Arc::new(MemoryBus::new(HISTORY)), room("lobby"));
    let partition = Partition::of(&room);
    let start = bus.end(partition).await.unwrap();
    let before = Instant::now();
    assert!(bus.tail(partition, start, 10).await.unwrap().records.is_empty());
    assert_eq!(before.elapsed(), TAIL_WAIT);
    let (before, reader) = (Instant::now(), Arc::clone(&bus));
    let read = tokio::spawn(async move { reader.tail(partition, start, 10).await.unwrap() });
    tokio::task::yield_now().await;
    say(&bus, &room, "a").await;
    let batch = read.await.unwrap();
    assert_eq!((batch.records.len(), batch.next), (1, bus.end(partition).await.unwrap()));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_reader_that_fell_out_of_the_stream_receives_a_gap() {
    let (bus, room) = (MemoryBus::new(HISTORY), room("lobby"));
    let partition = Partition::of(&room);
    let start = bus.end(partition).await.unwrap();
    let big = "x".repeat(1 << 20);
    for n in 0..9 {
        bus.append(partition, &[post(&room, &n.to_string(), &big)]).await.unwrap();
    }
    let batch = bus.tail(partition, start, 10).await.unwrap();
    assert!(matches!(batch.records[..], [Record::Trimmed]));
    assert_eq!(batch.next, bus.end(partition).await.unwrap());
}

#[tokio::test]
async fn durable_posts_are_refused_alone() {
    let (bus, room) = (MemoryBus::new(HISTORY), room("lobby"));
    let group = [post(&room, "a", "a"), Post { durable: true, ..post(&room, "b", "b") }, post(&room, "c", "c")];
    let answers = bus.append(Partition::of(&room), &group).await.unwrap();
    let seqs: Vec<_> = answers.into_iter().map(|answer| answer.map(|appended| appended.seq)).collect();
    assert_eq!(seqs, [Ok(1), Err(AppendError::NotDurable), Ok(2)]);
}

#[tokio::test]
async fn signals_come_only_from_watched_partitions() {
    let (bus, heard) = (MemoryBus::new(HISTORY), room("heard"));
    let other = (0..).map(|n| room(&n.to_string())).find(|r| Partition::of(r) != Partition::of(&heard)).unwrap();
    bus.watch(Partition::of(&heard), true).await;
    bus.signal(&other, &Signal::Count).await;
    bus.signal(&heard, &Signal::Count).await;
    assert_eq!(bus.signals().await, [(heard, Signal::Count)]);
}

#[tokio::test(start_paused = true)]
async fn forgotten_rooms_start_again_in_a_new_epoch() {
    let (bus, lobby) = (MemoryBus::new(HISTORY), room("lobby"));
    let partition = Partition::of(&lobby);
    let first = say(&bus, &lobby, "a").await;
    let mut names = (0..).map(|n| room(&n.to_string())).filter(|r| Partition::of(r) == partition);
    for name in names.by_ref().take((1 << 14) - 1) {
        say(&bus, &name, "a").await;
    }
    let next = names.next().unwrap();
    let refused = bus.append(partition, &[post(&next, "a", "a")]).await.unwrap();
    assert!(matches!(refused[..], [Err(AppendError::Unavailable(_))]));
    tokio::time::advance(HISTORY.age + Duration::from_millis(1)).await;
    let end = bus.end(partition).await.unwrap();
    assert!(say(&bus, &next, "a").await.epoch > first.epoch);
    let batch = bus.tail(partition, end, 10).await.unwrap();
    assert!(matches!(batch.records[..], [Record::Boundary { lost: false, .. }, Record::Entry(_)]));
    assert_eq!(bus.head(&lobby).await.unwrap().seq, 0);
}

#[tokio::test(start_paused = true)]
async fn rooms_of_few_messages_make_place_early_unless_they_have_members_or_are_private() {
    let (bus, busy) = (MemoryBus::new(HISTORY), room("lobby"));
    let partition = Partition::of(&busy);
    let mut sat_in = (0..).map(|n| room(&format!("sat-in-{n}")));
    let sat_in = sat_in.find(|room| Partition::of(room) == partition).unwrap();
    let inbox = (0..).map(|n| RoomName::private("people", n)).find(|inbox| Partition::of(inbox) == partition).unwrap();
    for key in 0..=FEW {
        say(&bus, &busy, &key.to_string()).await;
    }
    say(&bus, &sat_in, "a").await;
    say(&bus, &inbox, "a").await;
    bus.count(partition, &[(sat_in.clone(), 1)]).await.unwrap();
    let mut names = (0..).map(|n| room(&n.to_string())).filter(|r| Partition::of(r) == partition);
    for name in names.by_ref().take((1 << 14) - 3) {
        say(&bus, &name, "a").await;
    }
    tokio::time::advance(EARLY).await;
    let next = names.next().unwrap();
    assert_eq!(say(&bus, &next, "a").await.seq, 1);
    let listed = bus.rooms(partition, None).await.unwrap();
    assert_eq!((listed.rooms.len(), listed.next), (3, None));
    for (room, seq) in [(&busy, FEW + 1), (&sat_in, 1), (&inbox, 1), (&next, 1)] {
        assert_eq!(bus.head(room).await.unwrap().seq, seq, "{room}");
    }
}

#[tokio::test]
async fn members_are_the_counts_of_this_gateway() {
    let (bus, room) = (MemoryBus::new(HISTORY), room("lobby"));
    bus.count(Partition::of(&room), &[(room.clone(), 3)]).await.unwrap();
    assert_eq!(bus.members(&room).await.unwrap(), 3);
    bus.count(Partition::of(&room), &[(room.clone(), 0)]).await.unwrap();
    assert_eq!(bus.members(&room).await.unwrap(), 0);
}
