//! The web page that gateways serve on the shared port.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The web page that gateways serve on the shared port.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Whether the page offers the protocol console. False: it is not served.
    #[serde(default = "yes")]
    pub console: bool,
    /// Where people without a token sign in, with `auth.anonymous: false`. The login sends them back to
    /// the page with `#token=TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "loginURL")]
    #[schemars(length(max = 1000), regex(pattern = "^https?://[^/\\s]+(/\\S*)?$"))]
    pub login_url: Option<String>,
    /// Hosts whose pictures and voice messages the page shows, besides its own. Others are links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$"))
    )]
    pub media_hosts: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Default for Page {
    fn default() -> Self {
        Self { console: yes(), login_url: None, media_hosts: Vec::new() }
    }
}
