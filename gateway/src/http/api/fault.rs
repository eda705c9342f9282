//! Why a request was refused, as every route says it: `{"code","message"}` with the codes of the native protocol.
//!
//! Decides which status fits. Every status that a route may answer with is in [`STATUSES`], which the document shows.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::{Json, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, Header, Ref, RefOr, Response, ResponseBuilder, Type, schema::ObjectBuilder},
};

use crate::{
    bus::AppendError,
    fanout::session::PostError,
    http::closing,
    moderation::Refused,
    protocols::native::{self, Code, Problem},
};

/// When what is unavailable is worth another try.
const RETRY: Duration = Duration::from_secs(1);

/// Every status of a refusal, and what it means.
const STATUSES: [(StatusCode, &str); 9] = [
    (StatusCode::BAD_REQUEST, "The request is wrong; `message` names what"),
    (StatusCode::UNAUTHORIZED, "The request carries no token that is known"),
    (StatusCode::FORBIDDEN, "The request comes from a web page, or moderators refuse the message"),
    (StatusCode::NOT_FOUND, "There is no such thing"),
    (StatusCode::REQUEST_TIMEOUT, "The request or its answer took too long"),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "Something is longer than its bound, or the ChatRoom has as many restrictions as it can have; `message` names which",
    ),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another type than the route takes"),
    (StatusCode::TOO_MANY_REQUESTS, "The token is above its rate; `Retry-After` says when to try again"),
    (StatusCode::SERVICE_UNAVAILABLE, "Redis or the gateway cannot serve now; `Retry-After` says when to try again"),
];

/// A refused request, or a refused line of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Fault {
    #[serde(skip)]
    status: StatusCode,
    /// What programs look at.
    #[schema(value_type = String, example = "bad_request")]
    code: Code,
    /// For people who debug a client.
    message: Cow<'static, str>,
    /// Milliseconds after which the same request is worth sending again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

impl Fault {
    fn new(status: StatusCode, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), retry: None }
    }

    fn retry(self, after: Duration) -> Self {
        Self { retry: Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "Authorization: Bearer with a known token is needed")
    }

    pub(super) fn web_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Unauthorized, "web pages may not use the server API")
    }

    pub(super) fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::UnknownOp, "this path takes another method")
    }

    pub(super) fn too_late() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::Unavailable, "the request or its answer took too long")
            .retry(RETRY)
    }

    pub(super) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, message)
    }

    pub(super) fn media_type(wanted: &'static str) -> Self {
        let message = format!("Content-Type must be {wanted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, message)
    }

    pub(super) fn over_rate(wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, "too many requests with this token").retry(wait)
    }

    pub(super) fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message).retry(RETRY)
    }
}

/// The rules of the native protocol, which hold here too.
impl From<Problem> for Fault {
    fn from(Problem { code, message }: Problem) -> Self {
        match code {
            Code::TooLarge => Self::too_large(message),
            _ => Self::bad_request(message),
        }
    }
}

impl From<PostError> for Fault {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Moderated(refusal) => {
                let (code, retry) = native::code_of(&refusal);
                let fault = Self::new(StatusCode::FORBIDDEN, code, refusal.to_string());
                match retry {
                    Some(after) => fault.retry(after),
                    None => fault,
                }
            }
            PostError::Full { retry } => Self::unavailable("too many messages are waiting").retry(retry),
            PostError::RoomLimit => Self::unavailable("too many new rooms"),
            PostError::Append(error) => error.into(),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BadRequest(fault) => Self::bad_request(fault),
            Refused::NotFound => Self::not_found("the room's history has no such message"),
            full @ Refused::Full(_) => Self::too_large(full.to_string()),
            Refused::Unavailable(error) => {
                tracing::debug!(%error, "failed to moderate for the server API");
                Self::unavailable("the action cannot be stored now: try again")
            }
        }
    }
}

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotDurable => Self::unavailable("only one copy of the room exists"),
            // No route changes earlier messages.
            AppendError::Amendment(_) | AppendError::OlderGateway => Self::unavailable("the message cannot be changed"),
            AppendError::Lost | AppendError::Denied(_) | AppendError::Unavailable(_) => {
                Self::unavailable("the message may not have been kept: send it again under the same key")
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> axum::response::Response {
        let (status, retry) = (self.status, self.retry);
        let mut answer = (status, Json(self)).into_response();
        if let Some(millis) = retry {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000).max(1)));
        }
        match status {
            // What has not been read of the body would be read as the next request.
            StatusCode::UNAUTHORIZED | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => closing(answer),
            _ => answer,
        }
    }
}

impl IntoResponses for Fault {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let described = |(status, meaning): (StatusCode, &str)| {
            let mut response = ResponseBuilder::new()
                .description(meaning)
                .content("application/json", Content::new(Some(Ref::from_schema_name(Self::name()))));
            if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
                response = response.header("Retry-After", Header::new(seconds));
            }
            (status.as_str().to_owned(), response.build().into())
        };
        STATUSES.into_iter().map(described).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_says_when() {
        let answer = Fault::over_rate(Duration::from_millis(1200)).into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "2");
        let answer = Fault::bad_request("room is missing").into_response();
        assert!(answer.headers().get(header::RETRY_AFTER).is_none());
    }

    #[test]
    fn a_refusal_has_a_code_and_a_message() {
        let text = serde_json::to_string(&Fault::unavailable("why")).unwrap();
        assert_eq!(text, r#"{"code":"unavailable","message":"why","retry":1000}"#);
    }
}
