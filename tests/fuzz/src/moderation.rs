//! What others write for moderation: answers of webhooks, lists of words, and actions as they are stored.

use http::StatusCode;
use parlor_gateway::moderation::{
    Words, record,
    webhook::{Verdict, read_answer},
};

/// Deepest nesting that readers of every protocol can take.
const DEPTH: usize = 110;

/// The answer of a webhook: the first line is the status, the rest the body.
pub(crate) fn webhook(data: &[u8]) {
    let (status, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let Ok(status) = StatusCode::from_u16(status) else { return };
    match read_answer(status, body) {
        Ok(Verdict::Rewrite(body)) => {
            assert!(body.get().starts_with('{'), "a message is a JSON object: {body}");
            let deepest = body.get().bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
            assert!(deepest <= DEPTH || serde_json::from_str::<serde_json::Value>(body.get()).is_ok(), "{body}");
        }
        Ok(Verdict::Refuse(reason)) => {
            assert!(!reason.contains(char::is_control) && reason.chars().count() <= 200, "{reason:?}");
        }
        Ok(Verdict::Allow) => assert!(status == StatusCode::OK || status == StatusCode::NO_CONTENT),
        Err(_) => {}
    }
}

/// A list of words, and behind a line of dashes a text to look through.
pub(crate) fn words(data: &[u8]) {
    let all = String::from_utf8_lossy(data);
    let (list, text) = all.split_once("\n---\n").unwrap_or((&all, ""));
    let Ok(words) = Words::read(list.as_bytes()) else { return };
    let found = words.are_in(text);
    assert_eq!(found, words.are_in(&text.to_ascii_uppercase()), "case makes no difference: {text:?}");
    assert!(!found || !list.is_empty());
}

/// An action as it is stored.
pub(crate) fn action(data: &[u8]) {
    if let Some(record) = record::read(&String::from_utf8_lossy(data)) {
        assert!(record.until != Some(0), "0 is no end");
        assert!(!record.act.action.name().is_empty());
    }
}
