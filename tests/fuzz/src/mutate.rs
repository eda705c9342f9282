//! Mutations for the bounded run, which has no coverage to follow: small changes, and pieces of other seeds.

use std::ops::Range;

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

/// Longest input that mutations make, in bytes; seeds may be longer.
const MAX_BYTES: usize = 8 * 1024;
/// Bytes at which decoders turn.
const BYTES: &[u8] = b"\x00\x01\x7e\x7f\x80\x81\xc0\xed\xfe\xff\n\r\"\\{}[]%+-:0";
/// Numbers at which they do.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1.5",
    "255",
    "65536",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
];

/// `seed` with one to eight changes; `others` lend pieces.
pub fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..random.random_range(1..=8) {
        change(&mut data, others, random);
    }
    data.truncate(MAX_BYTES.max(seed.len()));
    data
}

fn change(data: &mut Vec<u8>, others: &[Vec<u8>], random: &mut SmallRng) {
    let place = random.random_range(0..=data.len());
    match random.random_range(0..8) {
        0 if place < data.len() => data[place] ^= 1 << random.random_range(0..8),
        1 if place < data.len() => data[place] = random.random(),
        2 => data.insert(place, BYTES.choose(random).copied().unwrap_or_default()),
        3 => drop(data.drain(range(data, random))),
        4 => {
            let piece = data[range(data, random)].to_vec();
            let times = random.random_range(1..=16);
            data.splice(place..place, piece.repeat(times));
        }
        5 => {
            if let Some(other) = others.choose(random) {
                let piece = other[range(other, random)].to_vec();
                data.splice(place..place, piece);
            }
        }
        6 => {
            let number = NUMBERS.choose(random).copied().unwrap_or_default();
            data.splice(digits(data, place), number.bytes());
        }
        // A whole line of another seed.
        _ => {
            if let Some(other) = others.choose(random) {
                let lines: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
                let line = lines.choose(random).map(|line| line.to_vec()).unwrap_or_default();
                let begins = data[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                data.splice(begins..begins, line);
            }
        }
    }
}

fn range(data: &[u8], random: &mut SmallRng) -> Range<usize> {
    let start = random.random_range(0..=data.len());
    let longest = (data.len() - start).min(64);
    start..start + random.random_range(0..=longest)
}

/// The first number from `place` on, or nothing there.
fn digits(data: &[u8], place: usize) -> Range<usize> {
    match data[place..].iter().position(u8::is_ascii_digit) {
        Some(skipped) => {
            let start = place + skipped;
            let length = data[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            start..start + length
        }
        None => place..place,
    }
}
