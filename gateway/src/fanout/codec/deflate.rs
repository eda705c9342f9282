//! permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so that one
//! compressed chunk serves all readers, and an idle connection holds no window.
//!
//! Decides what is worth compressing and how large a message may become. Compressor and decompressor are the thread's.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Violation;

/// Says that a message is compressed; beside the opcode of its first frame.
pub const COMPRESSED: u8 = 0x40;

/// Shorter payloads, in bytes, grow or hardly shrink.
const WORTH: usize = 64;

/// What a flush of the compressor ends with; left out on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Bytes that a compressed message may be longer than what it holds: stored blocks of random data.
pub(super) const fn overhead(limit: usize) -> usize {
    limit / 1000 + 64
}

thread_local! {
    // Some 300 and 50 KB, made on the threads that need them.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The payload of a compressed message; None where that would not be shorter.
pub fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() < WORTH {
        return None;
    }
    // What does not fit is not worth it; the compressor needs room for its tail besides.
    let mut out = Vec::with_capacity(payload.len() + TAIL.len());
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        compress.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        let whole = compress.total_in() == payload.len() as u64 && out.ends_with(&TAIL);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        (whole && out.len() < payload.len()).then_some(out)
    })
}

/// What a compressed message of at most `limit` bytes holds.
pub(super) fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::with_capacity(payload.len().saturating_mul(4).min(limit) + 1);
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        [payload, &TAIL].into_iter().try_for_each(|piece| append(decompress, piece, limit, &mut out))
    })?;
    Ok(out)
}

/// Decompresses `piece` to the end of `out`, which holds at most `limit` bytes.
fn append(decompress: &mut Decompress, mut piece: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Violation> {
    loop {
        let (taken, had) = (decompress.total_in(), out.len());
        let status =
            decompress.decompress_vec(piece, out, FlushDecompress::Sync).map_err(|_| Violation::Compression)?;
        if out.len() > limit {
            return Err(Violation::TooLarge);
        }
        let used = (decompress.total_in() - taken) as usize;
        piece = &piece[used..];
        if status == Status::StreamEnd {
            // A block may say that it is the last; what follows is independent of it.
            decompress.reset(false);
        } else if out.len() == out.capacity() {
            out.reserve(out.len().clamp(1, limit + 1));
            continue;
        }
        if piece.is_empty() {
            return Ok(());
        }
        if used == 0 && out.len() == had {
            return Err(Violation::Compression);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn compressed_text_inflates_to_itself(text in "[a-e]{64,4000}") {
            let small = deflate(text.as_bytes()).expect("a few letters shrink");
            prop_assert!(small.len() < text.len());
            prop_assert_eq!(inflate(&small, text.len()).unwrap(), text.as_bytes());
            prop_assert_eq!(inflate(&small, text.len() - 1), Err(Violation::TooLarge));
        }

        #[test]
        fn junk_is_refused_or_bounded(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(inflate(&junk, 1000).is_ok_and(|out| out.len() <= 1000) || inflate(&junk, 1000).is_err());
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // Section 7.2.3: a block, a stored block, a block that says it is the last, two blocks.
        for message in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(message, 5).unwrap(), b"Hello", "{message:x?}");
        }
    }

    #[test]
    fn a_bomb_goes_off_in_a_small_room() {
        let bomb = deflate(&vec![0; 10 << 20]).unwrap();
        assert!(bomb.len() < 64 << 10);
        assert_eq!(inflate(&bomb, 10_240), Err(Violation::TooLarge));
    }

    #[test]
    fn what_would_not_shrink_is_left_as_it_is() {
        let noise: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(deflate(&noise), None);
        assert_eq!(deflate(b"short"), None);
    }
}
