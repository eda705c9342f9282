//! From `spec.redis` and `--redis` to the bus and the directory: memory or Redis, and how to keep trying until Redis is there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parlor_crds::{
    ChatRoom,
    chatroom::{ExternalRedis, RedisMode},
    contract,
};
use parlor_redis::Prefer;

use crate::{
    bus::{Bus, History, memory::MemoryBus, redis::RedisBus},
    directory::{Directory, memory::MemoryDirectory, redis::RedisDirectory},
    moderation::{Filters, Moderation, redis::RedisModeration},
    redis::{Password, RedisSettings, Servers, StartError, Tls, shared_key::shared_key},
    rooms::{Cause, Unavailable},
    run::{RunError, environment::Environment, secrets::Secrets},
};

/// Pause between two attempts to reach Redis at the start.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What keeps the ChatRoom's messages and what is known of its people.
pub(super) struct Stores {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) moderation: Arc<Moderation>,
    /// Keys that nobody gave and that gateways share through Redis, by the names of the Secrets that would hold them.
    pub(super) shared_keys: SharedKeys,
}

type SharedKeys = BTreeMap<&'static str, Arc<[u8]>>;

/// Keys that every gateway of a ChatRoom must share.
const SHARED: [&str; 2] = [contract::SIGNING_KEY, contract::RELAY_TOKEN_KEY];

/// Where the gateway keeps both.
pub(super) enum Choice {
    Memory(History),
    Redis(Box<RedisChoice>),
}

/// A Redis, and the settings of the bus on it.
#[derive(Clone)]
pub(super) struct RedisChoice {
    redis: RedisSettings,
    history: History,
    /// Names this incarnation of the gateway in the counts of members; unique in the ChatRoom.
    gateway: String,
    /// The keys that nobody gave.
    keyless: Vec<&'static str>,
}

/// Decides from the manifest and the command line; `incarnation` names this run of the gateway.
pub(super) fn choose(
    room: &ChatRoom,
    environment: &Environment,
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
        RedisMode::Managed(_) if environment.is_pod() => return Err(RunError::NoSeeds),
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
    let redis = RedisSettings {
        seeds,
        username: external.and_then(|external| external.username.clone()),
        password: password(external, secrets)?,
        tls: match external {
            Some(external) => tls(external, secrets)?,
            None => managed_tls(room, secrets)?,
        },
        // The operator gives its servers names that only it resolves; a foreign cluster announces names to be dialled.
        prefer: if external.is_some() { Prefer::HostName } else { Prefer::Ip },
        prefix: prefix(room, external),
    };
    let gateway = format!("{}-{incarnation:016x}", environment.name());
    let given = SHARED.into_iter().map(|name| Ok((name, secrets.generated(name)?.is_some())));
    let given = given.collect::<Result<Vec<_>, RunError>>()?;
    let keyless = given.into_iter().filter(|(_, given)| !given).map(|(name, _)| name).collect();
    Ok(Choice::Redis(Box::new(RedisChoice { redis, history, gateway, keyless })))
}

/// The file of the password, which is read again for each connection. Read once here, so that a mistake ends the start.
fn password(external: Option<&ExternalRedis>, secrets: &Secrets) -> Result<Option<Password>, RunError> {
    const FIELD: &str = "spec.redis.external.passwordSecretRef";
    let (secret, path) = match external.and_then(|external| external.password_secret_ref.as_ref()) {
        Some(reference) => (Some(secrets.get(FIELD, reference)?), Some(secrets.path(FIELD, reference)?)),
        None => (secrets.generated(contract::REDIS_PASSWORD)?, secrets.generated_path(contract::REDIS_PASSWORD)),
    };
    let Some((secret, path)) = secret.zip(path) else { return Ok(None) };
    std::str::from_utf8(&secret).map_err(|_| RunError::NotText { field: FIELD })?;
    Ok(Some(Password::File(path)))
}

fn tls(external: &ExternalRedis, secrets: &Secrets) -> Result<Option<Tls>, RunError> {
    let Some(tls) = &external.tls else { return Ok(None) };
    let roots = tls.ca.as_ref().map(|ca| secrets.path("spec.redis.external.tls.ca", &ca.secret_ref)).transpose()?;
    Ok(Some(Tls { roots, name: None }))
}

/// Servers of a managed Redis are dialled at addresses and share a certificate for one name. Without the authority that says whom
/// to trust nobody is spoken to.
fn managed_tls(room: &ChatRoom, secrets: &Secrets) -> Result<Option<Tls>, RunError> {
    if room.spec.redis.managed.as_ref().is_none_or(|managed| managed.tls.is_none()) {
        return Ok(None);
    }
    if secrets.generated(contract::REDIS_AUTHORITY)?.is_none() {
        return Err(RunError::NoRedisAuthority);
    }
    let roots = secrets.generated_path(contract::REDIS_AUTHORITY);
    Ok(Some(Tls { roots, name: Some(room.redis_server_name()) }))
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
    /// Opens both. Waits for a Redis that cannot be reached; fails on one that will never do.
    pub(super) async fn open(self, filters: &Arc<Filters>) -> Result<Stores, RunError> {
        let settings = match self {
            Self::Memory(history) => {
                let bus = MemoryBus::new(history);
                let directory = Arc::new(MemoryDirectory::new(bus.clock()));
                let moderation = Moderation::in_memory(bus.clock(), Arc::clone(filters));
                return Ok(Stores { bus: Arc::new(bus), directory, moderation, shared_keys: SharedKeys::new() });
            }
            Self::Redis(settings) => *settings,
        };
        let mut logged = None;
        loop {
            match settings.clone().open(Arc::clone(filters)).await {
                Ok(stores) => return Ok(stores),
                Err(StartError::Unavailable(why)) => {
                    if logged.as_ref() != Some(&why) {
                        tracing::warn!("waiting for Redis at {}: {why}", settings.redis.seeds.join(","));
                        logged = Some(why);
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl RedisChoice {
    async fn open(self, filters: Arc<Filters>) -> Result<Stores, StartError> {
        let servers = Servers::connect(self.redis).await?;
        let directory = Arc::new(RedisDirectory::new(Arc::clone(&servers)));
        // Before anybody is let in: a gateway that knows no bans would let everybody in.
        let store = Arc::new(RedisModeration::new(Arc::clone(&servers)));
        let moderation = Moderation::open(store, filters).await.map_err(cannot_moderate)?;
        let bus = Arc::new(RedisBus::open(Arc::clone(&servers), self.history, self.gateway).await?);
        let mut shared_keys = SharedKeys::new();
        for name in self.keyless {
            shared_keys.insert(name, Arc::new(shared_key(&servers, name).await?));
            tracing::info!("no {name} under --secrets: gateways share one through Redis");
        }
        Ok(Stores { bus, directory, moderation, shared_keys })
    }
}

fn cannot_moderate(error: Unavailable) -> StartError {
    StartError::Unavailable(Cause::because("failed to read who is banned", error))
}
