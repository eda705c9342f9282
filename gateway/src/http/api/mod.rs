//! The API for other servers: they publish and read messages, moderate, and sign identities for their own users.
//!
//! Decides who may call it (named tokens), how much of it, and how its answers look. Every route is a function whose types
//! are read, written and documented; the document is made from them. Never served on the shared port: it has a listener of
//! its own, which web pages may not use. Assembled by `run`.

mod bulk;
mod document;
mod fault;
mod guard;
mod identities;
mod lines;
mod listing;
mod messages;
pub mod meter;
mod moderation;
mod people;
mod read;
mod shapes;
mod site;
mod state;
mod tokens;

use std::sync::Arc;

use axum::{Json, Router, middleware::from_fn_with_state, response::IntoResponse, routing::get};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{fault::Fault, guard::Guard, shapes::BodyLimit, state::Api};
pub use self::{
    meter::Meter,
    site::ApiSite,
    tokens::{Tokens, TokensError},
};
use crate::fanout::{asker::Asker, moderating::Moderating, poster::Poster, recent::Recent};

/// What the API works with.
#[derive(Debug)]
pub struct ApiSettings {
    pub tokens: Tokens,
    pub poster: Poster,
    pub recent: Recent,
    pub asker: Asker,
    pub moderating: Moderating,
    /// Signs native identities; None where native is not served.
    pub signing_key: Option<Arc<[u8]>>,
    /// Largest body of a message in bytes.
    pub message_bytes: usize,
    pub meter: Arc<Meter>,
}

/// The routes, behind the guard, and their document, which takes no token.
pub fn router(settings: ApiSettings) -> Router {
    let ApiSettings { tokens, poster, recent, asker, moderating, signing_key, message_bytes, meter } = settings;
    let (guard, body_limit) = (Arc::new(Guard::new(tokens)), BodyLimit(message_bytes));
    let api = Arc::new(Api { poster, recent, asker, moderating, signing_key, body_limit, meter: Arc::clone(&meter) });
    let (routes, document) = OpenApiRouter::with_openapi(document::head())
        .routes(routes!(listing::rooms))
        .routes(routes!(messages::publish, messages::messages))
        .routes(routes!(bulk::publish_all))
        .routes(routes!(people::members))
        .routes(routes!(identities::sign))
        .routes(routes!(moderation::moderate))
        .routes(routes!(moderation::log))
        .split_for_parts();
    let document = Arc::new(document);
    routes
        .fallback(async || Fault::not_found("there is no such path"))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(guard, guard::guard))
        .with_state(api)
        .route("/openapi.json", get(async move || Json(document.as_ref()).into_response()).fallback(wrong_method))
        .layer(from_fn_with_state(meter, meter::measure))
}

/// Every path says so in the same shape, also the one that takes no token.
async fn wrong_method() -> Fault {
    Fault::wrong_method()
}
