//! Checks one token after the other against the keys of the moment.
//!
//! Reactors call it in the middle of their work: it never waits. Where a token names a key that is not known, it asks the
//! keeper to look for new ones and says whether that is worth waiting for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, errors::ErrorKind};
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{Checks, Keys, TokenFault, checks::Claims, keys::Key, provider};
use crate::rooms::Identity;

/// Longest token in bytes. Logins make them of 1 to 3 KB; a frame and a header have to hold it.
const MAX_BYTES: usize = 8 * 1024;

/// Tells whether tokens are good.
pub struct Verifier {
    checks: Checks,
    keys: RwLock<Arc<Keys>>,
    /// Wakes the keeper.
    wanted: Notify,
    /// Whether the keeper would look at once, or is looking.
    looks: AtomicBool,
    loaded: AtomicU64,
    failed: AtomicU64,
}

/// Counts for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub keys: u64,
    /// Times that new keys were loaded.
    pub loaded: u64,
    /// Times that this failed, and the old ones stayed.
    pub failed: u64,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("checks", &self.checks).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Checks tokens as `checks` says; knows no keys yet.
    pub fn new(checks: Checks) -> Self {
        provider::install();
        Self {
            checks,
            keys: RwLock::default(),
            wanted: Notify::new(),
            looks: AtomicBool::new(false),
            loaded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// From now on these keys count, and no others.
    pub fn replace(&self, keys: Keys) {
        self.loaded.fetch_add(1, Ordering::Relaxed);
        *self.keys.write() = Arc::new(keys);
    }

    /// Loading new keys failed; those that are known still count.
    pub(super) fn keep_old(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the keeper looks for keys when it is asked.
    pub(super) fn looks(&self, looks: bool) {
        self.looks.store(looks, Ordering::Release);
    }

    /// Somebody presented a key that is not known.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Counts so far.
    pub fn totals(&self) -> Totals {
        Totals {
            keys: self.keys.read().len() as u64,
            loaded: self.loaded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Whom `token` names at `unix`, in milliseconds since the Unix epoch.
    pub fn verify(&self, token: &str, unix: u64) -> Result<Identity, TokenFault> {
        if token.len() > MAX_BYTES {
            return Err(TokenFault::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
        let keys = Arc::clone(&self.keys.read());
        match claims(&keys, &header, token) {
            Err(TokenFault::UnknownKey) => Err(self.unknown_key(&keys)),
            Err(fault) => Err(fault),
            Ok(claims) => self.checks.identity(&claims, unix),
        }
    }

    fn unknown_key(&self, keys: &Keys) -> TokenFault {
        if !self.looks.load(Ordering::Acquire) {
            return if keys.is_empty() { TokenFault::NoKeys } else { TokenFault::UnknownKey };
        }
        self.wanted.notify_one();
        TokenFault::KeyAwaited
    }
}

/// The claims, if one of the keys has signed them.
fn claims(keys: &Keys, header: &Header, token: &str) -> Result<Claims, TokenFault> {
    if !keys.is_empty() && !keys.know(header.alg) {
        return Err(TokenFault::Algorithm);
    }
    let mut fault = TokenFault::UnknownKey;
    for key in keys.fitting(header.alg, header.kid.as_deref()) {
        match signed(key, header.alg, token) {
            Ok(claims) => return Ok(claims),
            Err(found) => fault = found,
        }
    }
    Err(fault)
}

fn signed(key: &Key, algorithm: Algorithm, token: &str) -> Result<Claims, TokenFault> {
    let mut signature_alone = Validation::new(algorithm);
    // Times and names are checked by us, at a time that tests can choose.
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_aud = false;
    decode(token, &key.decoding, &signature_alone).map(|token| token.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        _ => TokenFault::Malformed,
    })
}
