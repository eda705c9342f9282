//! What a request holds: fields of the query, or of a JSON body, each checked before anything is asked.

use axum::extract::{Query, Request};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};

use super::desk::Refused;
use crate::{
    directory::people::{MOST, NAME, is_name},
    protocols::json,
    rooms::text::check_name,
};

/// Longest body, in bytes: a few names and what surrounds them.
const BODY: usize = 4096;

const NAMES: [&str; 6] = ["user_id", "contacter_id", "block_id", "name", "user_name", "block_name"];

/// The fields that endpoints know, by their place in [`NAMES`].
#[derive(Debug, Default)]
pub(super) struct Fields([Option<String>; NAMES.len()]);

impl Fields {
    /// Reads the query, and then the body if there is one. The first of fields of one name counts.
    pub(super) async fn read(request: Request) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&head.uri);
        let mut fields = Self::default();
        for (name, value) in pairs.map(|Query(pairs)| pairs).unwrap_or_default() {
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                fields.0[at].get_or_insert(value);
            }
        }
        let Ok(body) = Limited::new(body, BODY).collect().await.map(|body| body.to_bytes()) else {
            return Err(wrong(format!("the body must have at most {BODY} bytes")));
        };
        if body.is_empty() {
            return Ok(fields);
        }
        let body = std::str::from_utf8(&body).ok().and_then(|body| json::fields(body, NAMES));
        let body = body.ok_or_else(|| wrong("the body must be a JSON object".to_owned()))?;
        for (field, raw) in fields.0.iter_mut().zip(body) {
            if let Some(raw) = raw.filter(|raw| field.is_none() && raw.get() != "null") {
                *field = Some(json::string(raw).map_or_else(|| raw.get().to_owned(), |text| text.into_owned()));
            }
        }
        Ok(fields)
    }

    /// The number of a person or a block.
    pub(super) fn id(&self, name: &'static str) -> Result<u64, Refused> {
        let text = self.text(name)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let id = text.parse().ok().filter(|id| digits && (1..=MOST).contains(id));
        id.ok_or_else(|| wrong(format!("{name} must be a whole number from 1 to {MOST}")))
    }

    /// The name of a person or a block, under the first of `names` that is there.
    pub(super) fn name(&self, names: &[&'static str]) -> Result<&str, Refused> {
        let found = names.iter().find_map(|name| Some((*name, self.get(name)?)));
        let (name, text) = found.ok_or_else(|| missing(names.first().copied().unwrap_or_default()))?;
        if is_name(text) && check_name(text).is_ok() {
            return Ok(text);
        }
        Err(wrong(format!("{name} must have 1 to {NAME} bytes, something to see and nothing invisible")))
    }

    /// Whether one of these fields is there.
    pub(super) fn has(&self, names: &[&'static str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    /// What names are searched for; empty finds all of them. None: the client asks without a word, and finds nothing.
    pub(super) fn part(&self, name: &'static str) -> Result<Option<&str>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if text.is_empty() || is_name(text) {
            return Ok(Some(text));
        }
        Err(wrong(format!("{name} must have at most {NAME} bytes without control characters")))
    }

    fn text(&self, name: &'static str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| missing(name))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0[NAMES.iter().position(|known| *known == name)?].as_deref()
    }
}

fn missing(name: &str) -> Refused {
    wrong(format!("{name} is missing"))
}

fn wrong(what: String) -> Refused {
    Refused::Request(StatusCode::BAD_REQUEST, what)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn fields(uri: &str, body: &str) -> Result<Fields, Refused> {
        Fields::read(http::Request::post(uri).body(Body::from(body.to_owned())).unwrap()).await
    }

    #[tokio::test]
    async fn fields_come_from_the_query_or_the_body() {
        let read = fields("/ws/x?user_id=7&user_id=8&name=%E5%8D%83", r#"{"user_id":9,"block_id":"3","name":null}"#);
        let read = read.await.unwrap();
        assert_eq!((read.id("user_id"), read.id("block_id"), read.name(&["name"])), (Ok(7), Ok(3), Ok("千")));
        assert_eq!(fields("/", r#"{"user_id":9007199254740991}"#).await.unwrap().id("user_id"), Ok(MOST));
    }

    #[tokio::test]
    async fn a_number_is_a_whole_one_that_every_client_reads_exactly() {
        for id in ["", "0", "-1", "+1", "1.0", "1e3", "x", "9007199254740992", "99999999999999999999"] {
            let refused = fields(&format!("/?user_id={}", id.replace('+', "%2B")), "").await.unwrap().id("user_id");
            let said = "user_id must be a whole number from 1 to 9007199254740991";
            assert_eq!(refused, Err(wrong(said.to_owned())), "{id}");
        }
        assert_eq!(fields("/", "").await.unwrap().id("user_id"), Err(wrong("user_id is missing".to_owned())));
    }

    #[tokio::test]
    async fn names_are_bounded_and_bodies_too() {
        let named =
            async |name: &str| fields("/", &format!(r#"{{"name":"{name}"}}"#)).await.unwrap().name(&["name"]).is_ok();
        assert!(named(&"x".repeat(255)).await);
        assert!(!named(&"x".repeat(256)).await);
        assert!(!named("").await);
        assert!(!named("a\\u0007").await);
        assert!(fields("/?user_name=", "").await.unwrap().part("user_name").is_ok());
        for body in ["[]", "x", &"x".repeat(BODY + 1)] {
            assert!(matches!(fields("/", body).await, Err(Refused::Request(StatusCode::BAD_REQUEST, _))));
        }
    }
}
