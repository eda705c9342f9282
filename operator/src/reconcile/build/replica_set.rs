//! ReplicaSets of gateways: one for each template that a ChatRoom has had, named by the template's hash.
//!
//! Decides what a gateway pod looks like. How many there are of each is `decide`'s business: the number is no part of this.

use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetSpec},
        core::v1::{
            ConfigMapProjection, Container, ContainerPort, HTTPGetAction, KeyToPath, PodSpec, PodTemplateSpec, Probe,
            ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume, VolumeMount, VolumeProjection,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt;
use parlor_crds::{
    ChatRoom,
    chatroom::{Moderation, RedisMode, SecretKey},
    contract,
};

use super::{
    certificates, config_map,
    defaults::Defaults,
    error::BuildError,
    keys,
    meta::{self, Component},
    pod, resources, secret,
};
use crate::redis::{client, settings};

/// User and group of the gateway's image.
const USER: i64 = 65_532;
/// Longest drain (1 h) at the longest, and half an hour to spare; constant, so that changing the deadline restarts no one.
const GRACE_SECONDS: i64 = 5_400;

/// The ReplicaSet of the ChatRoom's present template, without a number of replicas. `keys` is the digest of what gateways read
/// when they start.
pub fn replica_set(room: &ChatRoom, defaults: &Defaults, config: &str, keys: &str) -> Result<ReplicaSet, BuildError> {
    let mut template = pod_template(room, defaults, config, keys);
    let text = serde_json::to_string(&template).map_err(BuildError::Template)?;
    let hash = config_map::digest(&text);
    let mut labels = meta::selector_labels(room, Component::Gateway);
    labels.insert(meta::TEMPLATE.into(), hash.clone());
    if let Some(metadata) = &mut template.metadata {
        metadata.labels.get_or_insert_default().insert(meta::TEMPLATE.into(), hash.clone());
    }
    let mut metadata = meta::owned(room, Component::Gateway, format!("{}-{hash}", room.name_any()));
    metadata.labels.get_or_insert_default().insert(meta::TEMPLATE.into(), hash);
    Ok(ReplicaSet {
        metadata,
        spec: ReplicaSetSpec {
            selector: LabelSelector { match_labels: Some(labels), ..LabelSelector::default() },
            template: Some(template),
            ..ReplicaSetSpec::default()
        },
        status: None,
    })
}

fn pod_template(room: &ChatRoom, defaults: &Defaults, config: &str, keys: &str) -> PodTemplateSpec {
    let wanted = &room.spec.template;
    let mut labels = wanted.pod_labels.clone();
    labels.extend(meta::selector_labels(room, Component::Gateway));
    labels.insert(meta::MANAGED_BY.into(), meta::OPERATOR.into());
    let own_security = || pod::pod_security(defaults.fixed_users.then_some(USER));
    let mut annotations = wanted.pod_annotations.clone();
    annotations.insert(meta::KEYS.into(), keys.to_owned());
    if let Some(at) = room.annotations().get(meta::RESTARTED_AT) {
        annotations.insert(meta::RESTARTED_AT.into(), at.clone());
    }
    let spread = match wanted.topology_spread_constraints.as_slice() {
        [] => pod::spread(room, Component::Gateway),
        given => given.to_vec(),
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(room.name_any()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(wanted.security_context.clone().unwrap_or_else(own_security)),
            priority_class_name: wanted.priority_class_name.clone(),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            containers: vec![container(room, defaults)],
            volumes: Some(std::iter::once(volume(room, config)).chain(api_tokens(room)).collect()),
            node_selector: (!wanted.node_selector.is_empty()).then(|| wanted.node_selector.clone()),
            tolerations: pod::present(wanted.tolerations.clone()),
            affinity: wanted.affinity.clone(),
            topology_spread_constraints: Some(spread),
            image_pull_secrets: pod::present(wanted.image_pull_secrets.clone()),
            ..PodSpec::default()
        }),
    }
}

