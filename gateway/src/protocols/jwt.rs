//! JSON Web Tokens signed with HMAC: just what identities need. Decides whether a token was signed with the key, never
//! what its claims mean. Relay and native sign and read their tokens here. Written on hmac and sha2: jsonwebtoken would
//! change the bytes of the header, and the reasons that relay clients get for a refused token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::json;

const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// Why a token is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("token contains an invalid number of segments")]
    Segments,
    #[error("token is malformed")]
    Malformed,
    #[error("signing method (alg) is unavailable.")]
    Method,
    #[error("signature is invalid")]
    Signature,
}

/// A token over `claims`, one JSON object, signed with HS256.
pub(crate) fn sign(key: &[u8], claims: &str) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(HEADER);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let mac = keyed::<Hmac<Sha256>>(key).chain_update(&token).finalize().into_bytes();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(mac, &mut token);
    token
}

/// The claims of a token that was signed with `key` and HS256, HS384 or HS512.
pub(crate) fn verify(key: &[u8], token: &str) -> Result<String, TokenError> {
    let (signed, mac) = token.rsplit_once('.').ok_or(TokenError::Segments)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Segments)?;
    if claims.contains('.') {
        return Err(TokenError::Segments);
    }
    let header = decode(header)?;
    let claims = decode(claims)?;
    let [alg] = json::fields(&header, ["alg"]).ok_or(TokenError::Malformed)?;
    let alg = alg.and_then(json::string).ok_or(TokenError::Method)?;
    let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Signature)?;
    let signed = signed.as_bytes();
    let checked = match alg.as_ref() {
        "HS256" => keyed::<Hmac<Sha256>>(key).chain_update(signed).verify_slice(&mac),
        "HS384" => keyed::<Hmac<Sha384>>(key).chain_update(signed).verify_slice(&mac),
        "HS512" => keyed::<Hmac<Sha512>>(key).chain_update(signed).verify_slice(&mac),
        _ => return Err(TokenError::Method),
    };
    checked.map(|()| claims).map_err(|_| TokenError::Signature)
}

/// HMAC-SHA256, for ids that only holders of the key can foresee.
pub(crate) fn digest(key: &[u8], data: &[u8]) -> [u8; 32] {
    keyed::<Hmac<Sha256>>(key).chain_update(data).finalize().into_bytes().into()
}

fn keyed<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> M {
    <M as Mac>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn decode(part: &str) -> Result<String, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    String::from_utf8(bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_with_its_key_only() {
        let token = sign(b"key", r#"{"sub":"u1"}"#);
        assert_eq!(verify(b"key", &token).unwrap(), r#"{"sub":"u1"}"#);
        assert_eq!(verify(b"other", &token), Err(TokenError::Signature));
    }

    #[test]
    fn the_bytes_are_those_of_rfc_7519() {
        // The widely published example token: claims sub, name, iat under the key "your-256-bit-secret".
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0Ijox\
                     NTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        let claims = r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#;
        assert_eq!(verify(b"your-256-bit-secret", token).unwrap(), claims);
        assert_eq!(sign(b"your-256-bit-secret", claims), token);
    }

    #[test]
    fn what_is_no_signed_token_is_refused_by_its_first_fault() {
        let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#));
        let table = [
            ("", TokenError::Segments),
            ("a.b", TokenError::Segments),
            ("a.b.c.d", TokenError::Segments),
            ("?.e30.e30", TokenError::Malformed),
            ("e30.e30.e30", TokenError::Method),
            (none.as_str(), TokenError::Method),
        ];
        for (token, fault) in table {
            assert_eq!(verify(b"key", token), Err(fault), "{token}");
        }
    }
}
