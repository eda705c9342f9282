//! Whom TLS connections to elsewhere trust, unless a ChatRoom says otherwise.

use std::sync::OnceLock;

use rustls::RootCertStore;

/// The authorities that the system trusts. An image made from scratch has none: then those that browsers trust.
pub(crate) fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_authority_is_trusted_whatever_the_system_has() {
        assert!(!system_roots().is_empty());
    }
}
