//! Sections 12 and 13: permessage-deflate, messages of many sizes and offers of many kinds.

use flate2::{Compress, Compression, FlushCompress};

use super::wire::{BINARY, CONTINUATION, Case, FIN, PING, RSV1, Step, TEXT, frame, then_close};

const PLAIN: &str = "permessage-deflate";

/// A payload compressed for itself, without the tail.
fn deflated(payload: &[u8], level: u32) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 10 + 64);
    compress.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "flushed");
    out.truncate(out.len() - 4);
    out
}

fn words(n: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog, and ".iter().copied().cycle().take(n).collect()
}

/// Bytes that hardly shrink.
fn noise(n: usize) -> Vec<u8> {
    (0..n as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// 12: messages of many sizes; 13: the same with other offers; and what compression makes possible to do wrong.
pub(super) fn cases() -> Vec<Case> {
    [sizes(), offers(), frames(), wrong()].concat()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, size) in [0, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072].into_iter().enumerate() {
        for (group, kind, payload, level) in [
            (1, TEXT, words(size), 6),
            (2, BINARY, words(size), 1),
            (3, BINARY, noise(size), 9),
            (4, BINARY, noise(size), 0),
        ] {
            let sent = frame(FIN | RSV1 | kind, &deflated(&payload, level));
            let twice = vec![
                Step::Send([sent.clone(), sent].concat()),
                Step::Message(kind, payload.clone()),
                Step::Message(kind, payload),
            ];
            let what = format!("two messages of {size} bytes, level {level}");
            cases.push(Case::new(format!("12.{group}.{}", n + 1), what, then_close(twice)).offering(PLAIN, true));
        }
    }
    cases
}

fn offers() -> Vec<Case> {
    let offers = [
        ("permessage-deflate", true),
        ("permessage-deflate; client_no_context_takeover", true),
        ("permessage-deflate; server_no_context_takeover", true),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", true),
        ("permessage-deflate; client_max_window_bits", true),
        ("permessage-deflate; client_max_window_bits=9", true),
        ("permessage-deflate; client_max_window_bits=15", true),
        ("permessage-deflate; client_max_window_bits=\"12\"", true),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", true),
        ("x-unknown; a=b, permessage-deflate", true),
        // There is no compressor that keeps to a smaller window; everything works without compression.
        ("permessage-deflate; server_max_window_bits=9", false),
        ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", false),
        // What RFC 7692 has declined.
        ("permessage-deflate; server_max_window_bits", false),
        ("permessage-deflate; client_max_window_bits=7", false),
        ("permessage-deflate; client_max_window_bits=16", false),
        ("permessage-deflate; client_max_window_bits=08", false),
        ("permessage-deflate; server_no_context_takeover=1", false),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", false),
        ("permessage-deflate; unknown", false),
        ("x-webkit-deflate-frame", false),
    ];
    let mut cases = Vec::new();
    for (n, (offer, agreed)) in offers.into_iter().enumerate() {
        for size in [16, 1024, 65_536] {
            let payload = words(size);
            let sent =
                if agreed { frame(FIN | RSV1 | TEXT, &deflated(&payload, 6)) } else { frame(FIN | TEXT, &payload) };
            let plain = frame(FIN | TEXT, &payload);
            let back = Step::Message(TEXT, payload);
            let steps = then_close(vec![Step::Send([sent, plain].concat()), back.clone(), back]);
            let case = Case::new(format!("13.{}", n + 1), format!("{offer}, {size} bytes"), steps);
            cases.push(case.offering(offer, agreed));
        }
    }
    cases
}

/// A compressed message in frames: only the first says so, and control frames between them are as they are.
fn frames() -> Vec<Case> {
    let (payload, small) = (words(5000), deflated(&words(5000), 6));
    let back = Step::Message(TEXT, payload);
    let (head, tail) = small.split_at(small.len() / 2);
    let parts = [
        frame(RSV1 | TEXT, head),
        frame(FIN | PING, b"between"),
        frame(CONTINUATION, b""),
        frame(FIN | CONTINUATION, tail),
    ];
    // RFC 7692, 7.2.3: the examples.
    let hello = Step::Message(TEXT, b"Hello".to_vec());
    let example = |bytes: &[u8]| then_close(vec![Step::Send(frame(FIN | RSV1 | TEXT, bytes)), hello.clone()]);
    let examples: [(&str, &[u8]); 4] = [
        ("a block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ("a stored block", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
        ("a block that says it is the last", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        ("two blocks", &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]),
    ];
    let mut cases: Vec<Case> =
        examples.into_iter().map(|(what, bytes)| Case::new("12.rfc", what, example(bytes))).collect();
    let answers = vec![Step::Pong(b"between".to_vec()), back.clone()];
    let steps = [vec![Step::Send(parts.concat())], answers.clone()].concat();
    cases.push(Case::new("12.frames", "a compressed message in frames", then_close(steps)));
    let steps = [vec![Step::Chop(parts.concat(), 1)], answers].concat();
    cases.push(Case::new("12.frames", "the same, one byte at a time", then_close(steps)));
    cases.into_iter().map(|case| case.offering(PLAIN, true)).collect()
}

fn wrong() -> Vec<Case> {
    let small = deflated(&words(500), 6);
    let failed = |sent: Vec<u8>, code| vec![Step::Send(sent), Step::Closed(Some(code))];
    let again = [frame(RSV1 | TEXT, &small), frame(FIN | RSV1 | CONTINUATION, b"")].concat();
    let bomb = deflated(&vec![b'0'; (16 << 20) + 1], 9);
    vec![
        Case::new("12.wrong.1", "no compressed data", failed(frame(FIN | RSV1 | TEXT, &[0xff; 8]), 1007)),
        Case::new("12.wrong.2", "a compressed continuation", failed(again, 1002)),
        Case::new("12.wrong.3", "a compressed ping", failed(frame(FIN | RSV1 | PING, b"x"), 1002)),
        Case::new("12.wrong.4", "one byte too long once it is unpacked", failed(frame(FIN | RSV1 | TEXT, &bomb), 1009)),
        Case::new(
            "12.wrong.5",
            "bytes that are no text once they are unpacked",
            failed(frame(FIN | RSV1 | TEXT, &deflated(b"\xce\xba\xed\xa0\x80", 6)), 1007),
        ),
        Case::new("12.wrong.6", "the other reserved bits", failed(frame(FIN | RSV1 | 0x20 | TEXT, &small), 1002)),
    ]
    .into_iter()
    .map(|case| case.offering(PLAIN, true))
    .collect()
}
