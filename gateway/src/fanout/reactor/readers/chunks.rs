//! What a chunk is to a reader: how many entries, and which of its bytes.

use std::ops::Range;

use crate::{fanout::encoding::Chunk, rooms::Origin};

/// Entries in `chunk`.
pub(super) fn entries(chunk: &Chunk) -> u64 {
    chunk.seqs.map_or(0, |(first, last)| (last + 1).saturating_sub(first))
}

/// Calls `run` with the runs of `chunk` that the connection `origin` may see, none of them empty.
pub(super) fn visible(chunk: &Chunk, origin: Origin, mut run: impl FnMut(Range<usize>)) {
    let mut at = 0;
    for hidden in chunk.hidden.iter().filter(|hidden| hidden.from == origin) {
        if at < hidden.start as usize {
            run(at..hidden.start as usize);
        }
        at = hidden.end as usize;
    }
    if at < chunk.bytes.len() {
        run(at..chunk.bytes.len());
    }
}
