//! The web page, served from the binary: its files, their headers, and the settings it starts with.
//!
//! Decides what a browser may do with the page (nothing but talk to the gateway it came from) and how long it may keep
//! it (until it has asked whether it changed). Never renders anything, and knows of no room or connection. Mounted by
//! the wiring on the shared port.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::rooms::ProtocolId;

/// What the page is told before it connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageSettings {
    /// Shown as the name of the place: the ChatRoom's name.
    pub title: String,
    /// Path of the native protocol on the shared port; without it the page only says that it cannot chat.
    pub native: Option<String>,
    /// The room that is opened first.
    pub room: String,
    /// Rooms that are offered.
    pub rooms: Vec<String>,
    /// Largest whole message in bytes, so that the page says "too long" before the server closes on it.
    pub message_bytes: u32,
    /// Paths of all protocols on the shared port, for the protocol console.
    pub protocols: BTreeMap<ProtocolId, String>,
}

/// Scripts, styles and sockets of this origin alone; text can never become markup, as Trusted Types are required and
/// no policy may make any.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page as it lies in the binary.
struct File {
    name: &'static str,
    media: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($name:literal, $media:expr) => {
        File { name: $name, media: $media, content: include_str!(concat!("../../web/", $name)) }
    };
}

const INDEX: File = file!("index.html", "text/html; charset=utf-8");

/// The client that other sites may import too.
const CLIENT: File = file!("parlor.js", JAVASCRIPT);

/// Its types, for editors and for runtimes that read TypeScript.
const CLIENT_TYPES: File = file!("parlor.d.ts", "application/typescript; charset=utf-8");

/// Served below `/page/`. Each has a dot in its name, which no protocol's path may have, so that they never clash.
const FILES: [File; 18] = [
    file!("page.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("main.js", JAVASCRIPT),
    file!("app.js", JAVASCRIPT),
    file!("announce.js", JAVASCRIPT),
    file!("composer.js", JAVASCRIPT),
    file!("console.css", "text/css; charset=utf-8"),
    file!("console.html", "text/html; charset=utf-8"),
    file!("console.js", JAVASCRIPT),
    file!("connection.js", JAVASCRIPT),
    file!("dialects.js", JAVASCRIPT),
    file!("drawer.js", JAVASCRIPT),
    file!("feed.js", JAVASCRIPT),
    file!("log.js", JAVASCRIPT),
    file!("people.js", JAVASCRIPT),
    file!("relay-wire.js", JAVASCRIPT),
    file!("row.js", JAVASCRIPT),
    file!("store.js", JAVASCRIPT),
];

/// The page's routes: `/`, `/parlor.js` with its types, and `/page/…`.
pub fn routes(settings: &PageSettings) -> Router {
    let index = Asset::new(&INDEX);
    let client = Asset::new(&CLIENT).for_every_origin().with_types("./parlor.d.ts");
    let types = Asset::new(&CLIENT_TYPES).for_every_origin();
    let assets: Arc<[Asset]> = FILES.iter().map(Asset::new).collect();
    let settings = settings.clone();
    Router::new()
        .route("/", get(async move |headers: HeaderMap| index.answer(&headers)))
        .route("/parlor.js", get(async move |headers: HeaderMap| client.answer(&headers)))
        .route("/parlor.d.ts", get(async move |headers: HeaderMap| types.answer(&headers)))
        .route("/page/config.json", get(async move || config(&settings)))
        .route(
            "/page/{name}",
            get(async move |Path(name): Path<String>, headers: HeaderMap| {
                let asset = assets.iter().find(|asset| asset.name == name);
                asset.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| asset.answer(&headers))
            }),
        )
}

/// A file with the headers that it is served with.
#[derive(Clone)]
struct Asset {
    name: &'static str,
    content: &'static str,
    headers: HeaderMap,
}

impl Asset {
    fn new(file: &File) -> Self {
        let mut headers = common_headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
        headers.insert(header::ETAG, etag(file.content));
        Self { name: file.name, content: file.content, headers }
    }

