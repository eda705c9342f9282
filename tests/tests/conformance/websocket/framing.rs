//! Sections 1 to 5: frames, pings, reserved bits and opcodes, fragments.

use super::wire::{BINARY, CONTINUATION, Case, FIN, PING, PONG, RSV1, Step, TEXT, close, frame, then_close};

fn letters(n: usize) -> Vec<u8> {
    vec![b'*'; n]
}

/// 1: messages of the lengths at which a header changes, whole and in pieces.
pub(super) fn frames() -> Vec<Case> {
    let lengths = [0, 125, 126, 127, 128, 65_535, 65_536];
    let mut cases = Vec::new();
    for (kind, name) in [(TEXT, "text"), (BINARY, "binary")] {
        for (n, length) in lengths.into_iter().enumerate() {
            let payload = if kind == TEXT { letters(length) } else { vec![0xfe; length] };
            let sent = frame(FIN | kind, &payload);
            let back = Step::Message(kind, payload);
            cases.push(Case::new(
                format!("1.{kind}.{}", n + 1),
                format!("{name} of {length} bytes"),
                then_close(vec![Step::Send(sent.clone()), back.clone()]),
            ));
            for size in [1, 997] {
                if length <= 128 || size > 1 {
                    let steps = vec![Step::Chop(sent.clone(), size), back.clone()];
                    let what = format!("{name} of {length} bytes, {size} at a time");
                    cases.push(Case::new(format!("1.{kind}.8"), what, then_close(steps)));
                }
            }
        }
    }
    cases
}

/// 2: pings and pongs.
pub(super) fn pings() -> Vec<Case> {
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let pong = |payload: &[u8]| frame(FIN | PONG, payload);
    let answered = |payload: &[u8]| then_close(vec![Step::Send(ping(payload)), Step::Pong(payload.to_vec())]);
    let all: Vec<Vec<u8>> = (0..10).map(|n| format!("payload-{n}").into_bytes()).collect();
    let ten: Vec<u8> = all.iter().flat_map(|payload| ping(payload)).collect();
    let pongs = all.iter().map(|payload| Step::Pong(payload.clone()));
    let proof = [Step::Send(ping(b"after")), Step::Pong(b"after".to_vec())];
    let ignored = |sent: Vec<u8>| then_close([&[Step::Send(sent)], &proof[..]].concat());
    vec![
        Case::new("2.1", "a ping without payload", answered(b"")),
        Case::new("2.2", "a ping with text", answered(b"Hello, world!")),
        Case::new("2.3", "a ping with bytes that are not text", answered(&[0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff])),
        Case::new("2.4", "a ping of 125 bytes", answered(&[0xfe; 125])),
        Case::new("2.5", "a ping of 126 bytes", vec![Step::Send(ping(&[0xfe; 126])), Step::Closed(Some(1002))]),
        Case::new(
            "2.6",
            "a ping of 125 bytes, one at a time",
            then_close(vec![Step::Chop(ping(&[0xfe; 125]), 1), Step::Pong(vec![0xfe; 125])]),
        ),
        Case::new("2.7", "a pong that nobody asked for", ignored(pong(b""))),
        Case::new("2.8", "a pong with payload that nobody asked for", ignored(pong(b"unsolicited"))),
        Case::new("2.9", "a pong and a ping", ignored([pong(b"unsolicited"), ping(b"x")].concat()))
            .expecting_pong_first(b"x"),
        Case::new(
            "2.10",
            "ten pings at once",
            then_close([Step::Send(ten.clone())].into_iter().chain(pongs.clone()).collect()),
        ),
        Case::new(
            "2.11",
            "ten pings, one byte at a time",
            then_close([Step::Chop(ten, 1)].into_iter().chain(pongs).collect()),
        ),
    ]
}

impl Case {
    /// The answer to a ping that is part of what is sent first.
    fn expecting_pong_first(mut self, payload: &[u8]) -> Self {
        self.steps.insert(1, Step::Pong(payload.to_vec()));
        self
    }
}

/// What comes after a message that is fine: the message comes back, then the connection fails.
fn fails(id: String, what: String, wrong: Vec<u8>) -> Vec<Case> {
    let (good, back) = (frame(FIN | TEXT, b"good"), Step::Message(TEXT, b"good".to_vec()));
    let unread = frame(FIN | PING, b"never read");
    let all = [good, wrong.clone(), unread].concat();
    vec![
        Case::new(id.clone(), what.clone(), vec![Step::Send(wrong), Step::Closed(Some(1002))]),
        Case::new(
            id.clone(),
            format!("{what}, after a message"),
            vec![Step::Send(all.clone()), back.clone(), Step::Closed(Some(1002))],
        ),
        Case::new(
            id,
            format!("{what}, after a message, one byte at a time"),
            vec![Step::Chop(all, 1), back, Step::Closed(Some(1002))],
        ),
    ]
}

/// 3: reserved bits without an extension that gives them a meaning.
pub(super) fn reserved_bits() -> Vec<Case> {
    let kinds = [(TEXT, "text"), (BINARY, "binary"), (PING, "a ping"), (PONG, "a pong"), (0x8, "a close")];
    let mut cases = Vec::new();
    for bits in 1..=7_u8 {
        let (kind, name) = kinds[usize::from(bits) % kinds.len()];
        let payload = if kind == 0x8 { &[3, 232][..] } else { b"wrong" };
        let wrong = frame(FIN | bits << 4 | kind, payload);
        cases.extend(fails(format!("3.{bits}"), format!("reserved bits {bits:03b} on {name}"), wrong));
    }
    cases
}

