//! Readers that come, go and stall at random, without sockets: each gets every byte that is due once and in order, and
//! the sums agree.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::fanout::encoding::ChunkWriter;

const ENCODING: EncodingId = EncodingId(8);
const SLOTS: u32 = 6;

fn name(room: u32) -> RoomName {
    RoomName::new(&format!("room {room}")).unwrap()
}

/// Connections that take some bytes at a time.
#[derive(Default)]
struct Wires {
    /// What each was written.
    got: HashMap<Slot, Vec<u8>>,
    /// What goes to a connection before anything else.
    rest: HashMap<Slot, Bytes>,
    stuck: Vec<Slot>,
    /// Bytes that the next write takes, if not all.
    takes: Option<usize>,
}

impl Wires {
    /// The connection takes everything again.
    fn unblock(&mut self, slot: Slot) {
        self.stuck.retain(|stuck| *stuck != slot);
        if let Some(rest) = self.rest.remove(&slot) {
            self.got.entry(slot).or_default().extend_from_slice(&rest);
        }
    }
}

impl Sink for Wires {
    fn is_free(&mut self, slot: Slot) -> bool {
        !self.stuck.contains(&slot)
    }

    fn write(&mut self, slot: Slot, data: &[u8]) -> Wrote {
        let n = self.takes.take().unwrap_or(data.len()).min(data.len());
        self.got.entry(slot).or_default().extend_from_slice(&data[..n]);
        if n == data.len() { Wrote::All } else { Wrote::Part(n) }
    }

    fn keep_rest(&mut self, slot: Slot, rest: Option<Bytes>) {
        self.stuck.push(slot);
        self.rest.extend(rest.map(|rest| (slot, rest)));
    }
}

#[derive(Clone, Debug)]
enum Act {
    Join(u32, u32),
    Leave(u32, u32),
    Push(u32, usize),
    Flush { writes: usize, takes: Option<usize> },
    Unblock(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..SLOTS, 0..2_u32).prop_map(|(slot, room)| Act::Join(slot, room)),
        (0..SLOTS, 0..2_u32).prop_map(|(slot, room)| Act::Leave(slot, room)),
        (0..2_u32, 1..200_usize).prop_map(|(room, len)| Act::Push(room, len)),
        (1..8_usize, proptest::option::of(0..150_usize)).prop_map(|(writes, takes)| Act::Flush { writes, takes }),
        (0..SLOTS).prop_map(Act::Unblock),
    ]
}

/// Readers, their wires, and what is due to each connection.
struct World {
    readers: Readers,
    wires: Wires,
    /// Bytes of a room that are due to a connection since it joined it.
    owed: HashMap<(Slot, u32), Vec<u8>>,
    pushed: u64,
}

impl World {
    fn new() -> Self {
        Self {
            readers: Readers::new(ReactorSettings::new(1)),
            wires: Wires::default(),
            owed: HashMap::new(),
            pushed: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            // In one room at a time, so that the order of its bytes is that of the room.
            Act::Join(slot, room) if self.readers.any_room(Slot(slot)).is_none() => {
                let slot = Slot(slot);
                self.wires.got.remove(&slot);
                self.wires.unblock(slot);
                self.wires.got.remove(&slot);
                self.readers.join(
                    slot,
                    RoomId(room),
                    &name(room),
                    ENCODING,
                    Position { epoch: Epoch(1), seq: 0 },
                    false,
                );
                self.owed.insert((slot, room), Vec::new());
            }
            Act::Join(..) => {}
            Act::Leave(slot, room) => {
                self.readers.leave(Slot(slot), &name(room));
                self.owed.remove(&(Slot(slot), room));
            }
            Act::Push(room, len) => {
                self.pushed += 1;
                let mut writer = ChunkWriter::default();
                writer.binary(&self.pushed.to_be_bytes().repeat(len.div_ceil(8)));
                let chunk = writer.seal(Some((self.pushed, self.pushed)));
                for ((_, of), owed) in &mut self.owed {
                    if *of == room {
                        owed.extend_from_slice(&chunk.bytes);
                    }
                }
                let pushed = self.readers.push(RoomId(room), ENCODING, Epoch(1), chunk);
                assert!(pushed.fallen.is_none(), "the rings are large enough");
            }
            Act::Flush { writes, takes } => {
                self.wires.takes = takes;
                self.flush(writes);
            }
            Act::Unblock(slot) => {
                self.wires.unblock(Slot(slot));
                self.readers.mark_rooms_dirty(Slot(slot));
            }
        }
        self.check();
    }

    fn flush(&mut self, writes: usize) {
        self.readers.begin_flush();
        while let Some(feed) = self.readers.next_to_flush() {
            if !self.readers.flush(feed, writes, &mut self.wires, |_| {}).done {
                return;
            }
        }
    }

    /// What must always hold.
    fn check(&self) {
        let bytes: usize = self.readers.feeds.iter().map(|(_, feed)| feed.bytes()).sum();
        assert_eq!(self.readers.ring_bytes, bytes, "the sum is that of the rings");
        for (slot, reading) in self.readers.reading.iter().enumerate() {
            for FeedReader { feed, place } in reading {
                let there = self.readers.feeds[feed.index()].readers().nth(place.index());
                assert_eq!(there, Some(Slot(slot as u32)), "a connection's place is its own");
            }
        }
        for ((slot, _), owed) in &self.owed {
            let got = self.wires.got.get(slot).map_or(&[][..], Vec::as_slice);
            assert!(owed.starts_with(got), "{slot:?} got what was due, in order");
        }
    }
}

proptest! {
    #[test]
    fn every_reader_receives_each_entry_once_and_in_order(acts in proptest::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        acts.into_iter().for_each(|act| world.act(act));
        for slot in 0..SLOTS {
            world.act(Act::Unblock(slot));
        }
        while world.readers.have_news() {
            world.act(Act::Flush { writes: 1000, takes: None });
        }
        for ((slot, _), owed) in &world.owed {
            prop_assert_eq!(world.wires.got.get(slot).map_or(&[][..], Vec::as_slice), owed.as_slice());
        }
        prop_assert_eq!(world.readers.ring_bytes, 0, "a room that all have got holds nothing");
    }
}
