//! The web page, served from the binary: its files, their headers, and the settings it starts with.
//!
//! Decides what a browser may do with the page (nothing but talk to the gateway it came from) and how long it may keep
//! it: scripts and styles for ever, as their names have their hash, the rest until it has asked whether it changed. Never
//! renders anything, and knows of no room or connection. Mounted by the wiring on the shared port.

mod asset;
mod bundle;
mod files;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

pub use self::bundle::BundleError;
use self::{
    asset::{Asset, hash},
    bundle::bundle,
    files::{CLIENT, CLIENT_TYPES, CONSOLE, DOCUMENTS, ENTRIES, File, INDEX, JAVASCRIPT, MODULES, NAMED, STYLES},
};
use crate::rooms::ProtocolId;

/// What the page learns before it connects.
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
    /// Whether people may join without a token; left out where they may.
    #[serde(skip_serializing_if = "is_true")]
    pub anonymous: bool,
    /// Where people who have no token sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Who signs people in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openid: Option<OpenId>,
    /// Whether the page offers the protocol console; left out where it does.
    #[serde(skip_serializing_if = "is_true")]
    pub console: bool,
    /// Hosts, besides its own, whose pictures and voice messages the page shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
}

/// The OpenID provider that signs people in, and the page's name there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenId {
    /// As in its discovery document.
    pub issuer: String,
    /// The page's name there.
    pub client_id: String,
    /// What is asked of it.
    pub scopes: Vec<String>,
}

impl OpenId {
    /// The one origin, besides its own, that the page may talk to.
    fn origin(&self) -> Option<String> {
        let issuer: Uri = self.issuer.parse().ok()?;
        Some(format!("{}://{}", issuer.scheme_str()?, issuer.authority()?))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

/// The page's routes: `/`, `/parlor.js` with its types, and `/page/…`.
///
/// # Errors
/// If the modules of the page do not fit together; the tests bundle them, so a release has none that do not.
pub fn routes(settings: &PageSettings) -> Result<Router, BundleError> {
    let headers = common_headers(settings);
    let served = Served::new(settings, &headers)?;
    let index = served.page(&INDEX, &headers);
    let client = plain(&CLIENT, &headers).for_every_origin().with_types("./parlor.d.ts");
    let types = plain(&CLIENT_TYPES, &headers).for_every_origin();
    let assets = Arc::new(served.assets);
    let settings = settings.clone();
    let router = Router::new()
        .route("/", get(async move |headers: HeaderMap| index.answer(&headers)))
        .route("/parlor.js", get(async move |headers: HeaderMap| client.answer(&headers)))
        .route("/parlor.d.ts", get(async move |headers: HeaderMap| types.answer(&headers)))
        .route("/page/config.json", get(async move || config(&settings, headers)))
        .route(
            "/page/{name}",
            get(async move |Path(name): Path<String>, headers: HeaderMap| {
                let asset = assets.get(&name);
                asset.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| asset.answer(&headers))
            }),
        );
    Ok(router)
}

/// What is served below `/page/`. Each name has a dot, which no protocol's path may have, so that they never clash.
struct Served {
    assets: BTreeMap<String, Asset>,
    /// Names that pages use, and the ones with a hash under which they are served.
    hashed: Vec<(&'static str, String)>,
}

impl Served {
    fn new(settings: &PageSettings, headers: &HeaderMap) -> Result<Self, BundleError> {
        let mut served = Self { assets: BTreeMap::new(), hashed: Vec::new() };
        let modules = MODULES.into_iter().collect();
        for entry in ENTRIES {
            served.add_hashed(entry, JAVASCRIPT, bundle(entry, &modules)?.into(), headers);
        }
        for style in STYLES {
            served.add_hashed(style.name, style.media, Bytes::from_static(style.content), headers);
        }
        for file in NAMED {
            served.assets.insert(file.name.to_owned(), plain(&file, headers));
        }
        if settings.console {
            let console = served.page(&CONSOLE, headers);
            served.assets.insert(CONSOLE.name.to_owned(), console);
            for document in DOCUMENTS {
                served.assets.insert(document.name.to_owned(), plain(&document, headers));
            }
        }
        Ok(served)
    }

    fn add_hashed(&mut self, name: &'static str, media: &'static str, content: Bytes, headers: &HeaderMap) {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}-{}.{extension}", hash(&content));
        self.assets.insert(hashed.clone(), Asset::new(media, content, headers.clone()).immutable());
        self.hashed.push((name, hashed));
    }

    /// A page that refers to its scripts and styles by their hashed names.
    fn page(&self, file: &File, headers: &HeaderMap) -> Asset {
        let mut text = String::from_utf8_lossy(file.content).into_owned();
        for (name, hashed) in &self.hashed {
            text = text.replace(&format!("\"/page/{name}\""), &format!("\"/page/{hashed}\""));
        }
        Asset::new(file.media, text.into(), headers.clone())
    }
}

fn plain(file: &File, headers: &HeaderMap) -> Asset {
    Asset::new(file.media, Bytes::from_static(file.content), headers.clone())
}

fn config(settings: &PageSettings, mut headers: HeaderMap) -> Response {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, Json(settings)).into_response()
}

