use proptest::prelude::*;

use super::*;

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong => Self::Pong,
            Event::Close(code) => Self::Close(code),
        }
    }
}

const MASK: [u8; 4] = [0xa1, 0x02, 0x33, 0xf4];

/// A client's frame: masked, in the shortest form.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, first, payload);
    bytes[1] |= 0x80;
    let start = bytes.len() - payload.len();
    bytes.splice(start..start, MASK);
    for (n, byte) in bytes[start + 4..].iter_mut().enumerate() {
        *byte ^= MASK[n % 4];
    }
    bytes
}

/// Feeds `bytes` in pieces of the given sizes (the last repeats for ever).
fn decode(limit: usize, bytes: &[u8], pieces: &[usize]) -> (Vec<Owned>, Option<Violation>) {
    decode_by(Decoder::new(limit), bytes, pieces)
}

fn decode_by(mut decoder: Decoder, bytes: &[u8], pieces: &[usize]) -> (Vec<Owned>, Option<Violation>) {
    let (mut events, mut rest) = (Vec::new(), bytes);
    let mut sizes = pieces.iter().copied().chain(std::iter::repeat(pieces.last().copied().unwrap_or(usize::MAX)));
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let mut piece = rest[..size].to_vec();
        rest = &rest[size..];
        let mut at = 0;
        loop {
            match decoder.next(&mut piece, &mut at) {
                Ok(Some(event)) => events.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

#[test]
fn each_violation_has_its_code_however_the_bytes_come() {
    let unmasked = {
        let mut bytes = Vec::new();
        frame(&mut bytes, TEXT, b"hi");
        bytes
    };
    let mut medium_as_long = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 200];
    medium_as_long.extend([0; 204]);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("reserved bit 1", client(0xc1, b"a"), 1002),
        ("reserved bit 2", client(0xa1, b"a"), 1002),
        ("reserved bit 3", client(0x91, b"a"), 1002),
        ("unmasked", unmasked, 1002),
        ("reserved data opcode", client(0x83, b"a"), 1002),
        ("reserved control opcode", client(0x8b, b"a"), 1002),
        ("short length in the medium form", vec![0x81, 0xfe, 0, 5, 0, 0, 0, 0, 1, 1, 1, 1, 1], 1002),
        ("medium length in the long form", medium_as_long, 1002),
        ("long control frame", client(PING, &[0; 126]), 1002),
        ("fragmented control frame", client(0x09, b"a"), 1002),
        ("continuation of nothing", client(0x80, b"a"), 1002),
        ("text within a fragmented text", [client(0x01, b"a"), client(TEXT, b"b")].concat(), 1002),
        ("close of one byte", client(CLOSE, &[3]), 1002),
        ("close 999", client(CLOSE, &999_u16.to_be_bytes()), 1002),
        ("close 1004", client(CLOSE, &1004_u16.to_be_bytes()), 1002),
        ("close 1005", client(CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("close 1006", client(CLOSE, &1006_u16.to_be_bytes()), 1002),
        ("close 1015", client(CLOSE, &1015_u16.to_be_bytes()), 1002),
        ("close 2999", client(CLOSE, &2999_u16.to_be_bytes()), 1002),
        ("close 5000", client(CLOSE, &5000_u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", client(CLOSE, &[3, 232, 0xff]), 1007),
        ("text not UTF-8", client(TEXT, b"a\xffb"), 1007),
        ("text ends within a character", client(TEXT, "é".as_bytes().split_at(1).0), 1007),
        ("surrogate", client(TEXT, b"\xed\xa0\x80"), 1007),
        ("fragments end within a character", [client(0x01, b"\xe2"), client(0x80, b"\x82")].concat(), 1007),
        ("too large", client(TEXT, &[b'a'; 1001]), 1009),
        ("too large in the long form", client(BINARY, &vec![0; 70_000]), 1009),
        ("too large over fragments", [client(0x01, &[b'a'; 600]), client(0x80, &[b'a'; 401])].concat(), 1009),
    ];
    for (name, bytes, code) in cases {
        for pieces in [vec![usize::MAX], vec![1], vec![3], vec![7, 2]] {
            let (events, violation) = decode(1000, &bytes, &pieces);
            assert_eq!(violation.map(Violation::code), Some(code), "{name} in pieces of {pieces:?}");
            assert!(events.is_empty(), "{name}");
        }
    }
}

#[test]
fn valid_close_codes_are_reported() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999_u16] {
        let frame = client(CLOSE, &[&code.to_be_bytes()[..], "bye ü".as_bytes()].concat());
        assert_eq!(decode(128, &frame, &[]), (vec![Owned::Close(Some(code))], None));
    }
    assert_eq!(decode(128, &client(CLOSE, &[]), &[]), (vec![Owned::Close(None)], None));
}

#[test]
fn a_message_of_exactly_the_limit_passes_whole_and_in_fragments() {
    let text = "a".repeat(1000);
    let whole = client(TEXT, text.as_bytes());
    let split = [client(0x01, &text.as_bytes()[..400]), client(0x80, &text.as_bytes()[400..])].concat();
    for bytes in [whole, split] {
        assert_eq!(decode(1000, &bytes, &[10]), (vec![Owned::Text(text.clone())], None));
    }
}

#[test]
fn a_message_too_large_is_refused_from_its_header_alone() {
    let frame = client(TEXT, &[b'a'; 1001]);
    assert_eq!(decode(1000, &frame[..8], &[]).1, Some(Violation::TooLarge));
}

#[test]
fn bad_text_is_refused_before_its_frame_is_whole() {
    let frame = client(TEXT, &[&b"\xf4\x90"[..], &[b'a'; 500]].concat());
    assert_eq!(decode(1000, &frame[..10], &[]).1, Some(Violation::Utf8));
}

#[test]
fn nothing_is_kept_for_messages_that_come_whole_or_are_done() {
    let mut decoder = Decoder::new(1000);
    let mut bytes = [client(TEXT, b"one"), client(PING, b"two"), client(BINARY, &[7; 900])].concat();
    let mut at = 0;
    while decoder.next(&mut bytes, &mut at).unwrap().is_some() {
        assert_eq!(decoder.kept(), 0);
    }
    let mut bytes = client(TEXT, &[b'x'; 800]);
    let (a, b) = bytes.split_at_mut(300);
    assert_eq!(decoder.next(a, &mut 0), Ok(None));
    assert!(decoder.kept() > 0);
    let mut at = 0;
    assert!(matches!(decoder.next(b, &mut at), Ok(Some(Event::Text(_)))));
    assert_eq!(decoder.next(b, &mut at), Ok(None));
    assert_eq!(decoder.kept(), 0);
}

#[test]
fn a_payload_that_comes_after_its_header_leaves_nothing_open() {
    let frames = [client(TEXT, b"one"), client(BINARY, b"two")].concat();
    // A client frame this short has a header of 6 bytes.
    let expected = vec![Owned::Text("one".to_owned()), Owned::Binary(b"two".to_vec())];
    assert_eq!(decode(128, &frames, &[6, 3, 6, 3]), (expected, None));
}

#[test]
fn a_connection_at_rest_keeps_two_words() {
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn close_frames_cut_long_reasons_between_characters() {
    let mut out = Vec::new();
    close_frame(&mut out, Some(1008), &"ü".repeat(100));
    assert_eq!(out.len(), 2 + 2 + 122);
    assert!(std::str::from_utf8(&out[4..]).is_ok());
}

/// A message, the sizes its payload is fragmented into, and a control frame after each fragment.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Owned>)> {
    let payload = prop_oneof!["\\PC{0,80}".prop_map(Ok), proptest::collection::vec(any::<u8>(), 0..300).prop_map(Err)];
    let fragments = proptest::collection::vec((0_usize..100, proptest::option::of(0_u8..3)), 0..4);
    (payload, fragments).prop_map(|(payload, fragments)| {
        let (opcode, bytes, message) = match &payload {
            Ok(text) => (0x01, text.as_bytes().to_vec(), Owned::Text(text.clone())),
            Err(bytes) => (0x02, bytes.clone(), Owned::Binary(bytes.clone())),
        };
        let (mut wire, mut events, mut rest, mut opcode) = (Vec::new(), Vec::new(), bytes.as_slice(), opcode);
        for (size, control) in fragments {
            let (front, back) = rest.split_at(size.min(rest.len()));
            wire.extend(client(opcode, front));
            (rest, opcode) = (back, 0);
            match control {
                Some(0) => (wire.extend(client(PING, front)), events.push(Owned::Ping(front.to_vec()))).1,
                Some(1) => (wire.extend(client(PONG, b"")), events.push(Owned::Pong)).1,
                _ => {}
            }
        }
        wire.extend(client(opcode | 0x80, rest));
        events.push(message);
        (wire, events)
    })
}

proptest! {
    #[test]
    fn any_split_of_a_valid_stream_gives_the_same_messages(
        messages in proptest::collection::vec(message(), 1..6),
        pieces in proptest::collection::vec(1_usize..40, 1..20),
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(|(wire, _)| wire.clone()).collect();
        let expected: Vec<Owned> = messages.into_iter().flat_map(|(_, events)| events).collect();
        prop_assert_eq!(decode(4096, &wire, &[usize::MAX]), (expected.clone(), None));
        prop_assert_eq!(decode(4096, &wire, &pieces), (expected, None));
    }

    #[test]
    fn any_bytes_are_decoded_alike_however_they_are_split_and_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        pieces in proptest::collection::vec(1_usize..9, 1..20),
    ) {
        let whole = decode(200, &bytes, &[usize::MAX]);
        let split = decode(200, &bytes, &pieces);
        prop_assert_eq!(&whole.0[..], &split.0[..]);
        prop_assert_eq!(whole.1.is_some() || split.1.is_none(), true);
    }

    #[test]
    fn streams_with_one_byte_changed_never_panic(
        message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut wire = message.0;
        let at = at.index(wire.len());
        wire[at] = byte;
        decode(200, &wire, &[5]);
    }

    #[test]
    fn unmasking_in_pieces_is_unmasking_at_once(bytes in proptest::collection::vec(any::<u8>(), 0..100), cut in 0_usize..100) {
        let mut whole = bytes.clone();
        mask::unmask(&mut whole, MASK, 0);
        let mut split = bytes;
        let cut = cut.min(split.len());
        let (a, b) = split.split_at_mut(cut);
        mask::unmask(a, MASK, 0);
        mask::unmask(b, MASK, cut);
        prop_assert_eq!(whole, split);
    }
}

#[test]
fn compressed_messages_are_read_however_the_bytes_come() {
    let text = "a message that is long enough to be worth it, again and again and again and again";
    let small = deflate(text.as_bytes()).unwrap();
    let (head, tail) = small.split_at(small.len() / 2);
    let bytes = [
        client(TEXT | COMPRESSED, &small),
        client(TEXT, b"plain"),
        client(0x01 | COMPRESSED, head),
        client(PING, b"p"),
        client(0x80, tail),
    ]
    .concat();
    let expected =
        [Owned::Text(text.into()), Owned::Text("plain".into()), Owned::Ping(b"p".into()), Owned::Text(text.into())];
    for size in 1..bytes.len() {
        let (events, violation) = decode_by(Decoder::new(text.len()).inflating(true), &bytes, &[size]);
        assert_eq!((&events[..], violation), (&expected[..], None), "in pieces of {size}");
    }
}

#[test]
fn compression_is_refused_where_it_was_not_agreed_on_or_makes_no_sense() {
    let small = deflate(&[b'a'; 100]).unwrap();
    let not_text = deflate(&[0xff; 100]).unwrap();
    let cases = [
        ("not agreed on", false, client(TEXT | COMPRESSED, &small), 1002),
        ("a compressed ping", true, client(PING | COMPRESSED, b""), 1002),
        ("on a continuation", true, [client(0x01, b"a"), client(0x80 | COMPRESSED, &small)].concat(), 1002),
        ("broken data", true, client(TEXT | COMPRESSED, &[0x06; 20]), 1007),
        ("not UTF-8 inside", true, client(TEXT | COMPRESSED, &not_text), 1007),
        ("too large inside", true, client(TEXT | COMPRESSED, &deflate(&[b'a'; 101]).unwrap()), 1009),
    ];
    for (what, agreed, bytes, code) in cases {
        let (events, violation) = decode_by(Decoder::new(100).inflating(agreed), &bytes, &[bytes.len()]);
        assert_eq!((events, violation.map(Violation::code)), (vec![], Some(code)), "{what}");
    }
}
