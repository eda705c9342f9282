//! From `spec.redis` and `--redis` to the bus: memory or Redis, and how to keep trying until Redis is there.

use std::{sync::Arc, time::Duration};

use parlor_crds::{
    ChatRoom,
    chatroom::{ExternalRedis, RedisMode},
    contract,
};

use crate::{
    bus::{
        Bus, History,
        memory::Memory,
        redis::{self, Redis, StartError, Tls},
    },
    run::{RunError, place::Place, secrets::Secrets},
};

/// Pause between two attempts to reach Redis at the start.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Which bus the gateway runs on.
pub(super) enum Choice {
    Memory(History),
    Redis(Box<redis::Settings>),
}

/// Decides from the manifest and the command line; `incarnation` names this run of the gateway.
pub(super) fn choose(
    room: &ChatRoom,
    place: &Place,
    secrets: &Secrets,
    seeds: Vec<String>,
    incarnation: u64,
) -> Result<Choice, RunError> {
    let history = &room.spec.history;
    let history = History { messages: u64::from(history.messages), age: history.age.as_duration() };
    let external = match room.spec.redis.mode() {
        RedisMode::Memory => return Ok(Choice::Memory(history)),
        RedisMode::External(external) => Some(external),
        RedisMode::Managed(_) if !seeds.is_empty() => None,
        RedisMode::Managed(_) if place.is_pod() => return Err(RunError::NoSeeds),
        RedisMode::Managed(_) => {
            tracing::warn!(
                "managed Redis needs a cluster: messages are kept in this process's memory and go with it; \
                 --redis HOST:PORT keeps them"
            );
            return Ok(Choice::Memory(history));
        }
    };
    let seeds = match external {
        Some(external) if seeds.is_empty() => external.seeds.clone(),
        _ => seeds,
    };
    Ok(Choice::Redis(Box::new(redis::Settings {
        seeds,
        username: None,
        password: password(external, secrets)?,
        tls: external.map(|external| tls(external, secrets)).transpose()?.flatten(),
        prefix: prefix(room, external),
        history,
        gateway: format!("{}-{incarnation:016x}", place.name()),
    })))
}

fn password(external: Option<&ExternalRedis>, secrets: &Secrets) -> Result<Option<String>, RunError> {
    const FIELD: &str = "spec.redis.external.passwordSecretRef";
    let secret = match external.and_then(|external| external.password_secret_ref.as_ref()) {
        Some(reference) => Some(secrets.get(FIELD, reference)?),
        None => secrets.generated(contract::REDIS_PASSWORD)?,
    };
    secret.map(|secret| text(FIELD, &secret)).transpose()
}

fn tls(external: &ExternalRedis, secrets: &Secrets) -> Result<Option<Tls>, RunError> {
    let Some(tls) = &external.tls else { return Ok(None) };
    let roots = tls.ca.as_ref().map(|ca| secrets.path("spec.redis.external.tls.ca", &ca.secret_ref)).transpose()?;
    Ok(Some(Tls { roots }))
}

fn text(field: &'static str, secret: &[u8]) -> Result<String, RunError> {
    std::str::from_utf8(secret).map(str::to_owned).map_err(|_| RunError::NotText { field })
}

/// In front of every key, so that ChatRooms can share a Redis.
fn prefix(room: &ChatRoom, external: Option<&ExternalRedis>) -> String {
    let own = || {
        let namespace = room.metadata.namespace.as_deref().unwrap_or("default");
        format!("{namespace}/{}", room.metadata.name.as_deref().unwrap_or_default())
    };
    external.and_then(|external| external.key_prefix.clone()).unwrap_or_else(own)
}

impl Choice {
    /// Opens the bus. Waits for a Redis that cannot be reached; fails on one that will never do.
    pub(super) async fn open(self) -> Result<Arc<dyn Bus>, RunError> {
        let settings = match self {
            Self::Memory(history) => return Ok(Arc::new(Memory::new(history))),
            Self::Redis(settings) => *settings,
        };
        let mut told = None;
        loop {
            match Redis::connect(settings.clone()).await {
                Ok(redis) => return Ok(Arc::new(redis)),
                Err(StartError::Away(why)) => {
                    if told.as_ref() != Some(&why) {
                        tracing::warn!("waiting for Redis at {}: {why}", settings.seeds.join(","));
                        told = Some(why);
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
