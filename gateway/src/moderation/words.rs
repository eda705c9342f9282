//! The word filter: words and phrases that no message may contain.
//!
//! Decides when a text contains one. Text and words are compared in normalization form KC, in lower case, without characters
//! that cannot be seen, and with one space for any white space: full-width letters, soft hyphens and zero-width characters
//! hide nothing. In scripts with spaces a word is found as a whole word; in those without, such as Chinese, anywhere.
//! Never reads a file: [`super::word_list`] does.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, StartKind};
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed,
    props::{BidiControl, DefaultIgnorableCodePoint, Script},
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

const NFKC: ComposingNormalizerBorrowed<'_> = ComposingNormalizerBorrowed::new_nfkc();
const IGNORABLE: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<DefaultIgnorableCodePoint>();
const BIDI: CodePointSetDataBorrowed<'_> = CodePointSetData::new::<BidiControl>();
const SCRIPT: CodePointMapDataBorrowed<'_, Script> = CodePointMapData::<Script>::new();

/// Largest list in bytes: what a ConfigMap may hold.
pub(super) const LIST_BYTES: usize = 1 << 20;

/// Why a list is none.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    #[error("the list has {0} bytes; at most {LIST_BYTES}")]
    TooLarge(usize),
    #[error("the list is not UTF-8")]
    NotText,
    #[error("failed to build the filter: {0}")]
    Build(#[from] BuildError),
}

/// A list of at most so many bytes is searched for by a table with a row for each of them and a column for each character:
/// some 8 MB. Larger ones take less memory and several times as long.
const TABLE_BYTES: usize = 32 * 1024;

/// The words and phrases of a list.
#[derive(Clone, Debug)]
pub struct Words {
    /// None: the list is empty.
    found: Option<AhoCorasick>,
    /// Some of them have spaces, so how many there are in a text makes a difference.
    with_spaces: bool,
}

impl Words {
    /// Reads a list: one word or phrase a line; empty lines, and what begins with `#`, say nothing.
    pub fn read(list: &[u8]) -> Result<Self, WordsError> {
        if list.len() > LIST_BYTES {
            return Err(WordsError::TooLarge(list.len()));
        }
        let list = std::str::from_utf8(list).map_err(|_| WordsError::NotText)?;
        let lines = list.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let words: Vec<_> = lines.map(folded).filter(|word| !word.is_empty()).collect();
        let with_spaces = words.iter().any(|word| word.contains(' '));
        let bytes: usize = words.iter().map(String::len).sum();
        let mut build = AhoCorasick::builder();
        // Most texts need no copy in lower case then.
        build.ascii_case_insensitive(true).start_kind(StartKind::Unanchored);
        build.kind((bytes <= TABLE_BYTES).then_some(AhoCorasickKind::DFA));
        let found = (!words.is_empty()).then(|| build.build(words)).transpose()?;
        Ok(Self { found, with_spaces })
    }

    /// Whether one of them is in `text`.
    pub fn are_in(&self, text: &str) -> bool {
        let Some(found) = &self.found else { return false };
        let as_it_is = is_plain(text) && !(self.with_spaces && text.contains("  "));
        let text: Cow<'_, str> = if as_it_is { text.into() } else { folded(text).into() };
        found.find_overlapping_iter(text.as_ref()).any(|found| is_whole(&text, found.start(), found.end()))
    }

    /// Whether one of them is in any string value of a JSON object, at any depth. Keys are not looked at.
    pub fn are_in_body(&self, body: &RawValue) -> bool {
        let mut found = false;
        if self.found.is_some() {
            let mut reader = serde_json::Deserializer::from_str(body.get());
            // What cannot be read was no body; readers are shown what could be.
            let _ = Strings { words: self, found: &mut found }.deserialize(&mut reader);
        }
        found
    }
}

/// Whether a text is printable ASCII, which is searched as it is. Without an early end, so that many bytes are looked at at
/// once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte))
}

