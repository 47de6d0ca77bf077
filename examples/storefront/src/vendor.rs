//! What is in the binary beside the pages: one style sheet, one script, one picture.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::error::ShopError;
use crate::setup::Shop;

const FILES: [(&str, &str, &str); 4] = [
    ("shop.css", "text/css; charset=utf-8", include_str!("../assets/shop.css")),
    ("panel.js", "text/javascript; charset=utf-8", include_str!("../assets/panel.js")),
    ("mark.svg", "image/svg+xml", include_str!("../assets/mark.svg")),
    // Lets the page's own @wix/sdk act as this session's visitor.
    ("wix-visitor.js", "text/javascript; charset=utf-8", wix_visitor::web::GLUE),
];

/// Outside of the sessions: these are the same for everybody, and kept by whoever likes.
pub(crate) fn routes() -> Router<Arc<Shop>> {
    Router::new().route("/vendor/{file}", get(file))
}

/// The address of a file, another one when its content is another.
pub(crate) fn url(file: &str) -> String {
    static VERSION: LazyLock<u64> = LazyLock::new(|| {
        let mut hasher = DefaultHasher::new();
        FILES.hash(&mut hasher);
        hasher.finish()
    });
    format!("/vendor/{file}?v={:016x}", *VERSION)
}

async fn file(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return ShopError::NotFound.into_response();
    };
    let headers = [(CONTENT_TYPE, *kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, *content).into_response()
}
