//! What people and rooms may be called: one rule for all protocols.
//!
//! A name is shown to others. It has one line and something to see, and nothing in it that cannot be seen: two names that
//! look the same would be two people. Emoji are put together with such characters, and may keep them.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointSetData, CodePointSetDataBorrowed,
    props::{BidiControl, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic},
};

const NFC: ComposingNormalizerBorrowed<'_> = ComposingNormalizerBorrowed::new_nfc();
const IGNORABLE: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<DefaultIgnorableCodePoint>();
const BIDI: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<BidiControl>();
pub(super) const EMOJI: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<Emoji>();
pub(super) const PICTURE: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<ExtendedPictographic>();
pub(super) const MODIFIER: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<EmojiModifier>();

pub(super) const JOINER: char = '\u{200d}';
const TEXT_STYLE: char = '\u{fe0e}';
pub(super) const EMOJI_STYLE: char = '\u{fe0f}';
pub(super) const KEYCAP: char = '\u{20e3}';
/// The only emoji that tags follow, as in the flag of Scotland.
const FLAG: char = '\u{1f3f4}';
const TAGS: std::ops::RangeInclusive<char> = '\u{e0020}'..='\u{e007f}';
/// A letter of braille without a dot. Unicode counts it as visible.
const BRAILLE_BLANK: char = '\u{2800}';

/// Longest name of a person, in characters.
pub const MAX_NAME_CHARS: usize = 64;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("has control characters or line breaks")]
    Control,
    #[error("has characters that cannot be seen, or that change the direction of text")]
    Invisible,
    #[error("has nothing to see")]
    Blank,
}

/// Whether `text` may be shown as a name. Does not look at its length.
pub fn check_name(text: &str) -> Result<(), NameFault> {
    if text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(NameFault::Control);
    }
    let chars: Vec<char> = text.chars().collect();
    if (0..chars.len()).any(|at| is_hidden(chars[at]) && !is_part_of_emoji(&chars, at)) {
        return Err(NameFault::Invisible);
    }
    let visible = |c: &char| !c.is_whitespace() && !is_hidden(*c) && *c != BRAILLE_BLANK;
    if chars.iter().any(visible) { Ok(()) } else { Err(NameFault::Blank) }
}

/// `text` in normalization form C, in which what looks the same is the same.
pub fn normalized(text: &str) -> Cow<'_, str> {
    NFC.normalize(text)
}

/// Whether `text` is in normalization form C.
pub fn is_normalized(text: &str) -> bool {
    NFC.is_normalized(text)
}

fn is_hidden(c: char) -> bool {
    // Most characters of most names.
    !c.is_ascii() && (IGNORABLE.contains(c) || BIDI.contains(c))
}

/// Whether the hidden character at `at` has its place in an emoji, as UTS 51 puts them together.
fn is_part_of_emoji(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| chars[before]);
    let after = chars.get(at + 1).copied();
    match chars[at] {
        EMOJI_STYLE | TEXT_STYLE => {
            before.is_some_and(|c| PICTURE.contains(c) || (EMOJI.contains(c) && after == Some(KEYCAP)))
        }
        JOINER => {
            let styled = before == Some(EMOJI_STYLE);
            let joined = if styled { at.checked_sub(2).map(|at| chars[at]) } else { before };
            let first = joined.is_some_and(|c| PICTURE.contains(c) || MODIFIER.contains(c));
            first && after.is_some_and(|c| PICTURE.contains(c))
        }
        tag if TAGS.contains(&tag) => chars[..at].iter().rev().find(|c| !TAGS.contains(*c)) == Some(&FLAG),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_world_and_emoji_are_names() {
        let names = [
            "ada",
            " ada ",
            "Ångström",
            "名前",
            "يوسف",
            "אבא",
            "José",
            "नमस्ते",
            "👍",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "👩\u{200d}👩\u{200d}👧",
            "👩🏽\u{200d}🚀",
            "🏳\u{fe0f}\u{200d}🌈",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        ];
        for name in names {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_looks_like_nothing_or_like_something_else_is_no_name() {
        for name in ["", " ", "\u{a0}", "\u{3000}", "\u{2800}"] {
            assert_eq!(check_name(name), Err(NameFault::Blank), "{name:?}");
        }
        let hidden = [
            "\u{200b}",
            "\u{feff}",
            "a\u{200b}",
            "\u{202e}gnp.exe",
            "a\u{2066}b",
            "a\u{200d}b",
            "a\u{fe0f}",
            "\u{3164}",
            "1\u{fe0f}",
            "1\u{200d}2",
            "a\u{e0041}",
            "\u{115f}",
            "👩\u{200d}",
            "\u{200d}👩",
            "a\u{ad}b",
            "a\u{34f}b",
        ];
        for name in hidden {
            assert_eq!(check_name(name), Err(NameFault::Invisible), "{name:?}");
        }
        for name in ["a\nb", "\0", "a\u{85}", "a\u{2028}b"] {
            assert_eq!(check_name(name), Err(NameFault::Control), "{name:?}");
        }
    }

    #[test]
    fn the_same_letters_are_the_same_name() {
        assert_eq!(normalized("e\u{301}"), "\u{e9}");
        assert!(is_normalized("\u{e9}") && !is_normalized("e\u{301}"));
    }

    proptest! {
        #[test]
        fn no_hidden_character_passes_between_letters(c in any::<char>()) {
            let name = format!("a{c}b");
            let hidden = is_hidden(c) || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert_eq!(check_name(&name).is_err(), hidden);
        }
    }
}
