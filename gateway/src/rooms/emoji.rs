//! What a reaction may be: one emoji.
//!
//! Decides by the grammar of emoji sequences in UTS 51. Never looks at whether a font has it. Called for what clients send.

use super::text::{EMOJI, EMOJI_STYLE, JOINER, KEYCAP, MODIFIER, PICTURE};

/// Longest emoji in bytes. A family of four with skin tones has 41, the flag of Scotland 28.
pub const MAX_BYTES: usize = 64;

/// First and last letter of flags of countries, which are pairs of them.
const LETTERS: std::ops::RangeInclusive<char> = '\u{1f1e6}'..='\u{1f1ff}';
const TAG_LETTERS: std::ops::RangeInclusive<char> = '\u{e0020}'..='\u{e007e}';
const TAG_END: char = '\u{e007f}';

/// Whether `text` is one emoji, with at most [`MAX_BYTES`].
pub fn is_emoji(text: &str) -> bool {
    text.len() <= MAX_BYTES && sequence(text.chars().collect::<Vec<_>>().as_slice())
}

/// One element, or several with joiners between them.
fn sequence(chars: &[char]) -> bool {
    let mut rest = chars;
    loop {
        let Some(after) = element(rest) else { return false };
        match after {
            [] => return true,
            [JOINER, more @ ..] => rest = more,
            _ => return false,
        }
    }
}

/// What follows the element at the beginning, if there is one.
fn element(chars: &[char]) -> Option<&[char]> {
    match chars {
        [first, second, rest @ ..] if LETTERS.contains(first) && LETTERS.contains(second) => Some(rest),
        [base, EMOJI_STYLE, KEYCAP, rest @ ..] if EMOJI.contains(*base) => Some(rest),
        [base, rest @ ..] if PICTURE.contains(*base) => Some(modified(rest)),
        _ => None,
    }
}

/// What follows the colour of a skin, the style or the tags of an emoji.
fn modified(rest: &[char]) -> &[char] {
    match rest {
        [modifier, rest @ ..] if MODIFIER.contains(*modifier) => rest,
        [EMOJI_STYLE, rest @ ..] => rest,
        _ => {
            let tags = rest.iter().take_while(|tag| TAG_LETTERS.contains(*tag)).count();
            match rest.get(tags) {
                Some(&TAG_END) if tags > 0 => &rest[tags + 1..],
                _ => rest,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_of_any_kind_is_a_reaction() {
        let emoji = [
            "👍",
            "👍🏽",
            "❤",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "#\u{fe0f}\u{20e3}",
            "🇺🇦",
            "👩\u{200d}👩\u{200d}👧",
            "👩🏽\u{200d}🚀",
            "🏳\u{fe0f}\u{200d}🌈",
            "👩🏽\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}👨🏿",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        ];
        for emoji in emoji {
            assert!(is_emoji(emoji), "{emoji}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let others = [
            "",
            "a",
            "1",
            "#",
            "👍👍",
            "👍 ",
            " 👍",
            "👍a",
            ":+1:",
            "🇺",
            "🇺🇦🇺🇦",
            "\u{200d}👍",
            "👍\u{200d}",
            "\u{fe0f}",
            "1\u{fe0f}",
            "🏴\u{e0067}",
            "👍\0",
        ];
        for other in others {
            assert!(!is_emoji(other), "{other:?}");
        }
        let endless = ["👩"; 10].join("\u{200d}");
        assert!(!is_emoji(&endless), "longer than its bound");
    }
}
