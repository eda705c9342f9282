//! How large a chunk may be.

use std::sync::Arc;

use crate::rooms::Entry;

/// Bytes of entries in one chunk, except that one entry always fits: readers see the first lines of a long run early,
/// and a chunk stays a small part of a reactor's ring.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Runs of at most [`CHUNK_BYTES`], or of one entry.
pub(crate) fn split(mut entries: &[Arc<Entry>]) -> impl Iterator<Item = &[Arc<Entry>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&Arc<Entry>| {
            bytes += entry.size();
            bytes <= CHUNK_BYTES
        };
        let count = entries.iter().take_while(fits).count().max(1).min(entries.len());
        let (part, rest) = entries.split_at(count);
        entries = rest;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::model::entry;

    #[test]
    fn runs_are_split_without_losing_an_entry() {
        let entries: Vec<_> = (1..=3000).map(|seq| entry(seq, 1)).collect();
        let parts: Vec<_> = split(&entries).collect();
        assert!(parts.len() > 1);
        assert!(parts.concat().iter().map(|entry| entry.seq).eq(1..=3000));
        assert_eq!(split(&[]).count(), 0);
    }
}
