//! One GET of a JWKS document: with a deadline, bounded, over TLS wherever the ChatRoom's address says so. Redirects are
//! not followed: the address is the one that the operator of the ChatRoom trusts.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::authorities::system_roots;

/// For the name, the connection, TLS and the answer together.
const WITHIN: Duration = Duration::from_secs(5);
/// Largest document. Those of big logins have 5 KB.
const MAX_BYTES: usize = 256 * 1024;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer within {} s", WITHIN.as_secs())]
    TimedOut,
    #[error("failed to connect")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("the answer has status {0}, not 200")]
    Status(StatusCode),
    #[error("failed to read the answer, which may have {MAX_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The document at `address`.
pub(super) async fn get(address: &Uri) -> Result<Bytes, FetchError> {
    timeout(WITHIN, exchange(address)).await.map_err(|_| FetchError::TimedOut)?
}

async fn exchange(address: &Uri) -> Result<Bytes, FetchError> {
    // An error says that the process has a provider already, which will do.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let tls = ClientConfig::builder().with_root_certificates(system_roots().clone()).with_no_client_auth();
    // The schema lets plain HTTP through on loopback alone.
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = address.clone();
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let answer = Client::builder(TokioExecutor::new()).build(connector).request(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    Ok(Limited::new(answer.into_body(), MAX_BYTES).collect().await.map_err(FetchError::Body)?.to_bytes())
}
