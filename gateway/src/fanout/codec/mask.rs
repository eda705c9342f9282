//! Unmasking in place, eight bytes at a time.

/// Unmasks `bytes`, which begin `phase` bytes into their frame's payload.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], phase: usize) {
    let mut turned = mask;
    turned.rotate_left(phase % 4);
    let wide = u32::from_ne_bytes(turned);
    let wide = u64::from(wide) << 32 | u64::from(wide);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}
