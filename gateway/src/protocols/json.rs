//! Reading JSON as clients of many ages write it: one pass, nothing copied, the last of duplicate keys counts (as in
//! JavaScript), unknown keys are skipped. Decides nothing about meaning; called by the sessions that speak JSON.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Deepest nesting of a frame that is passed on: what common JSON readers take, so that no client breaks another.
const MAX_DEPTH: usize = 127;
/// Levels that the frames of this server put around a value at most: an item in a list in an object.
const WRAPPING: usize = 3;

/// The values of `names` in a JSON object, absent ones as None; None when `text` is no JSON object.
pub(crate) fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    Fields { names, same: |key, name| key == name }.read(text)
}

/// The same, with keys in any case, as Go's decoder takes them.
pub(crate) fn fields_any_case<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    Fields { names, same: str::eq_ignore_ascii_case }.read(text)
}

type Same = fn(&str, &str) -> bool;

struct Fields<'n, const N: usize> {
    names: [&'n str; N],
    same: Same,
}

impl<const N: usize> Fields<'_, N> {
    fn read(self, text: &str) -> Option<[Option<&RawValue>; N]> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = self.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(found)
    }
}

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(Index(&self.names, self.same))? {
            match index {
                Some(index) => found[index] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Finds a key among names without copying it.
struct Index<'n>(&'n [&'n str], Same);

impl<'de> DeserializeSeed<'de> for Index<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Index<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| (self.1)(key, name)))
    }
}

/// A JSON object with some values set: in place where the key is there (the first of duplicates stays where it is and
/// takes the last one's value, as in JavaScript), else at the end. None when `text` is no JSON object.
pub(crate) fn with(text: &str, set: &[(&str, &str)]) -> Option<String> {
    let members = serde_json::from_str::<Members<'_>>(text).ok()?.0;
    let mut known: Vec<(String, &str)> = Vec::with_capacity(members.len() + set.len());
    let values = members.iter().map(|(key, value)| (key.as_str(), value.get()));
    for (key, value) in values.chain(set.iter().copied()) {
        match known.iter_mut().find(|(known, _)| known == key) {
            Some(member) => member.1 = value,
            None => known.push((key.to_owned(), value)),
        }
    }
    let member = |(key, value): (String, &str)| format!("{}:{value}", write(&key));
    Some(format!("{{{}}}", known.into_iter().map(member).collect::<Vec<_>>().join(",")))
}

/// Most members of an object that is rewritten: it is searched for each key, and clients send ten.
const MAX_MEMBERS: usize = 64;

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    if members.len() == MAX_MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Read)
    }
}

/// The value as `T`; None when it is of another type.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// The value as text, when it is a JSON string.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    read::<Text<'_>>(raw).map(|text| text.0)
}

/// A string that borrows where nothing is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// True when the bytes are one JSON value in UTF-8.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// `value` as compact JSON.
pub(crate) fn write<T: serde::Serialize>(value: &T) -> String {
    // Cannot fail: the protocols' replies are structs of strings, numbers and raw JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// `value` as raw compact JSON.
pub(crate) fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// True when a frame nests at most 127 deep.
pub(crate) fn shallow(frame: &str) -> bool {
    depth(frame) <= MAX_DEPTH
}

/// How deep brackets nest.
fn depth(json: &str) -> usize {
    let mut deepest = 0;
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// True when every reader can take the value inside a frame: numbers in range, escapes that are Unicode, nesting of at
/// most 124 levels.
pub(crate) fn portable(json: &RawValue) -> bool {
    depth(json.get()) <= MAX_DEPTH - WRAPPING && serde_json::from_str::<Portable>(json.get()).is_ok()
}

struct Portable;

impl<'de> Deserialize<'de> for Portable {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Portable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_of(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_last_of_duplicate_keys_counts_and_unknown_ones_are_skipped() {
        let [a, b, c] = fields(r#"{"a":1,"x":{"a":9},"\u0061":[2],"b":null}"#, ["a", "b", "c"]).unwrap();
        assert_eq!(a.unwrap().get(), "[2]");
        assert_eq!(b.unwrap().get(), "null");
        assert!(c.is_none());
    }

    #[test]
    fn values_are_set_where_their_keys_are() {
        let text = r#"{ "b": 1.0, "a": [ 1 ], "b": "x" }"#;
        assert_eq!(with(text, &[("a", "2"), ("c", "3")]).unwrap(), r#"{"b":"x","a":2,"c":3}"#);
        assert!(with("[]", &[]).is_none());
        assert!(with(&format!("{{{}}}", vec![r#""a":1"#; 65].join(",")), &[]).is_none());
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for text in ["", "5", "null", "[]", "\"a\"", "{", "{}x", "{\"a\"}", "{a:1}"] {
            assert!(fields(text, ["a"]).is_none(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_seen_outside_strings_only() {
        assert!(shallow(&format!("{}{}", "[".repeat(127), "]".repeat(127))));
        assert!(!shallow(&format!("{}{}", "[".repeat(128), "]".repeat(128))));
        assert!(shallow(&format!(r#""\"{}""#, "[".repeat(500))));
    }

    #[test]
    fn a_value_that_some_reader_would_refuse_is_not_portable() {
        assert!(portable(&raw_of(r#"{"a":[1,-2.5,true,null,"\ud83d\ude00"]}"#)));
        assert!(!portable(&raw_of(r#"{"a":"\ud800"}"#)));
        assert!(!portable(&raw_of(r#"{"a":1e999}"#)));
        assert!(portable(&raw_of(&format!("{}{}", "[".repeat(124), "]".repeat(124)))));
        assert!(!portable(&raw_of(&format!("{}{}", "[".repeat(125), "]".repeat(125)))));
    }
}
