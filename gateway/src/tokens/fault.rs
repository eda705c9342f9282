//! Why a token is refused, in words that help who made it and tell nothing about the keys.

/// The first fault that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Longer than any login makes them.
    TooLong,
    /// Not three parts of base64url with JSON in the first two.
    Malformed,
    /// No key here goes with the algorithm.
    Algorithm,
    /// Names a key that is not among those known.
    UnknownKey,
    /// Names such a key, and the keys are being fetched: worth another look soon.
    KeyAwaited,
    /// No keys were fetched yet.
    NoKeys,
    Signature,
    Issuer,
    Audience,
    /// `nbf` or `iat` is in the future.
    NotYet,
    Expired,
    /// A claim is missing or is not what it should be: says which and what.
    Claim(&'static str),
}

impl TokenFault {
    /// What is wrong, for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long: at most 8,192 bytes",
            Self::Malformed => "the token is not a signed JSON Web Token",
            Self::Algorithm => "the token's algorithm is not one of the configured keys",
            Self::UnknownKey => "the token names a key that is not known",
            Self::KeyAwaited | Self::NoKeys => "the keys of tokens are being fetched: try again",
            Self::Signature => "the token's signature is not valid",
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::NotYet => "the token is not valid yet: look at nbf, iat and the clocks",
            Self::Expired => "the token has expired",
            Self::Claim(what) => what,
        }
    }
}
