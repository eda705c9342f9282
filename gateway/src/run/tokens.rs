//! From `spec.auth.jwt` to what checks tokens from outside, and where its keys come from.

use std::sync::Arc;

use parlor_crds::{
    ChatRoom,
    chatroom::{Jwt, JwtClaims, JwtKeys},
};

use super::{RunError, secrets::Secrets};
use crate::tokens::{Checks, ClaimNames, Source, Verifier};

/// Shortest shared secret that nobody guesses, in bytes: as long as what HS256 makes of it.
const SECRET_BYTES: usize = 32;

/// Checks tokens, and has its keys from the source.
pub(super) struct Tokens {
    pub(super) verifier: Arc<Verifier>,
    pub(super) source: Source,
}

/// What the ChatRoom says of tokens from outside; None where it takes none. A Secret is read here once, so that a mistake
/// in it ends the start; a login elsewhere may be away.
pub(super) fn prepare(room: &ChatRoom, secrets: &Secrets) -> Result<Option<Tokens>, RunError> {
    let Some(Jwt { issuer, audience, keys, claims }) = room.spec.auth.jwt.clone() else { return Ok(None) };
    let JwtClaims { name, rooms, role } = claims;
    let verifier = Arc::new(Verifier::new(Checks { issuer, audience, claims: ClaimNames { name, rooms, role } }));
    let JwtKeys { secret_ref, jwks_ref, jwks_url } = keys;
    let source = match (secret_ref, jwks_ref, jwks_url) {
        (Some(reference), ..) => {
            const FIELD: &str = "spec.auth.jwt.keys.secretRef";
            let secret = secrets.get(FIELD, &reference)?;
            if secret.len() < SECRET_BYTES {
                tracing::warn!("{FIELD}: a secret of less than {SECRET_BYTES} bytes can be guessed from a token");
            }
            let source = Source::Secret(secrets.path(FIELD, &reference)?);
            load(&verifier, &source, FIELD, &secret)?;
            source
        }
        (None, Some(reference), _) => {
            const FIELD: &str = "spec.auth.jwt.keys.jwksRef";
            let source = Source::PublicKeys(secrets.path(FIELD, &reference)?);
            load(&verifier, &source, FIELD, &secrets.get(FIELD, &reference)?)?;
            source
        }
        (None, None, address) => {
            const FIELD: &str = "spec.auth.jwt.keys.jwksURL";
            let address = address.unwrap_or_default();
            Source::Address(address.parse().map_err(|source| RunError::Address { field: FIELD, source })?)
        }
    };
    Ok(Some(Tokens { verifier, source }))
}

fn load(verifier: &Verifier, source: &Source, field: &'static str, text: &[u8]) -> Result<(), RunError> {
    let keys = source.keys(text).map_err(|source| RunError::TokenKeys { field, source })?;
    verifier.replace(keys);
    Ok(())
}
