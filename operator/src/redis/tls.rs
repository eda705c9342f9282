//! TLS to the servers of a managed Redis.
//!
//! Decides whom to trust: the authority of the ChatRoom alone. Every server has the same certificate, so all go by one name,
//! whatever their addresses. Called by `server`; built by `reconcile::redis_access`.

use std::{fmt, sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority is not in PEM, or no certificate.
    #[error("failed to read the authority: {0}")]
    Authority(#[source] rustls::pki_types::pem::Error),
    /// Nobody can be trusted for what it says.
    #[error("failed to trust the authority: {0}")]
    Trust(#[source] rustls::Error),
    /// The certificate is not in PEM.
    #[error("failed to read the certificate: {0}")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// Clients would refuse it: it is too old, for another name, or of another authority.
    #[error("clients refuse the certificate for {name}: {source}")]
    Refused {
        /// The name that the servers go by.
        name: String,
        /// Why.
        source: rustls::Error,
    },
    /// No name of a server.
    #[error("failed to use the name of the servers: {0}")]
    Name(#[from] InvalidDnsNameError),
}

/// How servers are spoken to.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    /// The certificate that servers are to present, if one is known that clients accept.
    newest: Option<CertificateDer<'static>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts `authority`, one certificate or several in PEM. Servers go by `name`.
    pub fn trusting(authority: &[u8], name: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority) {
            roots.add(root.map_err(TlsError::Authority)?).map_err(TlsError::Trust)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let verifier = verifier.map_err(|error| TlsError::Trust(rustls::Error::General(error.to_string())))?;
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.map_err(TlsError::Trust)?.with_webpki_verifier(verifier.clone()).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), verifier, name, newest: None })
    }

    /// Takes the first certificate in `chain`, in PEM, for the one that servers are to present. One that clients would refuse at
    /// `now` is not: servers are better off with what they have.
    pub fn expecting(&mut self, chain: &[u8], now: Timestamp) -> Result<(), TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
        let missing = TlsError::Certificate(rustls::pki_types::pem::Error::NoItemsFound);
        let (newest, intermediates) = chain.split_first().ok_or(missing)?;
        let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        let now = UnixTime::since_unix_epoch(now);
        let verified = self.verifier.verify_server_cert(newest, intermediates, &self.name, &[], now);
        verified.map_err(|source| TlsError::Refused { name: self.name.to_str().into_owned(), source })?;
        self.newest = Some(newest.clone());
        Ok(())
    }

    /// Whether there is a certificate that servers are to present.
    pub fn expects(&self) -> bool {
        self.newest.is_some()
    }

    /// Secures a connection, and says whether the server presents another certificate than the newest one.
    pub async fn secure(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, bool)> {
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let is_old = self.newest.is_some() && presented != self.newest.as_ref();
        Ok((stream, is_old))
    }
}
