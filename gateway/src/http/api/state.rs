//! What the routes share.

use std::sync::Arc;

use super::{meter::Meter, shapes::BodyLimit};
use crate::fanout::{asker::Asker, moderating::Moderating, poster::Poster, recent::Recent};

/// Everything that a route needs to answer.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) poster: Poster,
    pub(super) recent: Recent,
    pub(super) asker: Asker,
    pub(super) moderating: Moderating,
    /// Signs native identities; None where native is not served.
    pub(super) signing_key: Option<Arc<[u8]>>,
    pub(super) body_limit: BodyLimit,
    pub(super) meter: Arc<Meter>,
}