    /// Lets pages of other sites import it.
    fn for_every_origin(mut self) -> Self {
        self.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self.headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        self
    }

    /// Names the file that has its types, as Deno and package CDNs do.
    fn with_types(mut self, types: &'static str) -> Self {
        self.headers.insert("x-typescript-types", HeaderValue::from_static(types));
        self.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-typescript-types"));
        self
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let headers = self.headers.clone();
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, Bytes::from_static(self.content.as_bytes())).into_response()
    }

    /// Whether the browser holds this very version; proxies that compress make the tag a weak one.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let ours = self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let theirs = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
        theirs.split(',').any(|tag| Some(tag.trim().trim_start_matches("W/")) == ours)
    }
}

fn config(settings: &PageSettings) -> Response {
    let mut headers = common_headers();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, Json(settings)).into_response()
}

fn common_headers() -> HeaderMap {
    let fixed = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// The content's SHA-256, as far as it takes to tell versions apart.
fn etag(content: &str) -> HeaderValue {
    let digest = Sha256::digest(content.as_bytes());
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits in quotes are a header value")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    fn settings() -> PageSettings {
        PageSettings {
            title: "lobby".into(),
            native: Some("/chat".into()),
            room: "onlyOne".into(),
            rooms: vec!["onlyOne".into()],
            message_bytes: 10240,
            protocols: BTreeMap::from([(ProtocolId::Native, "/chat".into()), (ProtocolId::Match, "/ws".into())]),
        }
    }

    async fn fetch(path: &str, known: Option<&HeaderValue>) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::get(path);
        if let Some(tag) = known {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let request = request.body(Body::empty()).expect("a request");
        let (parts, body) = routes(&settings()).oneshot(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn everything_that_the_page_refers_to_is_served() {
        let (_, _, index) = fetch("/", None).await;
        let values = index.split('"').skip(1).step_by(2);
        let mut wanted: Vec<String> = values.filter(|value| value.starts_with('/')).map(str::to_owned).collect();
        for file in &FILES {
            let imports = file.content.split("from \"").skip(1).filter_map(|rest| rest.split('"').next());
            wanted.extend(imports.map(|name| name.replace("./", "/page/")));
        }
        assert!(wanted.len() > 20, "the page refers to more than {wanted:?}");
        for path in wanted {
            let (status, headers, body) = fetch(&path, None).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert!(!body.is_empty(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let (_, headers, _) = fetch("/parlor.js", None).await;
        let (status, again, body) = fetch("/parlor.js", Some(&headers[header::ETAG])).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(again[header::ETAG], headers[header::ETAG]);
        let other = HeaderValue::from_static("\"0123\"");
        assert_eq!(fetch("/parlor.js", Some(&other)).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_policy_allows_no_inline_script_and_no_other_origin() {
        let (_, headers, index) = fetch("/", None).await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        assert!(!index.contains(" style=") && !index.contains("<style") && !index.contains(" onclick="));
    }

    #[tokio::test]
    async fn only_the_client_and_its_types_may_be_imported_by_other_sites() {
        let (_, client, _) = fetch("/parlor.js", None).await;
        let (_, types, text) = fetch("/parlor.d.ts", None).await;
        assert_eq!(client["x-typescript-types"], "./parlor.d.ts");
        assert!(text.contains("export declare function connect"));
        for headers in [client, types] {
            assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
        assert!(!fetch("/page/main.js", None).await.1.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[tokio::test]
    async fn the_page_learns_its_settings_and_never_keeps_them() {
        let (_, headers, body) = fetch("/page/config.json", None).await;
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        let expected = r#"{"title":"lobby","native":"/chat","room":"onlyOne","rooms":["onlyOne"],"messageBytes":10240,"protocols":{"native":"/chat","match":"/ws"}}"#;
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn an_unknown_file_is_not_found() {
        assert_eq!(fetch("/page/nothing.js", None).await.0, StatusCode::NOT_FOUND);
    }
}
