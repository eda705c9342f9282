//! The endpoints under `/ws/`: logging in, people, blocks, conversations, and those of the legacy clients.
//!
//! Decides what a request may hold and how answers look; what is true is the directory's. All of them allow any origin,
//! as every call of the clients has a JSON content type, so that browsers ask first. What a client may ask with GET, it
//! may ask with POST and a JSON body too.

mod blocks;
mod desk;
mod image;
mod legacy;
mod people;
mod request;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    response::IntoResponse,
    routing::{MethodRouter, any},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;

use self::{
    desk::{Desk, Outcome, Refused, SEARCHES},
    request::Fields,
};
use super::MultiPersonSettings;

/// The endpoints.
pub(super) fn routes(settings: &MultiPersonSettings) -> Router {
    let desk = Desk {
        directory: Arc::clone(&settings.directory),
        poster: settings.poster.clone(),
        recent: settings.recent.clone(),
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
