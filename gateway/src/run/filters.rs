//! From `spec.moderation` to what messages may say, and the files in which that may change.

use std::sync::Arc;

use parlor_crds::{
    ChatRoom,
    chatroom::{self, OnFailure},
};

use crate::{
    moderation::{Files, Filters, Webhook, WebhookSettings, files},
    run::{RunError, secrets::Secrets},
};

/// What the ChatRoom says about the content of messages.
pub(super) fn choose(room: &ChatRoom, secrets: &Secrets) -> Result<(Arc<Filters>, Files), RunError> {
    const WORDS: &str = "spec.moderation.words.configMapRef";
    const KEY: &str = "spec.moderation.webhook.secretRef";
    let Some(chatroom::Moderation { words, webhook }) = &room.spec.moderation else { return Ok(Default::default()) };
    let watched = Files {
        words: words.as_ref().map(|words| secrets.config_map(WORDS, &words.config_map_ref)).transpose()?,
        webhook_key: webhook.as_ref().map(|webhook| secrets.path(KEY, &webhook.secret_ref)).transpose()?,
    };
    let words = watched.words.as_deref().map(files::words).transpose();
    let words = words.map_err(|source| RunError::Words { field: WORDS, source })?;
    let webhook = webhook.as_ref().map(|webhook| {
        let chatroom::Webhook { url, secret_ref, timeout, on_failure } = webhook;
        let url = url.parse().map_err(|_| RunError::NoUrl { field: "spec.moderation.webhook.url" })?;
        let namespace = room.metadata.namespace.as_deref().unwrap_or("default");
        Ok::<_, RunError>(Webhook::new(WebhookSettings {
            url,
            key: secrets.get(KEY, secret_ref)?,
            timeout: timeout.as_duration(),
            allow_on_failure: *on_failure == OnFailure::Allow,
            chat_room: format!("{namespace}/{}", room.metadata.name.as_deref().unwrap_or_default()),
        }))
    });
    Ok((Arc::new(Filters::new(words, webhook.transpose()?)), watched))
}
