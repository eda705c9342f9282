//! What messages may say: a list of words, and a web service that is asked about each message.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    period::Millis,
    strings::{ConfigMapKey, SecretKey},
};

/// What messages may say. Moderators decide who may speak, in the rooms themselves.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.words) || has(self.webhook)")
        .message("spec.moderation must name words, webhook or both"),
    validation = Rule::new("!has(self.words) || !has(self.webhook) || self.words.configMapRef.name != self.webhook.secretRef.name || self.words.configMapRef.key != self.webhook.secretRef.key")
        .message("spec.moderation.words.configMapRef and spec.moderation.webhook.secretRef must differ: gateways find both as NAME/KEY")
)]
#[serde(rename_all = "camelCase")]
pub struct Moderation {
    /// Words and phrases that no message may contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<WordList>,
    /// A web service that is asked about each message, and may refuse or rewrite it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// Words and phrases that no message may contain, one a line; lines that begin with `#` are comments. Case, width and
/// characters that cannot be seen make no difference. Gateways notice changes without a restart.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WordList {
    /// The ConfigMap and its key.
    pub config_map_ref: ConfigMapKey,
}

/// A web service that is asked about each message in a room, and may refuse or rewrite it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Address of the service. Plain HTTP is accepted on loopback and for Services of the cluster (`NAME.NAMESPACE.svc`).
    #[schemars(length(max = 1000), regex(pattern = "^https?://[^/?#\\s@]+(/[^\\s#]*)?$"))]
    #[x_kube(validation = Rule::new(
        "self.startsWith('https://') || self.matches('^http://(localhost|127[.][0-9.]+|\\\\[::1\\\\]|[-a-z0-9]+[.][-a-z0-9]+[.]svc([.]cluster[.]local)?)(:[0-9]+)?(/|$)')")
        .message("spec.moderation.webhook.url must be https, except on loopback and for Services of the cluster"))]
    pub url: String,
    /// Key with which gateways sign their requests, so that the service can check who asks.
    pub secret_ref: SecretKey,
    /// How long the service may take for one message, 10ms to 10s.
    #[serde(default = "timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('10s')")
        .message("spec.moderation.webhook.timeout must be 10ms to 10s"))]
    pub timeout: Millis,
    /// What happens to a message when the service does not answer in time, or answers with an error.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn timeout() -> Millis {
    Millis::from_millis(300)
}

/// What happens to a message when the web service fails.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// It is posted as it is.
    #[default]
    Allow,
    /// It is refused.
    Refuse,
}

impl Moderation {
    /// The Secret that it names.
    pub fn secret(&self) -> Option<&SecretKey> {
        self.webhook.as_ref().map(|webhook| &webhook.secret_ref)
    }

    /// The ConfigMap that it names.
    pub fn config_map(&self) -> Option<&ConfigMapKey> {
        self.words.as_ref().map(|words| &words.config_map_ref)
    }
}
