//! Tokens from outside and the keys that check them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parlor_gateway::{
    rooms::text,
    tokens::{Checks, Keys, TokenFault, Verifier},
};
use ring::hmac;

/// When tokens are looked at, in milliseconds since the Unix epoch.
const UNIX: u64 = 1_700_000_000_000;
const SECRET: &[u8] = b"the secret of the fuzz targets, 32";

fn verifier(keys: Keys) -> Verifier {
    let verifier = Verifier::new(Checks::default());
    verifier.replace(keys);
    verifier
}

/// A token over any bytes, signed with HS256.
fn signed(secret: &[u8], claims: &[u8]) -> String {
    let head = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// As a token, the bytes were not signed; as claims that were, they name somebody whom others can be shown, or nobody.
pub(crate) fn token(data: &[u8]) {
    let verifier = verifier(Keys::shared(SECRET));
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(verifier.verify(text, UNIX).is_err(), "nobody signed this");
    }
    let Ok(who) = verifier.verify(&signed(SECRET, data), UNIX) else { return };
    let name = &who.person.name;
    assert!(who.person.id.strip_prefix("j:").is_some_and(|sub| (1..=255).contains(&sub.len())), "{who:?}");
    assert!(name.chars().count() <= text::MAX_NAME_CHARS && text::check_name(name).is_ok(), "{who:?}");
    assert!(text::is_normalized(name) && who.expires.is_some_and(|expires| expires > UNIX), "{who:?}");
}

/// A text gives few keys or none, and never one that checks a MAC: everybody knows the text.
pub(crate) fn keys(data: &[u8]) {
    let claims = br#"{"sub":"1","exp":1800000000}"#;
    for keys in [Keys::from_file(data), Keys::from_jwks(data)].into_iter().flatten() {
        assert!((1..=32).contains(&keys.len()), "{}", keys.len());
        let checked = verifier(keys).verify(&signed(data, claims), UNIX);
        assert_eq!(checked.err(), Some(TokenFault::Algorithm));
    }
}
