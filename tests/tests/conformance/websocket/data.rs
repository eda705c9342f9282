//! Sections 6, 9 and 10: UTF-8 and sizes.

use super::wire::{BINARY, CONTINUATION, Case, FIN, PING, Step, TEXT, frame, then_close};

/// Text that is valid, among it the first and last character of each length and the neighbours of surrogates.
const VALID: [&[u8]; 25] = [
    b"",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbf",
    b"\xf1\x8f\xbf\xbe",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xf0\xa4\xad\xa2",
    b"\xe2\x82\xac",
    b"a\xcc\x88",
    b"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
];

/// Bytes that are no text, each wrong at its end or before.
const INVALID: [&[u8]; 40] = [
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"\x80\x81\x82\x83\xbe\xbf",
    b"\xc0 \xc1 \xdf ",
    b"\xe0 \xe1 \xef ",
    b"\xf0 \xf1 \xf4 ",
    b"\xf8 \xfb ",
    b"\xfc \xfd ",
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf4\x8f\xbf",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
];

/// Fragments of one byte each.
fn one_by_one(payload: &[u8]) -> Vec<u8> {
    let mut sent = frame(TEXT, b"");
    payload.iter().for_each(|byte| sent.extend(frame(CONTINUATION, &[*byte])));
    sent.extend(frame(FIN | CONTINUATION, b""));
    sent
}

/// 6: text must be UTF-8, wherever it is cut, and fails as soon as it cannot be.
pub(super) fn utf8() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, text) in VALID.into_iter().enumerate() {
        let back = Step::Message(TEXT, text.to_vec());
        let ways = [
            (Step::Send(frame(FIN | TEXT, text)), "whole"),
            (Step::Send(one_by_one(text)), "a fragment per byte"),
            (Step::Chop(frame(FIN | TEXT, text), 1), "one byte at a time"),
        ];
        for (sent, how) in ways {
            let id = format!("6.valid.{}", n + 1);
            cases.push(Case::new(id, format!("{text:x?}, {how}"), then_close(vec![sent, back.clone()])));
        }
    }
    for (n, bytes) in INVALID.into_iter().enumerate() {
        let ways = [
            (Step::Send(frame(FIN | TEXT, bytes)), "whole"),
            (Step::Send(one_by_one(bytes)), "a fragment per byte"),
            (Step::Chop(frame(FIN | TEXT, bytes), 1), "one byte at a time"),
        ];
        for (sent, how) in ways {
            let id = format!("6.invalid.{}", n + 1);
            cases.push(Case::new(id, format!("{bytes:x?}, {how}"), vec![sent, Step::Closed(Some(1007))]));
        }
    }
    // The message is not whole yet, and can no longer become text.
    let early = [
        ("6.4.1", frame(TEXT, b"\xce\xba\xf4\x90")),
        ("6.4.2", frame(TEXT, b"\xce\xba\xed\xa0")),
        // A frame of 20 bytes, of which eight come.
        ("6.4.3", frame(FIN | TEXT, &[b"\xce\xba\xf4\x90\x80\x80".as_slice(), &[b'x'; 14]].concat())[..14].to_vec()),
    ];
    for (id, sent) in early {
        let steps = vec![Step::Send(sent), Step::Closed(Some(1007))];
        cases.push(Case::new(id, "invalid before the message is whole", steps));
    }
    let bytes = INVALID[0].to_vec();
    let steps = vec![Step::Send(frame(FIN | BINARY, &bytes)), Step::Message(BINARY, bytes)];
    cases.push(Case::new("6.binary", "bytes that are no text, as binary", then_close(steps)));
    cases
}

/// 9 and 10: large messages, whole, in frames and in pieces.
pub(super) fn sizes() -> Vec<Case> {
    // The largest message that the echo takes.
    const MOST: usize = 16 << 20;
    let mut cases = Vec::new();
    for (kind, name) in [(TEXT, "text"), (BINARY, "binary")] {
        for (n, size) in [64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, MOST].into_iter().enumerate() {
            let payload = alphabet(size);
            let id = format!("9.{kind}.{}", n + 1);
            let steps = vec![Step::Send(frame(FIN | kind, &payload)), Step::Message(kind, payload)];
            cases.push(Case::new(id, format!("{name} of {size} bytes"), then_close(steps)));
        }
        for (n, size) in [64 << 10, 256 << 10, 1 << 20].into_iter().enumerate() {
            let payload = alphabet(size);
            let back = Step::Message(kind, payload.clone());
            for part in [64, 256, 1024, 4096, 16 << 10, 64 << 10] {
                let steps = vec![Step::Send(fragmented(kind, &payload, part)), back.clone()];
                let (id, what) = (format!("9.{}.{}", kind + 2, n + 1), format!("{name} of {size} in frames of {part}"));
                cases.push(Case::new(id, what, then_close(steps)));
            }
            for piece in [256, 1024, 4096] {
                let steps = vec![Step::Chop(frame(FIN | kind, &payload), piece), back.clone()];
                let (id, what) = (format!("9.{}.{}", kind + 4, n + 1), format!("{name} of {size}, {piece} at a time"));
                cases.push(Case::new(id, what, then_close(steps)));
            }
        }
        let steps = vec![Step::Send(frame(FIN | kind, &vec![b'x'; MOST + 1])), Step::Closed(Some(1009))];
        cases.push(Case::new("9.limit", format!("{name} that is one byte too long"), steps));
        let steps = vec![Step::Send(fragmented(kind, &vec![b'x'; MOST + 1], 64 << 10)), Step::Closed(Some(1009))];
        cases.push(Case::new("9.limit", format!("{name} that is one byte too long, in frames"), steps));
    }
    for (n, size) in [0, 16, 64, 256, 1024, 4096].into_iter().enumerate() {
        let (payload, many) = (vec![b'm'; size], 100);
        let sent: Vec<u8> = (0..many).flat_map(|_| frame(FIN | TEXT, &payload)).collect();
        let back = std::iter::repeat_n(Step::Message(TEXT, payload), many);
        let steps = [Step::Send(sent)].into_iter().chain(back).collect();
        cases.push(Case::new(
            format!("9.7.{}", n + 1),
            format!("{many} messages of {size} at once"),
            then_close(steps),
        ));
    }
    let payload = vec![b'*'; 65_536];
    let mut sent = fragmented(TEXT, &payload, 1300);
    sent.extend(frame(FIN | PING, b"end"));
    let steps = vec![Step::Send(sent), Step::Message(TEXT, payload), Step::Pong(b"end".to_vec())];
    cases.push(Case::new("10.1.1", "65,536 bytes in frames of 1,300", then_close(steps)));
    cases
}

fn alphabet(n: usize) -> Vec<u8> {
    (0..n).map(|at| b'a' + (at % 23) as u8).collect()
}

fn fragmented(kind: u8, payload: &[u8], part: usize) -> Vec<u8> {
    let last = payload.len().div_ceil(part) - 1;
    let frames = payload.chunks(part).enumerate().map(|(n, piece)| {
        let opcode = if n == 0 { kind } else { CONTINUATION };
        frame(if n == last { FIN | opcode } else { opcode }, piece)
    });
    frames.flatten().collect()
}