/// Scripts, styles and sockets of this origin alone; text can never become markup, as Trusted Types are required and
/// no policy may make any. Pictures and voice messages may come from the hosts that the ChatRoom allows, and tokens from
/// its OpenID provider.
fn content_security_policy(settings: &PageSettings) -> String {
    let media: String = settings.media.iter().map(|host| format!(" https://{host}")).collect();
    let provider =
        settings.openid.as_ref().and_then(OpenId::origin).map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{media}; media-src 'self'{media}; \
         connect-src 'self'{provider}; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

fn common_headers(settings: &PageSettings) -> HeaderMap {
    let policy = HeaderValue::from_str(&content_security_policy(settings));
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    // A host that is no header value is none that a browser could load from.
    let policy = policy.unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    fixed.into_iter().chain([(header::CONTENT_SECURITY_POLICY, policy)]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::Body;
    use http::{HeaderName, Request};
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
            anonymous: true,
            login: None,
            openid: None,
            console: true,
            media: Vec::new(),
        }
    }

    async fn fetch(path: &str, known: Option<&HeaderValue>) -> (StatusCode, HeaderMap, String) {
        let asked = known.map(|tag| (header::IF_NONE_MATCH, tag.clone()));
        let (status, headers, body) = ask(&settings(), path, asked).await;
        (status, headers, String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask(
        settings: &PageSettings,
        path: &str,
        asked: Option<(HeaderName, HeaderValue)>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        request.headers_mut().extend(asked);
        let (parts, body) =
            routes(settings).expect("modules that fit").oneshot(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, body)
    }

    /// Paths that a page refers to.
    fn references(page: &str) -> Vec<String> {
        page.split('"').skip(1).step_by(2).filter(|value| value.starts_with('/')).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn everything_that_the_page_refers_to_is_served() {
        let (_, _, index) = fetch("/", None).await;
        let (_, _, console) = fetch("/page/console.html", None).await;
        let (_, _, manifest) = fetch("/page/manifest.json", None).await;
        let wanted: Vec<String> = [index, console, manifest].iter().flat_map(|page| references(page)).collect();
        assert!(wanted.len() > 10, "the page refers to more than {wanted:?}");
        let documents = DOCUMENTS.map(|document| format!("/page/{}", document.name));
        for path in wanted.into_iter().chain(documents) {
            let (status, headers, body) = fetch(&path, None).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert!(!body.is_empty(), "{path}");
        }
    }

    #[tokio::test]
    async fn scripts_and_styles_are_kept_for_ever_under_the_hash_of_their_content() {
        let (_, _, index) = fetch("/", None).await;
        let hashed: Vec<String> =
            references(&index).into_iter().filter(|path| path.ends_with(".js") || path.ends_with(".css")).collect();
        assert_eq!(hashed.len(), 2, "{hashed:?}");
        for path in hashed {
            let (_, headers, body) = fetch(&path, None).await;
            assert!(headers[header::CACHE_CONTROL].to_str().expect("text").contains("immutable"), "{path}");
            assert!(path.contains(&hash(body.as_bytes())), "{path}");
        }
        assert_eq!(fetch("/page/main.js", None).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn what_is_sent_compressed_is_the_same() {
        let gzip = (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        let (_, headers, body) = ask(&settings(), "/parlor.js", Some(gzip)).await;
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        assert_eq!(headers[header::VARY], "accept-encoding");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_ref()).read_to_string(&mut text).expect("gzip");
        assert_eq!(text.as_bytes(), CLIENT.content);
        assert!(body.len() * 2 < text.len());
    }

    #[tokio::test]
    async fn a_closed_room_says_where_to_sign_in_and_may_hide_the_console() {
        let closed = PageSettings {
            anonymous: false,
            login: Some("https://login.example.com/".into()),
            console: false,
            media: vec!["pictures.example.com".into()],
            ..settings()
        };
        let (_, headers, body) = ask(&closed, "/page/config.json", None).await;
        let text = String::from_utf8_lossy(&body);
        let expected = r#""anonymous":false,"login":"https://login.example.com/","console":false,"media":["pictures.example.com"]}"#;
        assert!(text.ends_with(expected), "{text}");
        assert!(
            headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .expect("text")
                .contains("img-src 'self' https://pictures.example.com;")
        );
        assert_eq!(ask(&closed, "/page/console.html", None).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_provider_that_signs_people_in_is_in_the_settings_and_the_only_other_origin() {
        let scopes = vec!["profile".into()];
        let openid =
            OpenId { issuer: "https://login.example.com/realms/chat".into(), client_id: "parlor".into(), scopes };
        let (_, headers, body) =
            ask(&PageSettings { openid: Some(openid), ..settings() }, "/page/config.json", None).await;
        let expected =
            r#""openid":{"issuer":"https://login.example.com/realms/chat","clientId":"parlor","scopes":["profile"]}"#;
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(expected), "{text}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("; connect-src 'self' https://login.example.com; "), "{policy}");
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
        assert!(!fetch("/page/icon.svg", None).await.1.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
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
