//! What messages say: their sender, their number among his, and when they were due, so that loss, disorder and damage
//! show in any protocol that carries a text.
//!
//! A text is `~#~LANE COUNT MICROS ` and words that depend on the count, up to the wanted length. A lane
//! is one sender in one room; its messages count from 0.

use std::fmt::Write;

use memchr::memmem::Finder;

const MARK: &str = "~#~";
/// Words that messages are made of, as many as a number of six bits has values: what people write compresses neither as
/// well as one letter nor as badly as chance.
const WORDS: [&str; 64] = [
    "the", "kettle", "is", "on", "who", "wants", "tea", "before", "we", "start", "train", "was", "late", "again", "so",
    "give", "me", "ten", "minutes", "sorry", "did", "anyone", "look", "at", "red", "build", "from", "this", "morning",
    "it", "fails", "here", "too", "lunch", "noon", "by", "river", "if", "stays", "dry", "can", "you", "send", "that",
    "picture", "of", "your", "dog", "once", "more", "charger", "broke", "back", "soon", "yes", "and", "no", "ask",
    "her", "when", "done", "with", "my", "keys",
];

/// One message as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) lane: u32,
    pub(crate) count: u64,
    /// When it was due, in microseconds of the generator's time.
    pub(crate) due: u64,
}

impl Sent {
    /// The text, of `bytes` bytes.
    pub(crate) fn text(self, bytes: usize) -> String {
        let Self { lane, count, due } = self;
        let mut text = String::with_capacity(bytes);
        // Writing to a string does not fail.
        let _ = write!(text, "{MARK}{lane} {count} {due} ");
        let left = bytes.saturating_sub(text.len());
        text.extend(self.prose().take(left));
        text
    }

    fn prose(self) -> impl Iterator<Item = char> {
        let step =
            |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let states = std::iter::successors(step(&self.count), step);
        states.flat_map(|state| WORDS[(state >> 58) as usize].chars().chain([' ']))
    }
}

/// Finds messages in what a server sent.
pub(crate) struct Scan {
    mark: Finder<'static>,
    seq: Finder<'static>,
}

impl Scan {
    pub(crate) fn new() -> Self {
        Self { mark: Finder::new(MARK), seq: Finder::new(r#"{"seq":"#) }
    }

    /// How many messages.
    pub(crate) fn count(&self, payload: &[u8]) -> u64 {
        self.mark.find_iter(payload).count() as u64
    }

    /// Each message, or none where one is not as it was sent.
    pub(crate) fn read(&self, payload: &[u8], bytes: usize, mut each: impl FnMut(Option<Sent>)) {
        for at in self.mark.find_iter(payload) {
            each(payload.get(at..at + bytes).and_then(parse));
        }
    }

    /// The last seq in a native `messages` frame.
    pub(crate) fn last_seq(&self, payload: &[u8]) -> Option<u64> {
        // Frames are short while someone asks for it: a cut comes at a low rate.
        let at = self.seq.find_iter(payload).last()?;
        Some(number(&payload[at + 7..]))
    }
}

fn parse(text: &[u8]) -> Option<Sent> {
    let mut words = std::str::from_utf8(text).ok()?.strip_prefix(MARK)?.splitn(4, ' ');
    let sent = Sent {
        lane: words.next()?.parse().ok()?,
        count: words.next()?.parse().ok()?,
        due: words.next()?.parse().ok()?,
    };
    words.next()?.chars().zip(sent.prose()).all(|(found, meant)| found == meant).then_some(sent)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sent = Sent { lane: 7, count: 27, due: 123_456 };

    #[test]
    fn a_text_is_found_anywhere_in_a_name() {
        let text = SENT.text(100);
        assert_eq!(text.len(), 100);
        let (scan, mut read) = (Scan::new(), Vec::new());
        let payload =
            format!(r#"{{"op":"messages","items":[{{"seq":8,"body":"{text}"}},{{"seq":19,"body":"{text}"}}]}}"#);
        scan.read(payload.as_bytes(), 100, |sent| read.push(sent));
        assert_eq!((scan.count(payload.as_bytes()), read), (2, vec![Some(SENT), Some(SENT)]));
        assert_eq!(scan.last_seq(payload.as_bytes()), Some(19));
        assert_eq!(scan.count(br#"{"op":"posted","id":1,"room":"r","seq":8,"duplicate":false}"#), 0);
    }

    #[test]
    fn a_damaged_or_short_text_is_none() {
        let text = SENT.text(100);
        for wrong in [text[..99].to_owned(), text.replacen('e', "i", 1), text.replacen("27", "28", 1)] {
            let mut read = Vec::new();
            Scan::new().read(wrong.as_bytes(), 100, |sent| read.push(sent));
            assert_eq!(read, [None], "{wrong}");
        }
    }
}
