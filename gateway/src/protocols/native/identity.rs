//! Who a connection is: a name that the person chose, and an id that the server made and signed.
//!
//! The token is a JWT (HS256) with the claims `sub` (id) and `name`, so that a site which has the signing key can
//! make tokens for its own users; an `exp` in such a token is kept. The token of an anonymous person is renewed with
//! each join, and ends when it was not used for a month. Without a token the id is new.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    protocols::{json, jwt},
    rooms::{Author, Origin},
};

/// Longest id that a token may carry, in bytes.
const MAX_ID_BYTES: usize = 128;
/// How long an anonymous person's token is good for after the last join.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whom a token names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) name: String,
    /// In seconds since the Unix epoch.
    pub(super) expires: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<f64>,
}

/// When the token of an anonymous person ends that is made now, in seconds since the Unix epoch.
pub(super) fn expiry(unix: u64) -> f64 {
    (unix / 1000 + LIFETIME.as_secs()) as f64
}

/// The token that makes its holder `who`, and when it ends unless it is used, in seconds since the Unix epoch.
pub(crate) fn issue(key: &[u8], who: &Author, unix: u64) -> (String, u64) {
    let expires = expiry(unix);
    (token(key, who, Some(expires)), expires as u64)
}

/// Whether a token may carry that id.
pub(super) fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && !id.contains(char::is_control)
}

/// Signs who `who` is.
pub(super) fn token(key: &[u8], who: &Author, expires: Option<f64>) -> String {
    let claims = Claims { sub: who.id.as_ref().to_owned(), name: who.name.as_ref().to_owned(), exp: expires };
    jwt::sign(key, &json::write(&claims))
}

/// The person in a token that was signed with `key` and has not expired.
pub(super) fn verify(key: &[u8], token: &str, unix: u64) -> Option<Known> {
    let claims: Claims = serde_json::from_str(&jwt::verify(key, token).ok()?).ok()?;
    let alive = claims.exp.is_none_or(|seconds| seconds * 1000.0 > unix as f64);
    (alive && is_id(&claims.sub)).then_some(Known { id: claims.sub, name: claims.name, expires: claims.exp })
}

/// A new id: unique because `origin` is, and not to be foreseen by those who know neither key nor origin.
pub(super) fn new_id(key: &[u8], origin: Origin) -> String {
    let mut data = [0; 16];
    data[..8].copy_from_slice(&origin.gateway.to_be_bytes());
    data[8..].copy_from_slice(&origin.connection.to_be_bytes());
    let digest = jwt::digest(key, &data);
    let mut high = [0; 16];
    high.copy_from_slice(&digest[..16]);
    format!("u{}", base36(u128::from_be_bytes(high)))
}

/// `value` in the digits 0-9 and a-z.
pub(super) fn base36(mut value: u128) -> String {
    let mut digits = Vec::with_capacity(25);
    loop {
        digits.push(char::from_digit((value % 36) as u32, 36).unwrap_or('0'));
        value /= 36;
        if value == 0 {
            break digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_36_is_what_from_str_radix_reads() {
        for value in [0, 35, 36, u128::from(u64::MAX)] {
            assert_eq!(u128::from_str_radix(&base36(value), 36).unwrap(), value);
        }
    }

    #[test]
    fn a_token_names_its_person_until_it_expires() {
        let ada = Author { id: "u1".into(), name: "ada".into(), extra: None };
        let known = |expires| Known { id: "u1".to_owned(), name: "ada".to_owned(), expires };
        assert_eq!(verify(b"k", &token(b"k", &ada, None), 1), Some(known(None)));
        assert_eq!(verify(b"other", &token(b"k", &ada, None), 1), None);
        let made = token(b"k", &ada, Some(expiry(5_000)));
        assert_eq!(verify(b"k", &made, 5_000), Some(known(Some(2_592_005.0))));
        assert_eq!(verify(b"k", &made, 2_592_005_000), None, "a token that was not used for a month");
        let brief = jwt::sign(b"k", r#"{"sub":"u1","name":"ada","exp":5}"#);
        assert!(verify(b"k", &brief, 4_999).is_some());
        assert!(verify(b"k", &brief, 5_000).is_none());
        let foreign = jwt::sign(b"k", r#"{"uid":"1"}"#);
        assert!(verify(b"k", &foreign, 1).is_none());
    }

    #[test]
    fn ids_differ_by_connection() {
        let id = |connection| new_id(b"k", Origin { gateway: 1, connection });
        assert_ne!(id(1), id(2));
        assert_eq!(id(1), id(1));
    }
}
