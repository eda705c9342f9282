//! What the members of a room are sent alike, one after the other: counted once, and compared from then on, which takes
//! the load generator a fraction of the time.

/// What the last member was sent, whole frames of messages and nothing else, and how many messages that is.
#[derive(Default)]
pub(super) struct Alike {
    bytes: Vec<u8>,
    messages: u64,
}

impl Alike {
    /// How many messages are in `bytes`, if that is known.
    pub(super) fn messages(&self, bytes: &[u8]) -> Option<u64> {
        (self.bytes == bytes).then_some(self.messages)
    }

    /// Notes how many messages are in `bytes`.
    pub(super) fn keep(&mut self, bytes: &[u8], messages: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.messages = messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_hold_as_many_messages() {
        let mut alike = Alike::default();
        alike.keep(b"two messages", 2);
        assert_eq!(alike.messages(b"two messages"), Some(2));
        assert_eq!([&b"two message"[..], b"two messages!", b"one message!", b""].map(|b| alike.messages(b)), [None; 4]);
    }
}
