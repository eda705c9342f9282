//! Section 7: how connections are closed.

use super::wire::{CLOSE, Case, FIN, PING, Step, TEXT, close, frame};

/// Codes that an endpoint may send.
const ALLOWED: [u16; 15] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999];

/// Codes that no close frame may hold.
const FORBIDDEN: [u16; 15] = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 32_768, 65_535];

/// 7: closing handshakes, and what is none.
pub(super) fn cases() -> Vec<Case> {
    let hello = || frame(FIN | TEXT, b"Hello");
    let back = Step::Message(TEXT, b"Hello".to_vec());
    let good = || Step::Send(close(1000, b""));
    let bye = || Step::Closed(Some(1000));
    let failed = |sent: Vec<u8>, code| vec![Step::Send(sent), Step::Closed(Some(code))];
    let mut cases = vec![
        Case::new("7.1.1", "a message and a close", vec![Step::Send(hello()), back.clone(), good(), bye()]),
        Case::new("7.1.2", "two closes", failed([close(1000, b""), close(1000, b"")].concat(), 1000)),
        Case::new("7.1.3", "a ping after a close", failed([close(1000, b""), frame(FIN | PING, b"")].concat(), 1000)),
        Case::new("7.1.4", "a message after a close", failed([close(1000, b""), hello()].concat(), 1000)),
        Case::new(
            "7.1.5",
            "the rest of a message after a close",
            failed([frame(TEXT, b"fragment1"), close(1000, b""), frame(FIN, b"fragment2")].concat(), 1000),
        ),
        Case::new(
            "7.1.6",
            "256 KiB, a close and a ping",
            vec![
                Step::Send([frame(FIN | TEXT, &[b'b'; 256 << 10]), close(1000, b""), frame(FIN | PING, b"")].concat()),
                Step::Message(TEXT, vec![b'b'; 256 << 10]),
                bye(),
            ],
        ),
        Case::new("7.3.1", "a close without a code", vec![Step::Send(frame(FIN | CLOSE, b"")), Step::Closed(None)]),
        Case::new("7.3.2", "a close with half a code", failed(frame(FIN | CLOSE, b"a"), 1002)),
        Case::new("7.3.3", "a close with a code", failed(close(1000, b""), 1000)),
        Case::new("7.3.4", "a close with a reason", failed(close(1000, b"Hello World!"), 1000)),
        Case::new("7.3.5", "the longest reason", failed(close(1000, &[b'*'; 123]), 1000)),
        Case::new("7.3.6", "a reason that is too long", failed(close(1000, &[b'*'; 124]), 1002)),
        Case::new("7.5.1", "a reason that is no text", failed(close(1000, b"\xce\xba\xed\xa0\x80edited"), 1007)),
        Case::new("7.5.2", "a reason that is cut in a character", failed(close(1000, b"\xce"), 1007)),
        Case::new("7.6.1", "a close, one byte at a time", vec![Step::Chop(close(1000, b"bye"), 1), bye()]),
        Case::new("7.6.2", "a close in fragments", failed(frame(CLOSE, &[3, 232]), 1002)),
    ];
    for (n, code) in ALLOWED.into_iter().enumerate() {
        cases.push(Case::new(format!("7.7.{}", n + 1), format!("code {code}"), failed(close(code, b""), code)));
        let what = format!("code {code} with a reason");
        cases.push(Case::new(format!("7.7.{}", n + 1), what, failed(close(code, b"because"), code)));
    }
    for (n, code) in FORBIDDEN.into_iter().enumerate() {
        cases.push(Case::new(format!("7.9.{}", n + 1), format!("code {code}"), failed(close(code, b""), 1002)));
        let what = format!("code {code} with a reason");
        cases.push(Case::new(format!("7.9.{}", n + 1), what, failed(close(code, b"because"), 1002)));
    }
    cases
}
