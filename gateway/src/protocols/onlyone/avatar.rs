//! Avatars: a small symmetric pattern that follows from the file's name, so that no file has to exist anywhere.

use std::fmt::Write;

use axum::{Router, extract::Path, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use sha2::{Digest, Sha256};

/// Longest file name, `.svg` included, in bytes.
const MAX_FILE_BYTES: usize = 64;

/// `GET /avatar/<file>`.
pub(super) fn routes() -> Router {
    Router::new().route("/avatar/{file}", get(serve))
}

async fn serve(Path(file): Path<String>) -> impl IntoResponse {
    let named = file.strip_suffix(".svg").is_some_and(|stem| {
        !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    if !named || file.len() > MAX_FILE_BYTES {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, draw(&file)).into_response()
}

/// Five by five squares, mirrored, in one hue.
fn draw(file: &str) -> String {
    let seed: [u8; 32] = Sha256::digest(file.as_bytes()).into();
    let hue = u16::from_be_bytes([seed[0], seed[1]]) % 360;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 7 7" width="80" height="80"><rect width="7" height="7" fill="hsl({hue} 60% 92%)"/><path fill="hsl({hue} 55% 42%)" d=""#
    );
    for (cell, _) in seed[2..17].iter().enumerate().filter(|(_, byte)| *byte & 1 == 1) {
        let (x, y) = (1 + cell / 5, 1 + cell % 5);
        write!(svg, "M{x} {y}h1v1h-1z").unwrap_or_default();
        if x < 3 {
            write!(svg, "M{} {y}h1v1h-1z", 6 - x).unwrap_or_default();
        }
    }
    svg.push_str(r#""/></svg>"#);
    svg
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get_file(file: &str) -> (u16, String, String) {
        let request = http::Request::get(format!("/avatar/{file}")).body(Body::empty()).unwrap();
        let answer = routes().oneshot(request).await.unwrap();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_svg_name_has_its_picture_and_nothing_else_has() {
        let (status, kind, one) = get_file("0a1b2c3d.svg").await;
        assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
        assert!(one.starts_with("<svg ") && one.ends_with("</svg>"));
        assert_ne!(get_file("ffffffff.svg").await.2, one);
        for file in ["a.png", ".svg", "a%22b.svg", &format!("{}.svg", "a".repeat(61))] {
            assert_eq!(get_file(file).await.0, 404, "{file}");
        }
    }
}
