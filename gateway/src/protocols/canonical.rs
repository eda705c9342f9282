//! How a message of one protocol looks in another. The only place that decides this; pure.
//!
//! A message is stored as a JSON object, `body`, and where that is not the sender's payload itself, as that payload
//! too, byte for byte. Readers of the sender's protocol get the payload, all others what is made from the body.
//!
//! | writer | payload | body |
//! |---|---|---|
//! | native | is the body | any JSON object; `text` is what others show |
//! | onlyone | `chat_message` | `{"text":content}`; of pictures and voice `{"text":content,"type":…,"path":…}` |
//! | relay | `data` | `{"text":…}`: the first text in `content`, `text`, `msg` of a JSON object, else all of it |
//! | multiperson A | the frame | `{"text":message}` |
//! | multiperson C | the frame | `{"text":message}` |
//!
//! | reader | shows of a body |
//! |---|---|
//! | native | the body |
//! | onlyone | `{"type":"text","content":text}`; with a path `{"type":type,"path":path,"content":text}` |
//! | relay | `{"type":"text","from":name,"content":text}` |
//! | multiperson A | `{"user_name":name,"user_id":id,"type":"USER","message":text}` |
//! | multiperson C | a `MESSAGE` to the block with `"message":text` |
//!
//! Where a body has no `text`, its `path` is the text, and without that the JSON itself, so that nothing is invisible.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::json;

/// What any protocol can show of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    pub text: Cow<'a, str>,
    /// Kind and path of a picture or of voice.
    pub media: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads a stored body.
pub fn shown(body: &RawValue) -> Shown<'_> {
    let [text, kind, path] = json::fields(body.get(), ["text", "type", "path"]).unwrap_or_default();
    let text = text.and_then(json::string);
    let path = path.and_then(json::string);
    let fallback = || path.clone().unwrap_or(Cow::Borrowed(body.get()));
    let text = text.unwrap_or_else(fallback);
    let media = path.map(|path| (kind.and_then(json::string).unwrap_or(Cow::Borrowed("picture")), path));
    Shown { text, media }
}

/// The body of a message that is text alone.
pub fn text_body(text: &str) -> Box<RawValue> {
    media_body(Some(text), None)
}

/// The body of a message with a text, or with the kind and path of a picture or of voice, or both.
pub fn media_body(text: Option<&str>, media: Option<(&str, &str)>) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
    }
    json::raw(&Body { text, kind: media.map(|m| m.0), path: media.map(|m| m.1) })
}

/// The body of an opaque payload: its `content`, `text` or `msg` when it is a JSON object that has one, the text of a
/// JSON string, else the payload as UTF-8 with what is none replaced.
pub fn opaque_body(payload: &[u8]) -> Box<RawValue> {
    let all = String::from_utf8_lossy(payload);
    let found = json::fields(&all, ["content", "text", "msg"])
        .and_then(|fields| fields.into_iter().flatten().find_map(json::string))
        .or_else(|| serde_json::from_str::<String>(&all).ok().map(Cow::Owned));
    text_body(found.as_deref().unwrap_or(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_body_is_shown_by_its_text_then_its_path_then_as_it_is() {
        let table = [
            (r#"{"text":"hi"}"#, "hi", None),
            (r#"{"text":"a\nb","more":1}"#, "a\nb", None),
            (r#"{"type":"picture","path":"/a.png"}"#, "/a.png", Some(("picture", "/a.png"))),
            (r#"{"text":"look","type":"voice","path":"/v"}"#, "look", Some(("voice", "/v"))),
            (r#"{"path":"/a.png"}"#, "/a.png", Some(("picture", "/a.png"))),
            (r#"{"x":1}"#, r#"{"x":1}"#, None),
            (r#"{"text":5}"#, r#"{"text":5}"#, None),
        ];
        for (stored, text, media) in table {
            let stored = body(stored);
            let shown = shown(&stored);
            assert_eq!(shown.text, text);
            assert_eq!(shown.media.as_ref().map(|(k, p)| (k.as_ref(), p.as_ref())), media);
        }
    }

    #[test]
    fn an_opaque_payload_is_shown_by_its_field_or_as_it_is() {
        let table: [(&[u8], &str); 7] = [
            (br#"{"content":"a"}"#, r#"{"text":"a"}"#),
            (br#"{"type":"t","msg":"b"}"#, r#"{"text":"b"}"#),
            (br#"{"content":7,"text":"c"}"#, r#"{"text":"c"}"#),
            (br#"{"x":1}"#, r#"{"text":"{\"x\":1}"}"#),
            (br#""quoted""#, r#"{"text":"quoted"}"#),
            (b"hello", r#"{"text":"hello"}"#),
            (b"\xffa", "{\"text\":\"\u{fffd}a\"}"),
        ];
        for (payload, stored) in table {
            assert_eq!(opaque_body(payload).get(), stored);
        }
    }
}
