//! Who may use a ChatRoom: people under names of their choice, and people whom a login elsewhere vouches for.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::strings::SecretKey;

/// Who may use the ChatRoom.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Whether people may join under a name of their choice. False: a valid token is required, and protocols whose clients
    /// have no credential cannot be served.
    #[serde(default = "anonymous")]
    pub anonymous: bool,
    /// Identities from outside: JSON Web Tokens of your login. The native protocol takes them. Default: none are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

fn anonymous() -> bool {
    true
}

impl Default for Auth {
    fn default() -> Self {
        Self { anonymous: anonymous(), jwt: None }
    }
}

/// JSON Web Tokens of your login. A token must have `sub` and `exp`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// Required `iss` of every token. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub issuer: Option<String>,
    /// Every token must have one of these in `aud`. Default: not checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 1000)), extend("x-kubernetes-list-type" = "set"))]
    pub audience: Vec<String>,
    /// What tokens are signed with: exactly one of the three. Gateways notice new keys without a restart.
    pub keys: JwtKeys,
    /// Names of the claims that say who somebody is.
    #[serde(default, skip_serializing_if = "JwtClaims::is_default")]
    pub claims: JwtClaims,
}

/// Where the keys are that tokens are signed with.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.secretRef), has(self.jwksRef), has(self.jwksURL)].filter(x, x).size() == 1")
        .message("spec.auth.jwt.keys must name exactly one of secretRef, jwksRef and jwksURL")
)]
#[serde(rename_all = "camelCase")]
pub struct JwtKeys {
    /// A shared secret, for HS256, HS384 and HS512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// Public keys as a JWKS document or in PEM, for RS256, PS256, ES256 and EdDSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_ref: Option<SecretKey>,
    /// Address of a JWKS document, for the same algorithms. Gateways fetch it every 5 minutes, and earlier when a token
    /// names a key that they do not know. A fetch that fails keeps the keys that are known.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "jwksURL")]
    #[schemars(length(max = 1000), regex(pattern = "^https?://[^/?#\\s@]+(/[^\\s#]*)?$"))]
    #[x_kube(validation = Rule::new(
        "self.startsWith('https://') || self.matches('^http://(localhost|127[.][0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/|$)')")
        .message("spec.auth.jwt.keys.jwksURL must be https, except on loopback"))]
    pub jwks_url: Option<String>,
}

/// Names of the claims that say who somebody is.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtClaims {
    /// The name that others see. A token without this claim shows its `sub`.
    #[serde(default = "name")]
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The rooms that the person may use: a list of names, or of beginnings that end in `*`. Without this claim: all.
    #[serde(default = "rooms")]
    #[schemars(length(min = 1, max = 253))]
    pub rooms: String,
    /// `member` or `moderator`. Without this claim: `member`.
    #[serde(default = "role")]
    #[schemars(length(min = 1, max = 253))]
    pub role: String,
}

fn name() -> String {
    "name".into()
}

fn rooms() -> String {
    "rooms".into()
}

fn role() -> String {
    "role".into()
}

impl Default for JwtClaims {
    fn default() -> Self {
        Self { name: name(), rooms: rooms(), role: role() }
    }
}

impl JwtClaims {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Auth {
    /// The Secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretKey> {
        let keys = self.jwt.as_ref().map(|jwt| &jwt.keys);
        keys.into_iter().flat_map(|JwtKeys { secret_ref, jwks_ref, jwks_url: _ }| secret_ref.iter().chain(jwks_ref))
    }
}
