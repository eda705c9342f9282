//! Tokens from outside: JSON Web Tokens that a login elsewhere has signed.
//!
//! Decides whether a token is good and whom it names ([`Verifier`]), and keeps the keys fresh ([`keep`]). Never decides
//! what somebody may do: sessions ask the [`Identity`](crate::rooms::Identity). Called by the protocols whose clients
//! present such tokens, and by the wiring.
//!
//! Which algorithms a token may use follows from the kind of each key, never from the token: a public key checks no MAC,
//! and nothing checks `none`.

mod checks;
mod fault;
mod fetch;
mod keeper;
mod keys;
mod provider;
mod verifier;

pub use checks::{Checks, ClaimNames};
pub use fault::TokenFault;
pub use fetch::FetchError;
pub use keeper::{Source, SourceError, keep};
pub use keys::{Keys, KeysError};
pub use verifier::{Totals, Verifier};
