//! Scripts as Redis knows them: by their text, and by the hash of it.

use std::sync::OnceLock;

/// A script's text, and the name under which Redis keeps it, which is made once.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    sha: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, sha: OnceLock::new() }
    }

    pub(crate) fn sha(&self) -> &str {
        self.sha.get_or_init(|| fred::util::sha1_hash(self.text))
    }
}
