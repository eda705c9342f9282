//! Who signs in: the token's uid. Texts of errors are those of the original, where they are wrapped by its transport.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    protocols::{json, jwt},
    rooms::Author,
};

/// How long an issued token is good for.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest uid, in bytes: digits of a 64-bit number with room for zeros in front.
const MAX_UID_BYTES: usize = 64;

/// Claims in the order in which they are written.
#[derive(Serialize)]
struct Issued<'a> {
    rtm: &'static str,
    iat: i64,
    exp: i64,
    ctm: &'static str,
    uid: &'a str,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iat: f64,
    #[serde(default)]
    exp: f64,
    #[serde(default)]
    uid: String,
}

/// A token for `uid`, whatever it is.
pub(super) fn issue(key: &[u8], uid: &str, unix: u64) -> String {
    let iat = (unix / 1000) as i64;
    jwt::sign(key, &json::write(&Issued { rtm: "test", iat, exp: iat + LIFETIME.as_secs() as i64, ctm: "", uid }))
}

/// The person whom a token names, or the answer to the client.
pub(super) fn person(key: &[u8], token: &str, unix: u64) -> Result<Author, String> {
    let refused = |reason: &str| format!("rpc error: code = Unknown desc = {reason}");
    let claims = jwt::verify(key, token).map_err(|error| refused(&error.to_string()))?;
    let claims: Claims = serde_json::from_str(&claims).map_err(|_| refused("无效token"))?;
    let now = (unix / 1000) as f64;
    if claims.exp < now {
        return Err(refused("登录信息过期"));
    }
    let numeric = claims.uid.len() <= MAX_UID_BYTES && claims.uid.parse::<i64>().is_ok();
    if claims.iat > now || !numeric {
        return Err(refused("无效token"));
    }
    Ok(author(&claims.uid))
}

/// The person with a uid; people are called by it.
pub(super) fn author(uid: &str) -> Author {
    Author { id: format!("r{uid}").into(), name: uid.into(), extra: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::script::UNIX;

    fn told(token: &str, unix: u64) -> String {
        person(b"key", token, unix).map_or_else(|told| told, |who| format!("{} {}", who.id, who.name))
    }

    #[test]
    fn an_issued_token_lasts_a_day() {
        let token = issue(b"key", "42", UNIX);
        assert_eq!(
            jwt::verify(b"key", &token).unwrap(),
            r#"{"rtm":"test","iat":1700000000,"exp":1700086400,"ctm":"","uid":"42"}"#
        );
        assert_eq!(told(&token, UNIX), "r42 42");
        assert_eq!(told(&token, UNIX + 86_400_000), "r42 42");
        assert_eq!(told(&token, UNIX + 86_401_000), "rpc error: code = Unknown desc = 登录信息过期");
        assert_eq!(told(&token, UNIX - 1000), "rpc error: code = Unknown desc = 无效token");
    }

    #[test]
    fn what_is_no_token_for_a_number_is_refused_with_its_reason() {
        let token = |key: &[u8], uid| issue(key, uid, UNIX);
        let table = [
            (token(b"other", "1"), "signature is invalid"),
            ("a.b".to_owned(), "token contains an invalid number of segments"),
            (token(b"key", "ada"), "无效token"),
            (token(b"key", ""), "无效token"),
            (jwt::sign(b"key", r#"{"uid":"1"}"#), "登录信息过期"),
            (jwt::sign(b"key", r#"{"uid":1,"exp":9999999999}"#), "无效token"),
        ];
        for (token, reason) in table {
            assert_eq!(told(&token, UNIX), format!("rpc error: code = Unknown desc = {reason}"));
        }
        assert_eq!(told(&token(b"key", "-7"), UNIX), "r-7 -7");
    }
}
