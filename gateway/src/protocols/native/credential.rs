//! What a connection shows to be somebody: a token of this ChatRoom's own, or one from outside.
//!
//! Decides whom a token names and what becomes of it later. Never decides what a session does with the person. Called by
//! the session for `auth` and `join`, and at the upgrade for `Authorization: Bearer`.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    NativeSettings,
    bounds::{self, Problem},
    identity::{self, Known},
    reply::Code,
};
use crate::{
    protocols::Refusal,
    rooms::{Author, Identity},
    tokens::TokenFault,
};

/// What somebody is known by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Credential {
    /// A name of their choice; the server makes the token, and renews it with each join.
    Anonymous,
    /// A token signed with the ChatRoom's own key, where tokens are the only way in. Its maker decided when it ends, in
    /// seconds since the Unix epoch.
    Own { expires: Option<f64> },
    /// A token from outside, which the server does not replace.
    Outside,
}

/// A person, and by what they are known.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) identity: Identity,
    pub(super) credential: Credential,
}

/// Why a token makes nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotShown {
    /// Its key is being fetched: it may be good.
    Yet,
    For(Problem),
}

impl NotShown {
    /// The answer to an upgrade.
    pub(super) fn refusal(self) -> Refusal {
        let problem = match self {
            Self::Yet => awaited(),
            Self::For(problem) => problem,
        };
        let (status, header) = match problem.code {
            Code::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, (header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => (StatusCode::UNAUTHORIZED, (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        };
        Refusal { status, body: problem.message, reason: problem.code.label(), header: Some(header) }
    }
}

/// What is said where a token cannot wait for its key.
pub(super) fn awaited() -> Problem {
    Problem::new(Code::Unavailable, TokenFault::KeyAwaited.message())
}

/// The person whom `token` names at `unix`, in milliseconds since the Unix epoch.
pub(super) fn read(settings: &NativeSettings, token: &str, unix: u64) -> Result<Shown, NotShown> {
    if let Some(known) = identity::verify(&settings.key, token, unix) {
        return own(settings, known).map_err(NotShown::For);
    }
    let refused = |code, message| Err(NotShown::For(Problem::new(code, message)));
    let Some(verifier) = &settings.verifier else {
        return refused(Code::Unauthorized, "the token is not valid here");
    };
    match verifier.verify(token, unix) {
        Ok(identity) => Ok(Shown { identity, credential: Credential::Outside }),
        Err(TokenFault::KeyAwaited) => Err(NotShown::Yet),
        Err(fault @ TokenFault::NoKeys) => refused(Code::Unavailable, fault.message()),
        Err(fault @ TokenFault::Expired) => refused(Code::Expired, fault.message()),
        Err(fault) => refused(Code::Unauthorized, fault.message()),
    }
}

fn own(settings: &NativeSettings, Known { id, name, expires }: Known) -> Result<Shown, Problem> {
    bounds::check_name(&name)?;
    let person = Author { id: id.into(), name: name.into(), extra: None };
    let identity = Identity::of(person);
    if settings.anonymous {
        return Ok(Shown { identity, credential: Credential::Anonymous });
    }
    let millis = expires.map(|seconds| (seconds * 1000.0) as u64);
    Ok(Shown { identity: Identity { expires: millis, ..identity }, credential: Credential::Own { expires } })
}

/// The token of `Authorization: Bearer`; None where nobody here asks for one: a proxy in front of the gateway may have
/// tokens of its own.
pub(super) fn bearer<'a>(settings: &NativeSettings, headers: &'a HeaderMap) -> Option<&'a str> {
    if settings.anonymous && settings.verifier.is_none() {
        return None;
    }
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
