//! Who may call the API, and how much: a known token, no web page, a rate per token, and a bounded number of requests at
//! once. Decides before a body is read.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{fault::Fault, tokens::Tokens};
use crate::{
    http::monotonic_micros,
    rooms::{
        Author,
        rates::{Rate, Rates},
    },
};

/// Requests that are answered at once. A bulk request holds some megabytes of messages at most, so all hold less than a
/// gigabyte.
const AT_ONCE: usize = 128;
/// Requests per second of one token; a bulk request is one, however many messages it brings.
const REQUESTS: u32 = 1000;
/// Tokens whose rate is remembered.
const RATED: usize = 128;

/// Ids that begin so are those of tokens: nobody else posts under them.
pub(super) const OF_TOKENS: &str = "api:";

/// The token that a request came with. Counts as one of the requests that are answered at once, until the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    author: Author,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Caller {
    /// Who the token is where it posts for nobody else.
    pub(super) fn author(&self) -> &Author {
        &self.author
    }
}

/// What the guard remembers.
#[derive(Debug)]
pub(super) struct Guard {
    tokens: Tokens,
    rates: Mutex<Rates<Arc<str>>>,
    places: Arc<Semaphore>,
}

impl Guard {
    pub(super) fn new(tokens: Tokens) -> Self {
        let rates = Mutex::new(Rates::new(Rate::per_second(REQUESTS), RATED));
        Self { tokens, rates, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn admit(&self, headers: &HeaderMap, now: u64) -> Result<Caller, Fault> {
        // Any page that is open on the same machine reaches loopback, and no page has business here.
        if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Err(Fault::web_page());
        }
        let name = bearer(headers).and_then(|token| self.tokens.name(token)).ok_or_else(Fault::unauthorized)?;
        let taken = self.rates.lock().take(Arc::clone(&name), now);
        taken.map_err(|wait| Fault::over_rate(Duration::from_micros(wait)))?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Fault::unavailable("too many requests are being answered"))?;
        let author = Author { id: format!("{OF_TOKENS}{name}").into(), name, extra: None };
        Ok(Caller { author, _place: Arc::new(place) })
    }
}

/// Lets a request through that may be answered, with its [`Caller`].
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let caller = guard.admit(request.headers(), monotonic_micros())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// What follows `Bearer`, whose case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::{HeaderValue, StatusCode};

    use super::*;

    const NOW: u64 = 1_000_000;

    fn guard() -> (Guard, std::path::PathBuf) {
        let folder = std::env::temp_dir().join(format!("parlor-guard-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("shop"), "0123456789abcdef").unwrap();
        (Guard::new(Tokens::read(&folder).unwrap()), folder)
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let named = |&(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(named).collect()
    }

    fn status(refused: Fault) -> StatusCode {
        refused.into_response().status()
    }

    #[test]
    fn a_known_token_passes_and_a_web_page_never_does() {
        let (guard, folder) = guard();
        for token in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef"] {
            let caller = guard.admit(&headers(&[("authorization", token)]), NOW).unwrap();
            assert_eq!((&*caller.author().id, &*caller.author().name), ("api:shop", "shop"));
        }
        for wrong in ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef"] {
            let refused = guard.admit(&headers(&[("authorization", wrong)]), NOW).unwrap_err();
            assert_eq!(status(refused), StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert_eq!(status(guard.admit(&HeaderMap::new(), NOW).unwrap_err()), StatusCode::UNAUTHORIZED);
        for name in ["origin", "sec-fetch-site"] {
            let page = headers(&[("authorization", "Bearer 0123456789abcdef"), (name, "https://a.example")]);
            assert_eq!(status(guard.admit(&page, NOW).unwrap_err()), StatusCode::FORBIDDEN, "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn requests_have_a_rate_and_a_number_at_once() {
        let (guard, folder) = guard();
        let known = headers(&[("authorization", "Bearer 0123456789abcdef")]);
        let held: Vec<_> = (0..AT_ONCE).map(|_| guard.admit(&known, NOW).unwrap()).collect();
        assert_eq!(status(guard.admit(&known, NOW).unwrap_err()), StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        let refused = std::iter::repeat_with(|| guard.admit(&known, NOW)).take(3000).find_map(Result::err);
        assert_eq!(status(refused.unwrap()), StatusCode::TOO_MANY_REQUESTS);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