fn container(room: &ChatRoom, defaults: &Defaults) -> Container {
    let wanted = &room.spec.template;
    let own_name = pod::env_from_pod(contract::POD_NAME_ENV, "metadata.name");
    Container {
        name: "gateway".into(),
        image: Some(wanted.image.clone().unwrap_or_else(|| defaults.gateway_image.clone())),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(args(room)),
        env: Some(std::iter::once(own_name).chain(wanted.env.clone()).collect()),
        ports: Some(ports(room)),
        resources: Some(resources::gateway(wanted.resources.as_ref())),
        // A draining gateway must leave its Services soon, and one slow answer must not take a busy one out.
        readiness_probe: Some(probe("/readyz", 1, 2)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        security_context: Some(pod::container_security()),
        volume_mounts: Some(mounts(room)),
        ..Container::default()
    }
}

fn args(room: &ChatRoom) -> Vec<String> {
    // These take IPv4 as well.
    let shared = format!("[::]:{}", contract::SHARED_PORT);
    let admin = format!("[::]:{}", contract::ADMIN_PORT);
    let mut args =
        vec![contract::MANIFEST_PATH, "--secrets", contract::SECRETS_DIR, "--listen", &shared, "--admin", &admin]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
    if room.spec.api.is_some() {
        args.extend(["--api-tokens", contract::API_TOKENS_DIR].map(str::to_owned));
    }
    let seeds = match room.spec.redis.mode() {
        RedisMode::Memory => return args,
        RedisMode::External(external) => external.seeds.join(","),
        RedisMode::Managed(_) => format!("{}:{}", meta::redis_name(room), client::PORT),
    };
    args.extend(["--redis".to_owned(), seeds]);
    args
}

fn ports(room: &ChatRoom) -> Vec<ContainerPort> {
    let port = |name: String, number: u16| ContainerPort {
        name: Some(name),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let mut ports = vec![port("http".into(), contract::SHARED_PORT), port("admin".into(), contract::ADMIN_PORT)];
    for endpoint in room.spec.served().endpoints() {
        ports.extend(endpoint.port.map(|number| port(endpoint.protocol.into(), number)));
        ports.extend(endpoint.http_port.map(|number| port(format!("{}-web", endpoint.protocol), number)));
    }
    ports.extend(room.spec.api.as_ref().map(|api| port("api".into(), api.port)));
    ports
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    let port = IntOrString::Int(i32::from(contract::ADMIN_PORT));
    Probe {
        http_get: Some(HTTPGetAction { path: Some(path.into()), port, ..HTTPGetAction::default() }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Directory of the manifest, which holds the directory of the secrets too.
const DIR: &str = "/etc/parlor";

/// Name of the volume with the server API's tokens.
const API_TOKENS: &str = "api-tokens";

fn mounts(room: &ChatRoom) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let tokens = room.spec.api.as_ref().map(|_| mount(API_TOKENS, contract::API_TOKENS_DIR));
    std::iter::once(mount("parlor", DIR)).chain(tokens).collect()
}

/// The whole Secret with the server API's tokens: which keys it has may change while the gateway runs.
fn api_tokens(room: &ChatRoom) -> Option<Volume> {
    let secret = SecretVolumeSource {
        secret_name: Some(room.spec.api.as_ref()?.tokens_ref.name.clone()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Some(Volume { name: API_TOKENS.into(), secret: Some(secret), ..Volume::default() })
}

/// The manifest, the generated secrets, and every Secret that the ChatRoom names as `<name>/<key>`: one volume, because a
/// second could not be mounted inside the first, which is read-only.
fn volume(room: &ChatRoom, config: &str) -> Volume {
    let keys = [
        (secret::SIGNING_KEY, contract::SIGNING_KEY),
        (secret::DRAIN_TOKEN, contract::DRAIN_TOKEN),
        (secret::RELAY_TOKEN_KEY, contract::RELAY_TOKEN_KEY),
    ];
    let generated = keys.map(|(key, path)| secret_file(&meta::secret_name(room), key, path));
    let named = keys::named(room).into_iter().map(|named| named.key);
    let named = named.map(|key| secret_file(&key.name, &key.key, &key.path()));
    let password = match room.spec.redis.mode() {
        RedisMode::Managed(_) => {
            Some(secret_file(&meta::secret_name(room), secret::REDIS_PASSWORD, contract::REDIS_PASSWORD))
        }
        RedisMode::External(_) | RedisMode::Memory => {
            redis_password(room).map(|named| secret_file(&named.name, &named.key, contract::REDIS_PASSWORD))
        }
    };
    let config_map = room.spec.moderation.as_ref().and_then(Moderation::config_map);
    let config_map = config_map.map(|named| config_map_file(&named.name, &named.key, &named.path()));
    let mut sources = vec![manifest_file(config)];
    for source in generated.into_iter().chain(named).chain(password).chain(redis_authority(room)).chain(config_map) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let projected =
        ProjectedVolumeSource { sources: Some(sources), default_mode: Some(0o440), ..ProjectedVolumeSource::default() };
    Volume { name: "parlor".into(), projected: Some(projected), ..Volume::default() }
}

/// Whom gateways trust when the managed Redis speaks TLS.
fn redis_authority(room: &ChatRoom) -> Option<VolumeProjection> {
    let tls = room.spec.redis.managed.as_ref()?.tls.as_ref()?;
    Some(match &tls.secret_name {
        Some(name) => secret_file(name, settings::AUTHORITY, contract::REDIS_AUTHORITY),
        None => secret_file(&meta::secret_name(room), certificates::AUTHORITY, contract::REDIS_AUTHORITY),
    })
}

fn manifest_file(config: &str) -> VolumeProjection {
    let items = Some(vec![file(config_map::MANIFEST, contract::MANIFEST_PATH)]);
    let config_map = ConfigMapProjection { name: config.into(), items, optional: None };
    VolumeProjection { config_map: Some(config_map), ..VolumeProjection::default() }
}

/// Beside the secrets, where gateways look for what the ChatRoom names.
fn config_map_file(config_map: &str, key: &str, path: &str) -> VolumeProjection {
    let items = Some(vec![file(key, &format!("{}/{path}", contract::SECRETS_DIR))]);
    let config_map = ConfigMapProjection { name: config_map.into(), items, optional: None };
    VolumeProjection { config_map: Some(config_map), ..VolumeProjection::default() }
}

fn secret_file(secret: &str, key: &str, path: &str) -> VolumeProjection {
    let items = Some(vec![file(key, &format!("{}/{path}", contract::SECRETS_DIR))]);
    let secret = SecretProjection { name: secret.into(), items, optional: None };
    VolumeProjection { secret: Some(secret), ..VolumeProjection::default() }
}

/// A key at an absolute path below [`DIR`].
fn file(key: &str, path: &str) -> KeyToPath {
    let path = path.strip_prefix(DIR).unwrap_or(path).trim_start_matches('/').to_owned();
    KeyToPath { key: key.into(), path, ..KeyToPath::default() }
}

fn redis_password(room: &ChatRoom) -> Option<&SecretKey> {
    room.spec.redis.external.as_ref()?.password_secret_ref.as_ref()
}
