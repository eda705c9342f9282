//! The web page that gateways serve on the shared port.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The web page that gateways serve on the shared port.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.loginURL) && has(self.openid))")
        .message("spec.page.loginURL and spec.page.openid exclude each other: remove one")
)]
pub struct Page {
    /// Whether the page offers the protocol console. False: it is not served.
    #[serde(default = "yes")]
    pub console: bool,
    /// Where people without a token sign in, with `auth.anonymous: false`. The login sends them back to
    /// the page with `#token=TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "loginURL")]
    #[schemars(length(max = 1000), regex(pattern = "^https?://[^/\\s]+(/\\S*)?$"))]
    pub login_url: Option<String>,
    /// Signs people in with an OpenID provider, by the code flow with PKCE. Gateways take its ID tokens if `auth.jwt`
    /// trusts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openid: Option<OpenId>,
    /// Hosts whose pictures and voice messages the page shows, besides its own. Others are links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$"))
    )]
    pub media_hosts: Vec<String>,
}

/// The provider that signs people in, and what the page is to it: a public client, which has no secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenId {
    /// Issuer, as the provider's discovery document names it. The document is found below this address. The page may talk to
    /// this origin besides its own, and the provider's token endpoint must be there.
    #[schemars(
        length(max = 500),
        regex(pattern = "^(https://[^/?#\\s]+|http://(localhost|127\\.0\\.0\\.1)(:[0-9]{1,5})?)(/[^?#\\s]*)?$")
    )]
    pub issuer: String,
    /// The page's name at the provider. Its redirect URI there is the page's own address, such as
    /// `https://chat.example.com/`.
    #[schemars(length(min = 1, max = 250))]
    pub client_id: String,
    /// Scopes to ask for besides `openid`. With `offline_access` the page renews tokens without asking the person again.
    #[serde(default = "profile")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 100), regex(pattern = "^[!#-\\[\\]-~]+$")))]
    pub scopes: Vec<String>,
}

fn profile() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn yes() -> bool {
    true
}

impl Default for Page {
    fn default() -> Self {
        Self { console: yes(), login_url: None, openid: None, media_hosts: Vec::new() }
    }
}
