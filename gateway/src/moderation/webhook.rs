//! A web service that is asked about each message in a room, and may refuse or rewrite it.
//!
//! Decides what is asked, how it is signed, what an answer means ([`read_answer`]), and what becomes of a message when there
//! is none. Bounded: so many questions at once, so many bytes of an answer, and one deadline for all of it. Redirects are not
//! followed. Asked by the hub and by HTTP endpoints, by way of [`super::Moderation`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::{Mutex, RwLock};
use parlor_crds::contract::hex;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use sha2::Sha256;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::rules::Refusal;
use crate::{authorities::system_roots, rooms::Post};

/// Questions on their way at once; more wait for one of them, within their own deadline.
const AT_ONCE: usize = 128;
/// Largest answer in bytes: a message of the usual limit with room to spare.
const ANSWER_BYTES: usize = 64 * 1024;
/// Longest reason of a refusal that its sender is shown, in characters.
const REASON_CHARS: usize = 200;
/// Deepest nesting of a body that replaces another: what readers of every protocol can take.
const DEPTH: usize = 100;
/// Connections that are kept open while nobody asks.
const IDLE: Duration = Duration::from_secs(30);
/// Between two log lines about failures.
const COMPLAINT: Duration = Duration::from_secs(10);

const TIMESTAMP: HeaderName = HeaderName::from_static("parlor-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("parlor-signature");

/// What the ChatRoom says about it.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    pub url: Uri,
    /// Signs each question.
    pub key: Arc<[u8]>,
    pub timeout: Duration,
    /// Whether a message passes that nobody could be asked about.
    pub allow_on_failure: bool,
    /// `namespace/name`, in each question.
    pub chat_room: String,
}

/// What is to become of a message.
#[derive(Clone, Debug)]
pub enum Verdict {
    Allow,
    Refuse(Arc<str>),
    /// This is posted instead.
    Rewrite(Box<RawValue>),
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("failed to ask: {0}")]
    Ask(#[from] hyper_util::client::legacy::Error),
    #[error("the answer has status {0}, not 200 or 204")]
    Status(StatusCode),
    #[error("failed to read the answer, which may have {ANSWER_BYTES} bytes: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("a message can only be rewritten to a JSON object of at most {DEPTH} levels")]
    Unfit,
    #[error("failed to write the question: {0}")]
    Write(#[from] http::Error),
}

/// How often it was asked, and how often there was no verdict.
#[derive(Debug, Default)]
pub struct WebhookCounters {
    pub asked: AtomicU64,
    pub failed: AtomicU64,
}

/// The web service of a ChatRoom.
#[derive(Debug)]
pub struct Webhook {
    settings: WebhookSettings,
    key: RwLock<Arc<[u8]>>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    free: Semaphore,
    pub counters: WebhookCounters,
    complained: Mutex<Option<Instant>>,
}

impl Webhook {
    /// Asks nobody yet.
    pub fn new(settings: WebhookSettings) -> Self {
        // An error says that the process has a provider already, which will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let tls = ClientConfig::builder().with_root_certificates(system_roots().clone()).with_no_client_auth();
        // The schema lets plain HTTP through where it is safe.
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(AT_ONCE)
            .build(connector);
        Self {
            key: RwLock::new(Arc::clone(&settings.key)),
            settings,
            client,
            free: Semaphore::new(AT_ONCE),
            counters: WebhookCounters::default(),
            complained: Mutex::default(),
        }
    }

    /// From now on questions are signed with this.
    pub fn use_key(&self, key: Arc<[u8]>) {
        *self.key.write() = key;
    }

    /// What is to become of the message; None: it is posted as it is.
    pub async fn judge(&self, post: &Post) -> Result<Option<Box<RawValue>>, Refusal> {
        self.counters.asked.fetch_add(1, Relaxed);
        let answer = timeout(self.settings.timeout, self.ask(post));
        match answer.await.unwrap_or(Err(WebhookError::TimedOut(self.settings.timeout))) {
            Ok(Verdict::Allow) => Ok(None),
            Ok(Verdict::Rewrite(body)) => Ok(Some(body)),
            Ok(Verdict::Refuse(reason)) => Err(Refusal::Refused(reason)),
            Err(error) => {
                self.failed(&error);
                match self.settings.allow_on_failure {
                    true => Ok(None),
                    false => Err(Refusal::Refused("messages cannot be checked now: try again".into())),
                }
            }
        }
    }

    fn failed(&self, error: &WebhookError) {
        self.counters.failed.fetch_add(1, Relaxed);
        let mut complained = self.complained.lock();
        if complained.is_none_or(|at| at.elapsed() > COMPLAINT) {
            *complained = Some(Instant::now());
            let posted = if self.settings.allow_on_failure { "are posted as they are" } else { "are refused" };
            tracing::warn!(%error, "the moderation webhook fails: messages {posted}");
        }
    }

    async fn ask(&self, post: &Post) -> Result<Verdict, WebhookError> {
        // Never closed.
        let _place = self.free.acquire().await.ok();
        let question = question(&self.settings.chat_room, post)?;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string();
        let key = Arc::clone(&self.key.read());
        let request = Request::post(&self.settings.url)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(SIGNATURE, signature(&key, &unix, &question))
            .header(TIMESTAMP, unix)
            .body(Full::from(question))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.map_err(WebhookError::Body)?;
        read_answer(status, &body.to_bytes())
    }
}

/// What is asked about a message.
fn question(chat_room: &str, post: &Post) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Question<'a> {
        chatroom: &'a str,
        room: &'a str,
        protocol: &'a str,
        from: From<'a>,
        key: &'a str,
        body: &'a RawValue,
    }
    #[derive(Serialize)]
    struct From<'a> {
        id: &'a str,
        name: &'a str,
    }
    serde_json::to_vec(&Question {
        chatroom: chat_room,
        room: post.room.as_str(),
        protocol: post.protocol.name(),
        from: From { id: &post.from.id, name: &post.from.name },
        key: &post.key,
        body: &post.content.body,
    })
}