/// 4: opcodes that mean nothing.
pub(super) fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcodes) in [(1, 0x3..=0x7), (2, 0xb..=0xf_u8)] {
        for (n, opcode) in opcodes.enumerate() {
            let payload: &[u8] = if n == 0 { b"" } else { b"reserved" };
            let id = format!("4.{group}.{}", n + 1);
            cases.extend(fails(id, format!("opcode {opcode:x}"), frame(FIN | opcode, payload)));
        }
    }
    cases
}

/// 5: messages in fragments.
pub(super) fn fragments() -> Vec<Case> {
    let ping = frame(FIN | PING, b"ping payload");
    let pong = Step::Pong(b"ping payload".to_vec());
    let first = |kind| frame(kind, b"fragment1");
    let last = frame(FIN | CONTINUATION, b"fragment2");
    let whole = |kind| Step::Message(kind, b"fragment1fragment2".to_vec());
    let failed = |sent: Vec<u8>| vec![Step::Send(sent), Step::Closed(Some(1002))];
    let mut cases = vec![
        Case::new("5.1", "a ping in two fragments", failed([frame(PING, b"fragment1"), last.clone()].concat())),
        Case::new("5.2", "a pong in two fragments", failed([frame(PONG, b"fragment1"), last.clone()].concat())),
    ];
    for (sent, how) in [(0, "at once"), (1, "one byte at a time"), (2, "frame by frame")] {
        let send = |frames: &[Vec<u8>]| match sent {
            0 => vec![Step::Send(frames.concat())],
            1 => vec![Step::Chop(frames.concat(), 1)],
            _ => frames.iter().flat_map(|frame| [Step::Send(frame.clone()), Step::Wait]).collect(),
        };
        let steps = [send(&[first(TEXT), last.clone()]), vec![whole(TEXT)]].concat();
        cases.push(Case::new(format!("5.{}", 3 + sent), format!("text in two fragments, {how}"), then_close(steps)));
        // The pong comes before the message that was not whole when the ping came.
        let steps = [send(&[first(TEXT), ping.clone(), last.clone()]), vec![pong.clone(), whole(TEXT)]].concat();
        cases.push(Case::new(
            format!("5.{}", 6 + sent),
            format!("a ping between two fragments, {how}"),
            then_close(steps),
        ));
        let steps = [send(&[first(BINARY), ping.clone(), last.clone()]), vec![pong.clone(), whole(BINARY)]].concat();
        cases.push(Case::new(format!("5.{}", 6 + sent), format!("the same with binary, {how}"), then_close(steps)));
        // A continuation of nothing.
        let hello = frame(FIN | TEXT, b"Hello");
        let nothing = frame(FIN | CONTINUATION, b"non-continuation");
        let steps = [send(&[nothing.clone(), hello.clone()]), vec![Step::Closed(Some(1002))]].concat();
        cases.push(Case::new(format!("5.{}", 9 + sent), format!("a continuation of nothing, {how}"), steps));
        let open = frame(CONTINUATION, b"non-continuation");
        let steps = [send(&[open, hello.clone()]), vec![Step::Closed(Some(1002))]].concat();
        cases.push(Case::new(format!("5.{}", 12 + sent), format!("an open continuation of nothing, {how}"), steps));
        let steps = [send(&[first(TEXT), last.clone(), nothing, hello]), vec![whole(TEXT), Step::Closed(Some(1002))]];
        cases.push(Case::new(
            format!("5.{}", 15 + sent),
            format!("one more fragment than announced, {how}"),
            steps.concat(),
        ));
        let steps = [send(&[first(TEXT), frame(FIN | TEXT, b"fragment2")]), vec![Step::Closed(Some(1002))]].concat();
        cases.push(Case::new(format!("5.{}", 18), format!("a message inside another, {how}"), steps));
        // 5.19 and 5.20: pings among five fragments.
        let five = [
            first(TEXT),
            frame(CONTINUATION, b"fragment2"),
            frame(FIN | PING, b"one"),
            frame(CONTINUATION, b"fragment3"),
            frame(CONTINUATION, b""),
            frame(FIN | PING, b"two"),
            frame(FIN | CONTINUATION, b"fragment5"),
        ];
        let answers = vec![
            Step::Pong(b"one".to_vec()),
            Step::Pong(b"two".to_vec()),
            Step::Message(TEXT, b"fragment1fragment2fragment3fragment5".to_vec()),
        ];
        let steps = [send(&five), answers].concat();
        cases.push(Case::new(
            format!("5.{}", 19 + sent.min(1)),
            format!("two pings among five fragments, {how}"),
            then_close(steps),
        ));
    }
    let unfinished = [first(TEXT), close(1000, b"")].concat();
    cases.push(Case::new("5.21", "a close inside a message", vec![Step::Send(unfinished), Step::Closed(Some(1000))]));
    let reserved = frame(FIN | RSV1 | CONTINUATION, b"fragment2");
    cases.push(Case::new("5.22", "a reserved bit on a continuation", failed([first(TEXT), reserved].concat())));
    cases
}
