//! The keys that tokens are signed with: read from a shared secret, a JWKS document (RFC 7517) or PEM.
//!
//! Decides which algorithms each key is for. A document from a login may list keys of kinds that are not used here; they
//! are left out, as the RFC asks. A PEM file was written by hand for this purpose: a key in it that cannot be used is an
//! error.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Keys that are kept. A login has two or three, and a token without a key id is checked with each.
const MOST_KEYS: usize = 32;
/// Longest PEM block, in bytes: an RSA key of 8,192 bits has 1,500. Bounds how deep its ASN.1 can nest.
const PEM_BYTES: usize = 2048;
/// An uncompressed point of P-256.
const POINT_BYTES: usize = 65;

const SHARED: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[Algorithm::RS256, Algorithm::PS256];
const EC: &[Algorithm] = &[Algorithm::ES256];
const ED: &[Algorithm] = &[Algorithm::EdDSA];

/// Keys, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// One key, and what it is for.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    pub(super) decoding: DecodingKey,
}

/// Why a text gives no keys. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("not a JWKS document: a JSON object with a list \"keys\"")]
    Document,
    #[error("has no key for RS256, PS256, ES256 or EdDSA")]
    Unusable,
    #[error("has more than {MOST_KEYS} keys")]
    TooMany,
    #[error("neither a JWKS document nor PEM")]
    Text,
    #[error("has a private key: only the public one belongs here")]
    Private,
    #[error("has a certificate: write its public key (openssl x509 -pubkey -noout)")]
    Certificate,
    #[error("has a PEM block that is no public key of RSA, P-256 or Ed25519")]
    Pem,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Keys {
    /// A shared secret.
    pub fn shared(secret: &[u8]) -> Self {
        Self(vec![Key { id: None, algorithms: SHARED, decoding: DecodingKey::from_secret(secret) }])
    }

    /// Public keys from a file: a JWKS document or PEM.
    pub fn from_file(text: &[u8]) -> Result<Self, KeysError> {
        match text.trim_ascii_start() {
            [b'{', ..] => Self::from_jwks(text),
            text => Self::from_pem(std::str::from_utf8(text).map_err(|_| KeysError::Text)?),
        }
    }

    /// Public keys from a JWKS document.
    pub fn from_jwks(text: &[u8]) -> Result<Self, KeysError> {
        let Document { keys } = serde_json::from_slice(text).map_err(|_| KeysError::Document)?;
        let usable: Vec<Key> =
            keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).filter_map(of_jwk).collect();
        Self::some(usable)
    }

    fn from_pem(text: &str) -> Result<Self, KeysError> {
        let blocks = text.split("-----BEGIN ").skip(1);
        let keys = blocks.map(of_pem).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeysError::Text) } else { Self::some(keys) }
    }

    fn some(keys: Vec<Key>) -> Result<Self, KeysError> {
        match keys.len() {
            0 => Err(KeysError::Unusable),
            1..=MOST_KEYS => Ok(Self(keys)),
            _ => Err(KeysError::TooMany),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any key is for `algorithm`.
    pub(super) fn know(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|key| key.is_for(algorithm))
    }

    /// The keys that a token with this header may be signed with: those of its key id, and those without one.
    pub(super) fn fitting<'a>(&'a self, algorithm: Algorithm, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let named = move |key: &&Key| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        self.0.iter().filter(move |key| key.is_for(algorithm)).filter(named)
    }
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// The key, if tokens can be checked with it. A symmetric one in a document of public keys is no secret, and left out.
fn of_jwk(jwk: Jwk) -> Option<Key> {
    let of_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => EC,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => ED,
        _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => of_kind,
        Some(named) => of_kind.iter().position(|algorithm| is(named, *algorithm)).map(|at| &of_kind[at..=at])?,
    };
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let decoding = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs && verifies)?;
    Some(Key { id: jwk.common.key_id, algorithms, decoding })
}

fn is(named: KeyAlgorithm, algorithm: Algorithm) -> bool {
    matches!(
        (named, algorithm),
        (KeyAlgorithm::RS256, Algorithm::RS256)
            | (KeyAlgorithm::PS256, Algorithm::PS256)
            | (KeyAlgorithm::ES256, Algorithm::ES256)
            | (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
    )
}

/// The key of a block, from its label on.
fn of_pem(block: &str) -> Result<Key, KeysError> {
    let label = block.split_once("-----").map_or("", |(label, _)| label);
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" if block.len() <= PEM_BYTES => {}
        "CERTIFICATE" => return Err(KeysError::Certificate),
        label if label.contains("PRIVATE") => return Err(KeysError::Private),
        _ => return Err(KeysError::Pem),
    }
    let pem = format!("-----BEGIN {block}");
    let pem = pem.as_bytes();
    let ed = || DecodingKey::from_ed_pem(pem).ok().map(|key| (ED, key));
    let is_point = |key: &DecodingKey| key.try_get_as_bytes().is_ok_and(|point| point.len() == POINT_BYTES);
    let ec = || DecodingKey::from_ec_pem(pem).ok().filter(is_point).map(|key| (EC, key));
    let rsa = || DecodingKey::from_rsa_pem(pem).ok().map(|key| (RSA, key));
    let (algorithms, decoding) = ed().or_else(ec).or_else(rsa).ok_or(KeysError::Pem)?;
    Ok(Key { id: None, algorithms, decoding })
}
