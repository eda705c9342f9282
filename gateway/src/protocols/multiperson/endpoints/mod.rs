//! The endpoints under `/ws/`: logging in, people, blocks, conversations, and those of the legacy clients.
//!
//! Decides what a request may hold and how answers look; what is true is the directory's. All of them allow any origin,
//! as every call of the clients has a JSON content type, so that browsers ask first. What a client may ask with GET, it
//! may ask with POST and a JSON body too.

mod blocks;
mod image;
mod legacy;
mod people;
mod request;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use self::request::Fields;
use super::Settings;
use crate::{
    bus::Bus,
    directory::{self, Directory, people as accounts, people::social},
    fanout::poster::Poster,
    rooms::RoomName,
};

/// Searches at once: each looks at every name there is, and Redis has other things to do.
const SEARCHES: usize = 2;
/// How long a search waits for its turn; then it is answered with 503.
const TURN: Duration = Duration::from_secs(3);

/// What the endpoints ask.
struct Desk {
    directory: Arc<dyn Directory>,
    bus: Arc<dyn Bus>,
    poster: Poster,
    /// The room of the broadcast dialect.
    room: RoomName,
    searches: Semaphore,
}

/// The endpoints.
pub(super) fn routes(settings: &Settings) -> Router {
    let desk = Desk {
        directory: Arc::clone(&settings.directory),
        bus: Arc::clone(&settings.bus),
        poster: Poster::new(Arc::clone(&settings.bus)),
        room: settings.room.clone(),
        searches: Semaphore::new(SEARCHES),
    };
    Router::new()
        .route("/ws/login", on(&[Method::POST], people::login))
        .route("/ws/user", get(people::row))
        .route("/ws/contactor", get(people::contacts))
        .route("/ws/profile/contacter", get(people::contacts))
        .route("/ws/search/contacter", get(people::search))
        .route("/ws/contacter/add", get(people::befriend))
        .route("/ws/conversation", get(people::conversations))
        .route("/ws/block", get(blocks::row))
        .route("/ws/profile/block", get(blocks::joined))
        .route("/ws/search/block", get(blocks::search))
        .route("/ws/block/join", get(blocks::join))
        .route("/ws/block/new", get(blocks::create))
        .route("/ws/add", on(&[Method::POST], legacy::add))
        .route("/ws/users", get(legacy::users))
        .route("/ws/messages", get(legacy::messages))
        .with_state(Arc::new(desk))
}

/// An endpoint that the clients GET.
fn get<A, F>(act: A) -> MethodRouter<Arc<Desk>>
where
    A: Fn(Arc<Desk>, Fields) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send,
{
    on(&[Method::GET, Method::HEAD, Method::POST], act)
}

/// An endpoint that takes these methods, and the question of browsers which they are.
fn on<A, F>(methods: &'static [Method], act: A) -> MethodRouter<Arc<Desk>>
where
    A: Fn(Arc<Desk>, Fields) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send,
{
    any(async move |State(desk): State<Arc<Desk>>, request: Request| {
        let outcome = match request.method() {
            &Method::OPTIONS => Ok(StatusCode::NO_CONTENT.into_response()),
            method if methods.contains(method) => match Fields::read(request).await {
                Ok(fields) => act(desk, fields).await,
                Err(refused) => Err(refused),
            },
            _ => Err(Refused::Request(StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned())),
        };
        (cors(), outcome)
    })
}

/// What lets pages of any origin ask.
fn cors() -> HeaderMap {
    HeaderMap::from_iter([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,PUT,POST,DELETE,PATCH")),
    ])
}

type Outcome = Result<Response, Refused>;

/// A request that is not answered with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// The request itself is wrong: HTTP status and what would be right.
    Request(StatusCode, String),
    /// It cannot be done: told by the code in the body alone, with status 200, as the system does whose clients look
    /// there and nowhere else.
    Failed(&'static str),
    /// Too many people, or the directory is away.
    Unavailable(&'static str),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Failed(message) => return Json(Answer { code: 500, message, data: None::<()> }).into_response(),
            Self::Request(status, message) => (status, message),
            Self::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message.to_owned()),
        };
        #[derive(Serialize)]
        struct Empty {}
        #[derive(Serialize)]
        struct Error {
            code: u16,
            message: String,
            success: bool,
            data: Empty,
        }
        let error = Error { code: status.as_u16(), message, success: false, data: Empty {} };
        (status, Json(error)).into_response()
    }
}

#[derive(Serialize)]
struct Answer<T> {
    code: u16,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

fn answer<T: Serialize>(data: T) -> Response {
    Json(Answer { code: 200, message: "", data: Some(data) }).into_response()
}

/// The answer to what was done and has nothing to show.
fn done() -> Response {
    Json(Answer { code: 200, message: "", data: None::<()> }).into_response()
}

impl Desk {
    async fn ask(&self, query: social::Query) -> Result<social::Reply, Refused> {
        match self.directory.ask(directory::Query::Social(query)).await {
            Ok(directory::Reply::Social(reply)) => Ok(reply),
            Ok(other) => Err(unexpected(&other)),
            Err(away) => Err(unavailable(&away)),
        }
    }

    async fn people(&self, query: social::Query) -> Result<Vec<social::Person>, Refused> {
        match self.ask(query).await? {
            social::Reply::People(people) => Ok(people),
            other => Err(unexpected(&other)),
        }
    }

    async fn blocks(&self, query: social::Query) -> Result<Vec<social::Block>, Refused> {
        match self.ask(query).await? {
            social::Reply::Blocks(blocks) => Ok(blocks),
            other => Err(unexpected(&other)),
        }
    }

    async fn login(&self, name: &str) -> Result<social::Person, Refused> {
        let query = directory::Query::People(accounts::Query::Login { name: name.into() });
        match self.directory.ask(query).await {
            Ok(directory::Reply::People(accounts::Reply::User { id, name })) => Ok(social::Person { id, name }),
            Ok(directory::Reply::People(accounts::Reply::Full)) => Err(Refused::Unavailable("too many users")),
            Ok(other) => Err(unexpected(&other)),
            Err(away) => Err(unavailable(&away)),
        }
    }

    /// Waits for a turn to search, for as long as the answer lives.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refused> {
        match timeout(TURN, self.searches.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refused::Unavailable("try again")),
        }
    }
}

fn unavailable(away: &crate::rooms::Unavailable) -> Refused {
    tracing::debug!(%away, "the directory is not to be had");
    Refused::Unavailable("try again")
}

fn unexpected(reply: &dyn std::fmt::Debug) -> Refused {
    tracing::error!(?reply, "the directory answered something else");
    Refused::Unavailable("try again")
}
