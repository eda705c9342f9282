//! How the servers of a managed Redis are spoken to.

use super::{passwords::Passwords, tls::Tls};

/// What a connection presents, and whom it trusts.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The passwords; servers that were just made may have none.
    pub passwords: Option<Passwords>,
    /// Certificates, where servers speak TLS.
    pub tls: Option<Tls>,
}

impl Access {
    /// Without TLS.
    pub fn plain(passwords: Passwords) -> Self {
        Self { passwords: Some(passwords), tls: None }
    }
}
