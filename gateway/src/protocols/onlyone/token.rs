//! The checks before an upgrade: Origin and token, each only where the ChatRoom asks for it.

use std::fmt;

use aes::{
    Aes128,
    cipher::{BlockModeDecrypt, KeyInit, block_padding::Pkcs7},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, StatusCode, header::ORIGIN};

use crate::protocols::Refusal;

/// As forgiving as the original about padding and about bits that do not fill a byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The key that clients encrypt their tokens with: 16 bytes.
#[derive(Clone)]
pub struct TokenKey([u8; 16]);

/// A key of another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token key has 16 bytes, not {0}")]
pub struct TokenKeyError(usize);

impl TryFrom<&[u8]> for TokenKey {
    type Error = TokenKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| TokenKeyError(bytes.len()))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// Lets an upgrade pass when its Origin is one of `allowed`; without a list, or without an Origin, it passes.
///
/// An entry is an origin, with or without a path, or `*`. Looser matches would let `https://chat.example.co` pass for
/// `https://chat.example.com`.
pub(super) fn check_origin(allowed: &[String], headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let listed = |entry: &String| entry == "*" || origin == origin_in(entry);
    if allowed.is_empty() || allowed.iter().any(listed) {
        return Ok(());
    }
    Err(Refusal { status: StatusCode::UNAUTHORIZED, body: "ORIGIN_LIMIT", reason: "origin", header: None })
}

/// An entry without its path: scheme, host and port.
fn origin_in(entry: &str) -> &str {
    let end = entry.match_indices('/').nth(2).map_or(entry.len(), |(at, _)| at);
    &entry[..end]
}

/// Lets an upgrade pass when the request target carries a token of `key`: `app|origin|<milliseconds>`, of any age,
/// because that is all that the original makes sure of.
pub(super) fn check_token(key: &TokenKey, target: &str) -> Result<(), Refusal> {
    let plain = decrypt(key, token_in(target));
    let mut parts = plain.as_deref().unwrap_or_default().split('|');
    let passes = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(time), None) => numeric(time),
        _ => false,
    };
    let (status, body) = (StatusCode::UNAUTHORIZED, "TOKEN_VERIFY_FAIL");
    passes.then_some(()).ok_or(Refusal { status, body, reason: "token", header: None })
}

/// The text between the first and the second `=`: whatever its parameter is called, and never form-decoded, because
/// clients write base64's `+` as it is.
fn token_in(target: &str) -> &str {
    target.split('=').nth(1).unwrap_or_default()
}

fn decrypt(key: &TokenKey, token: &str) -> Option<String> {
    // Some clients do escape what base64 and URLs both use.
    let token = token.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let sealed = BASE64.decode(token).ok()?;
    let plain = ecb::Decryptor::<Aes128>::new(&key.0.into()).decrypt_padded_vec::<Pkcs7>(&sealed).ok()?;
    String::from_utf8(plain).ok()
}

fn numeric(text: &str) -> bool {
    let number = text.trim();
    number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && number.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"sixteen byte key";

    fn passes(target: &str) -> bool {
        check_token(&KEY.try_into().unwrap(), target).is_ok()
    }

    #[test]
    fn tokens_of_the_key_pass_whatever_their_age_and_the_parameters_name() {
        // Mozilla|http://127.0.0.1:8099|1795172464819, …|1000, App0|http://127.0.0.1:8099|1795172464819, ü|https://…
        let padded = "A2Mub0vj+Im+2+/b713JlzQJP31291i4H4hp4DT8ezJzwV1w4ACZyn8kCO8+ayRk";
        for target in [
            "/websocket?token=eKD4s284MColc5Bxo01+JLWqICePvhWZB9jpU1B5fyVTNM40rYueclbevnJnjLZU",
            "/?x=eKD4s284MColc5Bxo01+JIvV4ncXzX5uqFceB/kxOFt9SLQd8EMQzW8aKr1LJONv",
            "/websocket?token=qioiiYzoJ58qyC8+dVAJ3j7WIuK4vwzUFspGiLfaQg3RbHe6C14zGbGGA4MUj4QE=more",
            &format!("/websocket?token={padded}"),
            &format!("/websocket?token={}", padded.replace('+', "%2B").replace('/', "%2F")),
        ] {
            assert!(passes(target), "{target}");
        }
    }

    #[test]
    fn what_is_no_token_of_the_key_is_refused() {
        let not_numeric = "/?token=qUpDwh13VJtEao6kDv9pgA==";
        let two_parts = "/?token=bX9EgQMKyLaxqaNH+2UocQ==";
        for target in ["/", "/?token=", "/?token", "/?token=%%%", "/?token=AAAA", not_numeric, two_parts] {
            assert!(!passes(target), "{target}");
        }
        let other = TokenKey::try_from(&b"another key of 16"[..16]).unwrap();
        let target = "/?token=eKD4s284MColc5Bxo01+JLWqICePvhWZB9jpU1B5fyVTNM40rYueclbevnJnjLZU";
        let refusal = check_token(&other, target).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.body), (401, "TOKEN_VERIFY_FAIL"));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert_eq!(TokenKey::try_from(&b"short"[..]).unwrap_err().to_string(), "the token key has 16 bytes, not 5");
    }

    #[test]
    fn origins_are_checked_only_against_a_list() {
        let origin = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, http::HeaderValue::from_static(origin));
            headers
        };
        let listed = ["https://a.example".to_owned(), "http://b.example:8080/chat".to_owned()];
        assert!(check_origin(&[], &origin("https://evil.example")).is_ok());
        assert!(check_origin(&["*".to_owned()], &origin("https://evil.example")).is_ok());
        assert!(check_origin(&listed, &HeaderMap::new()).is_ok());
        assert!(check_origin(&listed, &origin("https://a.example")).is_ok());
        assert!(check_origin(&listed, &origin("http://b.example:8080")).is_ok());
        for foreign in ["https://a.exampl", "https:/", "https:", "", "http://b.example", "https://evil.example", "null"]
        {
            let refusal = check_origin(&listed, &origin(foreign)).unwrap_err();
            assert_eq!((refusal.status.as_u16(), refusal.body), (401, "ORIGIN_LIMIT"), "{foreign}");
        }
    }
}
