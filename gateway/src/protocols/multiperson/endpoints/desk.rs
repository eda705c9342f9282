//! What the endpoints ask, and how their answers look.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    directory::{self, Directory, people as accounts, people::social},
    fanout::{poster::Poster, recent::Recent},
    rooms::RoomName,
};

/// Searches at once: each looks at every name there is, and Redis has other things to do.
pub(super) const SEARCHES: usize = 2;
/// How long a search waits for its turn; then it is answered with 503.
const TURN: Duration = Duration::from_secs(3);

/// What the endpoints ask.
pub(super) struct Desk {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) poster: Poster,
    pub(super) recent: Recent,
    /// The room of the broadcast dialect.
    pub(super) room: RoomName,
    pub(super) searches: Semaphore,
}

pub(super) type Outcome = Result<Response, Refused>;

/// A request that is not answered with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request itself is wrong: HTTP status and what would be right.
    Request(StatusCode, String),
    /// It cannot be done: only the code in the body says so, with status 200, as the system does whose clients look
    /// there and nowhere else.
    Failed(&'static str),
    /// Too many people, or the directory is unavailable.
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
pub(super) struct Answer<T> {
    code: u16,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

pub(super) fn answer<T: Serialize>(data: T) -> Response {
    Json(Answer { code: 200, message: "", data: Some(data) }).into_response()
}

/// The answer to what was done and has nothing to show.
pub(super) fn done() -> Response {
    Json(Answer { code: 200, message: "", data: None::<()> }).into_response()
}

impl Desk {
    pub(super) async fn ask(&self, query: social::Query) -> Result<social::Reply, Refused> {
        match self.directory.ask(directory::Query::Social(query)).await {
            Ok(directory::Reply::Social(reply)) => Ok(reply),
            Ok(other) => Err(unexpected(&other)),
            Err(away) => Err(unavailable(&away)),
        }
    }

    pub(super) async fn people(&self, query: social::Query) -> Result<Vec<social::Person>, Refused> {
        match self.ask(query).await? {
            social::Reply::People(people) => Ok(people),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn blocks(&self, query: social::Query) -> Result<Vec<social::Block>, Refused> {
        match self.ask(query).await? {
            social::Reply::Blocks(blocks) => Ok(blocks),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn login(&self, name: &str) -> Result<social::Person, Refused> {
        let query = directory::Query::People(accounts::Query::Login { name: name.into() });
        match self.directory.ask(query).await {
            Ok(directory::Reply::People(accounts::Reply::User { id, name, taken: _ })) => {
                Ok(social::Person { id, name })
            }
            Ok(directory::Reply::People(accounts::Reply::Full)) => Err(Refused::Unavailable("too many users")),
            Ok(other) => Err(unexpected(&other)),
            Err(away) => Err(unavailable(&away)),
        }
    }

    /// Waits for a turn to search, for as long as the answer lives.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Refused> {
        match timeout(TURN, self.searches.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refused::Unavailable("try again")),
        }
    }
}

pub(super) fn unavailable(away: &crate::rooms::Unavailable) -> Refused {
    tracing::debug!(%away, "failed to ask the directory");
    Refused::Unavailable("try again")
}

pub(super) fn unexpected(reply: &dyn std::fmt::Debug) -> Refused {
    tracing::error!(?reply, "the directory gave an unexpected answer");
    Refused::Unavailable("try again")
}
