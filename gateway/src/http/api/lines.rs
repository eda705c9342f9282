//! Cuts a stream of bytes into lines. Decides where a line ends and which is too long; never looks into one.

use bytes::{Bytes, BytesMut};

/// What came of a stream and is not cut yet.
#[derive(Debug)]
pub(super) struct Lines {
    rest: BytesMut,
    /// Where no line end is before.
    searched: usize,
    /// The line under way was too long: what is left of it is thrown away.
    skipping: bool,
    limit: usize,
}

/// A line has more bytes than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Lines of at most `limit` bytes each, their ends not counted.
    pub(super) fn new(limit: usize) -> Self {
        Self { rest: BytesMut::new(), searched: 0, skipping: false, limit }
    }

    /// Takes what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole line; empty ones are left out. A line that is too long is reported once, as soon as it is.
    pub(super) fn next(&mut self) -> Option<Result<Bytes, TooLong>> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.rest[self.searched..]) else { return self.unfinished() };
            let line = self.rest.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            match self.finished(line.slice(..line.len() - 1)) {
                None => {}
                line => return line,
            }
        }
    }

    /// The last line, which needs no end: nothing more comes.
    pub(super) fn last(&mut self) -> Option<Result<Bytes, TooLong>> {
        let line = std::mem::take(&mut self.rest).freeze();
        self.searched = 0;
        if std::mem::take(&mut self.skipping) { None } else { self.finished(line) }
    }

    fn finished(&self, line: Bytes) -> Option<Result<Bytes, TooLong>> {
        match line.trim_ascii() {
            [] => None,
            _ if line.len() > self.limit => Some(Err(TooLong)),
            _ => Some(Ok(line)),
        }
    }

    /// No line ends yet. What is too long already is not kept.
    fn unfinished(&mut self) -> Option<Result<Bytes, TooLong>> {
        self.searched = self.rest.len();
        if self.rest.len() <= self.limit && !self.skipping {
            return None;
        }
        self.rest.clear();
        self.searched = 0;
        let reported = std::mem::replace(&mut self.skipping, true);
        (!reported).then_some(Err(TooLong))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(bytes: &[u8], piece: usize, limit: usize) -> Vec<Result<Vec<u8>, TooLong>> {
        let (mut lines, mut found) = (Lines::new(limit), Vec::new());
        for piece in bytes.chunks(piece) {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.next()));
            assert!(lines.rest.len() <= limit + 1, "what is held is bounded");
        }
        found.extend(lines.last());
        found.into_iter().map(|line| line.map(|line| line.to_vec())).collect()
    }

    #[test]
    fn lines_end_with_a_line_feed_or_with_the_stream() {
        let lines = cut(b"one\n\n two\r\n   \nthree", 4, 100);
        assert_eq!(lines, [Ok(b"one".to_vec()), Ok(b" two\r".to_vec()), Ok(b"three".to_vec())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_once_and_the_next_one_is_read() {
        for piece in 1..20 {
            let lines = cut(b"123456789\nok\n12345\n1234567", piece, 5);
            assert_eq!(lines, [Err(TooLong), Ok(b"ok".to_vec()), Ok(b"12345".to_vec()), Err(TooLong)], "{piece}");
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_come(text in "[ab\\n]{0,200}", piece in 1_usize..50, limit in 1_usize..20) {
            prop_assert_eq!(cut(text.as_bytes(), piece, limit), cut(text.as_bytes(), text.len().max(1), limit));
        }
    }
}