/// `v1=` and HMAC-SHA256 of the timestamp, a dot and the body, in hexadecimal digits.
pub fn signature(key: &[u8], timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digits = hex(&mac.finalize().into_bytes());
    format!("v1={digits}")
}

/// What an answer means. 204 allows, as 200 with `{"action":"allow"}` does.
pub fn read_answer(status: StatusCode, body: &[u8]) -> Result<Verdict, WebhookError> {
    #[derive(Deserialize)]
    #[serde(tag = "action", rename_all = "lowercase")]
    enum Answer {
        Allow,
        Refuse {
            #[serde(default)]
            reason: String,
        },
        Rewrite {
            body: Value,
        },
    }
    match status {
        StatusCode::NO_CONTENT => return Ok(Verdict::Allow),
        StatusCode::OK => {}
        other => return Err(WebhookError::Status(other)),
    }
    Ok(match serde_json::from_slice(body)? {
        Answer::Allow => Verdict::Allow,
        Answer::Refuse { reason } => Verdict::Refuse(shown(&reason)),
        Answer::Rewrite { body } if body.is_object() && is_shallow(&body, DEPTH) => {
            Verdict::Rewrite(to_raw_value(&body)?)
        }
        Answer::Rewrite { .. } => return Err(WebhookError::Unfit),
    })
}

/// A reason as the sender is shown it: one line, not for ever.
fn shown(reason: &str) -> Arc<str> {
    let line: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect();
    if line.trim().is_empty() { "the message is not wanted here".into() } else { line.into() }
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| levels > 0 && is_shallow(value, levels - 1);
    match value {
        Value::Array(values) => values.iter().all(inner),
        Value::Object(members) => members.values().all(inner),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_signed_with_its_time() {
        // By: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signed = signature(b"key", "1700000000", br#"{"a":1}"#);
        assert_eq!(signed, "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
        assert_ne!(signed, signature(b"key", "1700000001", br#"{"a":1}"#));
    }

    #[test]
    fn an_answer_allows_refuses_or_rewrites() {
        let read = |status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            match read_answer(status, body.as_bytes()) {
                Ok(Verdict::Allow) => "allow".to_owned(),
                Ok(Verdict::Refuse(reason)) => format!("refuse {reason}"),
                Ok(Verdict::Rewrite(body)) => format!("rewrite {}", body.get()),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(read(204, ""), "allow");
        assert_eq!(read(200, r#"{"action":"allow","more":1}"#), "allow");
        assert_eq!(read(200, r#"{"action":"refuse","reason":"no\nlinks"}"#), "refuse nolinks");
        assert_eq!(read(200, r#"{"action":"refuse"}"#), "refuse the message is not wanted here");
        assert_eq!(read(200, r#"{"action":"rewrite","body":{"text":"***"}}"#), r#"rewrite {"text":"***"}"#);
        for (status, body, fault) in [
            (500, "", "the answer has status 500"),
            (302, "", "the answer has status 302"),
            (200, "", "the answer cannot be read"),
            (200, r#"{"action":"hug"}"#, "the answer cannot be read"),
            (200, r#"{"action":"rewrite"}"#, "the answer cannot be read"),
            (200, r#"{"action":"rewrite","body":"text"}"#, "a message can only be rewritten to a JSON object"),
        ] {
            assert!(read(status, body).starts_with(fault), "{}", read(status, body));
        }
        let deep = format!(r#"{{"action":"rewrite","body":{{"a":{}{}}}}}"#, "[".repeat(101), "]".repeat(101));
        assert!(read(200, &deep).starts_with("a message can only be rewritten"));
    }

    #[test]
    fn a_reason_is_one_line_and_ends() {
        assert_eq!(shown(&"x".repeat(1000)).len(), REASON_CHARS);
    }
}