/// As texts are compared, but for the case of ASCII.
fn folded(text: &str) -> String {
    let is_hidden = |c: char| match c.is_ascii() {
        true => c.is_control() && !c.is_whitespace(),
        false => IGNORABLE.contains(c) || BIDI.contains(c),
    };
    let visible = text.chars().filter(|c| !is_hidden(*c));
    let mut folded = String::with_capacity(text.len());
    // Some letters with marks have a composed form in lower case alone, hence once more.
    for c in NFKC.normalize_iter(NFKC.normalize_iter(visible).flat_map(char::to_lowercase)) {
        match c.is_whitespace() {
            true if folded.ends_with(' ') || folded.is_empty() => {}
            true => folded.push(' '),
            false => folded.push(c),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Whether `start..end` begins and ends where words do.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let (before, after) = (text[..start].chars().next_back(), text[end..].chars().next());
    let (first, last) = (text[start..end].chars().next(), text[start..end].chars().next_back());
    let joins = |a: Option<char>, b: Option<char>| a.is_some_and(is_spaced_letter) && b.is_some_and(is_spaced_letter);
    !joins(before, first) && !joins(last, after)
}

/// A letter or digit of a script that puts spaces between words.
fn is_spaced_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    let without = [
        Script::Han,
        Script::Hiragana,
        Script::Katakana,
        Script::Bopomofo,
        Script::Hangul,
        Script::Thai,
        Script::Lao,
        Script::Khmer,
        Script::Myanmar,
        Script::Tibetan,
        Script::Yi,
    ];
    c.is_alphanumeric() && !without.contains(&SCRIPT.get(c))
}

/// Looks through the strings of a JSON value.
struct Strings<'a> {
    words: &'a Words,
    found: &'a mut bool,
}

impl Strings<'_> {
    fn again(&mut self) -> Strings<'_> {
        Strings { words: self.words, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Strings<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.found = *self.found || self.words.are_in(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(self.again())?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &str) -> Words {
        Words::read(list.as_bytes()).unwrap()
    }

    #[test]
    fn words_are_found_whole_and_in_any_case() {
        let words = words("# a comment\n\n  ass \nBad Word\nк\u{301}от\n");
        for text in ["ass", "what an ASS!", "an-ass", "bad word", "a BAD\t\n word.", "К\u{301}ОТ"] {
            assert!(words.are_in(text), "{text}");
        }
        for text in ["class", "assess", "badword", "bad, word", "# a comment", "", "a comment", "ass2"] {
            assert!(!words.are_in(text), "{text}");
        }
    }

    #[test]
    fn nothing_that_cannot_be_seen_hides_a_word() {
        let words = words("secret\nﬁne");
        for text in [
            "se\u{200b}cret",
            "se\u{1}cret",
            "s\u{ad}ecret",
            "ｓｅｃｒｅｔ",
            "𝓼𝓮𝓬𝓻𝓮𝓽",
            "se\u{202e}cret",
            "\u{feff}secret",
            "fine",
            "ﬁne",
        ] {
            assert!(words.are_in(text), "{text}");
        }
    }

    #[test]
    fn scripts_without_spaces_are_searched_anywhere() {
        let words = words("坏话\nばか\nห้าม");
        for text in ["这是坏话吗", "坏话", "おばかさん", "ข้อห้ามนี้", "abc坏话abc"] {
            assert!(words.are_in(text), "{text}");
        }
        assert!(!words.are_in("坏 话"));
        assert!(!words.are_in("好话"));
    }

    #[test]
    fn one_word_within_another_does_not_hide_it() {
        assert!(words("a b c\nb").are_in("x b x"));
        assert!(words("abcd\nbc").are_in("bc"));
        assert!(words("one two\ntwo").are_in("someone two"));
    }

    #[test]
    fn every_string_of_a_body_is_looked_at_and_no_key() {
        let words = words("secret");
        let body = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        for text in [
            r#"{"text":"a secret"}"#,
            r#"{"text":"a","more":[1,true,null,{"deep":["SECRET"]}]}"#,
            r#"{"text":"\u0073ecret"}"#,
        ] {
            assert!(words.are_in_body(&body(text)), "{text}");
        }
        for text in [r#"{"secret":"a"}"#, r#"{"text":"fine","n":-1.5e9}"#, "{}"] {
            assert!(!words.are_in_body(&body(text)), "{text}");
        }
    }

    #[test]
    fn a_list_is_bounded_text() {
        assert!(matches!(Words::read(&vec![b'a'; LIST_BYTES + 1]), Err(WordsError::TooLarge(_))));
        assert!(matches!(Words::read(b"\xff"), Err(WordsError::NotText)));
        assert!(!words("# nothing\n\u{200b}\n").are_in("anything"));
    }
}
