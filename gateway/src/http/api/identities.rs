//! Identities for people whom the caller knows: a token with which they join over the native protocol.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State};
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    fault::Fault,
    guard::Caller,
    read::{json, whole},
    shapes::Named,
    state::Api,
};
use crate::{http::unix_millis, protocols::native};

/// Bytes of a request: an id and a name, every character of them escaped.
const BYTES: usize = 4096;

/// A signed identity.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Identity {
    /// The person gives this as `token` when they join.
    token: String,
    #[schema(value_type = String)]
    id: Arc<str>,
    #[schema(value_type = String)]
    name: Arc<str>,
    /// When it ends, in seconds since 1970.
    expires: u64,
}

/// Signs a native identity. The holder of the token is that person, on every gateway.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "people",
    request_body = Named,
    responses((status = 200, description = "The identity", body = Identity), Fault)
)]
pub(super) async fn sign(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Identity>, Fault> {
    let key = api.signing_key.as_ref().ok_or_else(|| Fault::not_found("the ChatRoom does not serve native"))?;
    let body = whole(&headers, body, BYTES).await?;
    let who = json::<Named<'_>>(&body)?.person(&caller)?;
    let (token, expires) = native::issue(key, &who, unix_millis());
    Ok(Json(Identity { token, id: who.id, name: who.name, expires }))
}
