//! The bus, the directory and the moderation of a gateway, as one gateway of a ChatRoom opens them.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use parlor_gateway::{
    bus::{Bus, History, redis::RedisBus},
    directory::{Directory, redis::RedisDirectory},
    moderation::{redis::RedisModeration, store::Store},
    redis::{RedisSettings, Servers, StartError},
};
use parlor_redis::Prefer;

/// What rooms keep.
pub const HISTORY: History = History { messages: 300, age: Duration::from_secs(3600) };

/// Of the ChatRoom that all tests on these servers share.
pub fn settings(seeds: Vec<String>) -> RedisSettings {
    RedisSettings {
        seeds,
        username: None,
        password: None,
        tls: None,
        prefer: Prefer::HostName,
        prefix: "ns/chat".into(),
    }
}

/// The bus on these servers; `gateway` tells the gateways of the ChatRoom apart.
pub async fn open(settings: RedisSettings, history: History, gateway: &str) -> Result<RedisBus, StartError> {
    RedisBus::open(Servers::connect(settings).await?, history, gateway.into()).await
}

/// The bus of a gateway with these [`settings`].
pub async fn connect(seeds: Vec<String>, gateway: &str) -> Result<Arc<dyn Bus>> {
    Ok(Arc::new(open(settings(seeds), HISTORY, gateway).await?))
}

/// The directory of a gateway with these [`settings`].
pub async fn directory(seeds: Vec<String>) -> Result<Arc<dyn Directory>> {
    Ok(Arc::new(RedisDirectory::new(Servers::connect(settings(seeds)).await?)))
}

/// What keeps moderation, with these [`settings`].
pub async fn moderation(seeds: Vec<String>) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisModeration::new(Servers::connect(settings(seeds)).await?)))
}
