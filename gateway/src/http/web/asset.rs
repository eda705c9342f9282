//! One file with the headers that it is served with, plain and compressed.

use std::io::Write;

use axum::{
    Extension,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parlor_crds::contract::hex;
use sha2::{Digest, Sha256};

use crate::http::pinned::Shared;

/// Compressing less than this saves nothing.
const SMALL: usize = 512;
/// Hexadecimal digits that tell versions of a file apart.
const DIGITS: usize = 16;

#[derive(Clone)]
pub(super) struct Asset {
    content: Bytes,
    compressed: Option<Bytes>,
    headers: HeaderMap,
}

impl Asset {
    /// A file that a browser keeps until it has asked whether it changed.
    pub(super) fn new(media: &'static str, content: Bytes, mut headers: HeaderMap) -> Self {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        // Digits in quotes always are a header value.
        if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", hash(&content))) {
            headers.insert(header::ETAG, tag);
        }
        let compressed =
            (!media.starts_with("image/png") && content.len() > SMALL).then(|| compress(&content)).flatten();
        Self { content, compressed, headers }
    }

    /// A file whose name has its hash: it never changes.
    pub(super) fn immutable(mut self) -> Self {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        self.headers.insert(header::CACHE_CONTROL, forever);
        self
    }

    /// Lets pages of other sites import it.
    pub(super) fn for_every_origin(mut self) -> Self {
        self.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self.headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        self
    }

    /// Names the file that has its types, as Deno and package CDNs do.
    pub(super) fn with_types(mut self, types: &'static str) -> Self {
        self.headers.insert("x-typescript-types", HeaderValue::from_static(types));
        self.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-typescript-types"));
        self
    }

    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let mut headers = self.headers.clone();
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        match &self.compressed {
            Some(compressed) if takes_gzip(request) => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                (headers, Extension(Shared), compressed.clone()).into_response()
            }
            _ => (headers, Extension(Shared), self.content.clone()).into_response(),
        }
    }

    /// Whether the browser holds this very version.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let ours = self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(bare);
        let theirs = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
        theirs.split(',').any(|tag| Some(bare(tag)) == ours)
    }
}

/// The content's SHA-256, as far as it takes to tell versions apart.
pub(super) fn hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..DIGITS / 2])
}

/// Whether the request lists gzip, and not to refuse it.
fn takes_gzip(request: &HeaderMap) -> bool {
    let listed = request.get_all(header::ACCEPT_ENCODING);
    let mut codings = listed.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0_f32);
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

fn compress(content: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepts, takes) in
            [("gzip", true), ("br, gzip;q=0.5", true), ("*", true), ("gzip;q=0", false), ("br", false), ("", false)]
        {
            let request = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
            assert_eq!(takes_gzip(&request), takes, "{accepts}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
