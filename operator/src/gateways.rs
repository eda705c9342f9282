//! Speaks to single gateways at their admin port: asks for their status, tells them to drain or to serve again.
//!
//! One attempt each, under a deadline; what fails is seen again at the next pass. Called by `observe` and `apply`.

use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parlor_crds::contract::{ADMIN_PORT, DrainRequest, GatewayStatus};

use crate::deadlines::GATEWAY_EXCHANGE;

/// Largest answer that is read; a status has some 300 bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The reason why an exchange with a gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No answer within 2 s.
    #[error("failed to reach the gateway at {0} within {seconds} s", seconds = GATEWAY_EXCHANGE.as_secs())]
    Deadline(String),
    /// No connection, or it broke.
    #[error("failed to reach the gateway at {0}: {1}")]
    Unreachable(String, #[source] hyper_util::client::legacy::Error),
    /// Another answer than 200 or 202.
    #[error("failed to instruct the gateway at {0}: it answered {1}")]
    Refused(String, http::StatusCode),
    /// The answer could not be read.
    #[error("failed to read the answer of the gateway at {0}: {1}")]
    Answer(String, String),
    /// The address or the token cannot be written in a request.
    #[error("failed to build the request to the gateway at {0}: {1}")]
    Request(String, #[source] http::Error),
    /// The order cannot be written.
    #[error("failed to write the order to the gateway at {0}: {1}")]
    Body(String, #[source] serde_json::Error),
}

/// A client for all gateways, with a small pool of connections.
#[derive(Clone, Debug)]
pub struct Gateways(Client<HttpConnector, Full<Bytes>>);

impl Default for Gateways {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(GATEWAY_EXCHANGE));
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Self(client)
    }
}

impl Gateways {
    /// Asks the gateway at `ip` how it is.
    pub async fn status(&self, ip: &str) -> Result<GatewayStatus, GatewayError> {
        let body = self.exchange(ip, Method::GET, "/status", None, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(|error| GatewayError::Answer(ip.to_owned(), error.to_string()))
    }

    /// Tells the gateway at `ip` to drain, or to serve again.
    pub async fn drain(&self, ip: &str, token: &str, drain: bool) -> Result<(), GatewayError> {
        let method = if drain { Method::POST } else { Method::DELETE };
        self.exchange(ip, method, "/drain", Some(token), Bytes::new()).await.map(drop)
    }

    /// Tells the gateway at `ip` to ask so many connections to move, `rate` per second, and to continue to serve.
    pub async fn give_away(&self, ip: &str, token: &str, connections: u32, rate: u32) -> Result<(), GatewayError> {
        let request = DrainRequest { rate: Some(rate), connections: Some(connections) };
        let body = serde_json::to_vec(&request).map_err(|error| GatewayError::Body(ip.to_owned(), error))?;
        self.exchange(ip, Method::POST, "/drain", Some(token), body.into()).await.map(drop)
    }

    async fn exchange(
        &self,
        ip: &str,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, GatewayError> {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let mut request = Request::builder().method(method).uri(format!("http://{host}:{ADMIN_PORT}{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| GatewayError::Request(ip.to_owned(), error))?;
        tokio::time::timeout(GATEWAY_EXCHANGE, self.answer(ip, request))
            .await
            .unwrap_or_else(|_| Err(GatewayError::Deadline(ip.to_owned())))
    }

    async fn answer(&self, ip: &str, request: Request<Full<Bytes>>) -> Result<Bytes, GatewayError> {
        let answer = self.0.request(request).await.map_err(|error| GatewayError::Unreachable(ip.to_owned(), error))?;
        if !answer.status().is_success() {
            return Err(GatewayError::Refused(ip.to_owned(), answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        Ok(body.map_err(|error| GatewayError::Answer(ip.to_owned(), error.to_string()))?.to_bytes())
    }
}
