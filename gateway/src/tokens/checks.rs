//! What the claims of a token must say, and whom they name. Called by the verifier once the signature is right.

use serde_json::{Map, Value};

use super::TokenFault;
use crate::rooms::{
    Author, Identity, Role, RoomsAllowed,
    text::{self, MAX_NAME_CHARS},
};

/// How far the clocks of a login and a gateway may be apart, in milliseconds, for `nbf` and `iat`. `exp` has none: after
/// it nobody may post.
const LEEWAY: u64 = 5_000;
/// Longest `sub`, in bytes: what OpenID Connect allows.
const MAX_SUB_BYTES: usize = 255;
/// Entries of a list of rooms.
const MOST_ROOMS: usize = 1000;
/// In front of every `sub`: no id that a gateway makes begins like this, in any protocol.
const NAMESPACE: &str = "j:";

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// What the ChatRoom demands of tokens.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// `iss`; None: any.
    pub issuer: Option<String>,
    /// `aud` is one of these; empty: any.
    pub audience: Vec<String>,
    pub claims: ClaimNames,
}

/// The claims that say who somebody is.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    pub name: String,
    pub rooms: String,
    pub role: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { name: "name".to_owned(), rooms: "rooms".to_owned(), role: "role".to_owned() }
    }
}

impl Checks {
    /// The identity that signed claims name at `unix`, in milliseconds since the Unix epoch.
    pub(super) fn identity(&self, claims: &Claims, unix: u64) -> Result<Identity, TokenFault> {
        self.origin(claims)?;
        let expires = times(claims, unix)?;
        let sub = subject(claims)?;
        let person =
            Author { id: format!("{NAMESPACE}{sub}").into(), name: self.name(claims, sub)?.into(), extra: None };
        Ok(Identity { person, role: self.role(claims)?, rooms: self.rooms(claims)?, expires: Some(expires) })
    }

    /// Who made the token, and for whom.
    fn origin(&self, claims: &Claims) -> Result<(), TokenFault> {
        let issued = |issuer: &String| claims.get("iss").and_then(Value::as_str) == Some(issuer);
        if !self.issuer.as_ref().is_none_or(issued) {
            return Err(TokenFault::Issuer);
        }
        let named = |audience: &Value| audience.as_str().is_some_and(|one| self.audience.iter().any(|own| own == one));
        let meant = match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(named),
            Some(one) => named(one),
            None => false,
        };
        if self.audience.is_empty() || meant { Ok(()) } else { Err(TokenFault::Audience) }
    }

    fn name(&self, claims: &Claims, sub: &str) -> Result<String, TokenFault> {
        const FAULT: TokenFault = TokenFault::Claim(
            "the claim with the name is no name: 1 to 64 characters on one line, with something to see",
        );
        let name = match claims.get(&self.claims.name) {
            None | Some(Value::Null) => sub.chars().take(MAX_NAME_CHARS).collect(),
            Some(name) => name.as_str().ok_or(FAULT)?.to_owned(),
        };
        let name = text::normalized(&name).into_owned();
        let fits = name.chars().nth(MAX_NAME_CHARS).is_none() && text::check_name(&name).is_ok();
        if fits { Ok(name) } else { Err(FAULT) }
    }

    fn rooms(&self, claims: &Claims) -> Result<RoomsAllowed, TokenFault> {
        const FAULT: TokenFault = TokenFault::Claim(
            "the claim with the rooms is a list of at most 1,000 names, or of beginnings that end in *",
        );
        match claims.get(&self.claims.rooms) {
            None | Some(Value::Null) => Ok(RoomsAllowed::all()),
            Some(Value::Array(rooms)) if rooms.len() <= MOST_ROOMS => {
                let rooms = rooms.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or(FAULT)?;
                Ok(RoomsAllowed::listed(rooms))
            }
            Some(_) => Err(FAULT),
        }
    }

    fn role(&self, claims: &Claims) -> Result<Role, TokenFault> {
        match claims.get(&self.claims.role) {
            None | Some(Value::Null) => Ok(Role::Member),
            Some(role) => role
                .as_str()
                .and_then(Role::named)
                .ok_or(TokenFault::Claim("the claim with the role is member or moderator")),
        }
    }
}

/// When the token ends, in milliseconds since the Unix epoch, if `unix` is within its time.
fn times(claims: &Claims, unix: u64) -> Result<u64, TokenFault> {
    let expires = millis(claims, "exp", TokenFault::Claim("exp is missing or no number: tokens must end"))?;
    let expires = expires.ok_or(TokenFault::Claim("exp is missing or no number: tokens must end"))?;
    let begins = millis(claims, "nbf", TokenFault::Claim("nbf is no number"))?;
    let issued = millis(claims, "iat", TokenFault::Claim("iat is no number"))?;
    if expires <= unix {
        return Err(TokenFault::Expired);
    }
    let latest = unix.saturating_add(LEEWAY);
    if begins.max(issued).is_some_and(|begins| begins > latest) {
        return Err(TokenFault::NotYet);
    }
    Ok(expires)
}

/// A time in seconds since the Unix epoch, as milliseconds; one before it is 0.
fn millis(claims: &Claims, name: &str, fault: TokenFault) -> Result<Option<u64>, TokenFault> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        // A cast of a float stays within the bounds of the integer.
        Some(time) => time.as_f64().map(|seconds| Some((seconds * 1000.0) as u64)).ok_or(fault),
    }
}

fn subject(claims: &Claims) -> Result<&str, TokenFault> {
    let sub = claims.get("sub").and_then(Value::as_str);
    sub.filter(|sub| (1..=MAX_SUB_BYTES).contains(&sub.len()) && !sub.contains(char::is_control))
        .ok_or(TokenFault::Claim("sub is missing, or is not text of 1 to 255 bytes without control characters"))
}
