//! The StatefulSet of the managed Redis Cluster.
//!
//! Its pods change only when the operator says so, one at a time (update strategy OnDelete): a replica first, a primary after
//! its replica has taken over.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{
            StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
        },
        core::v1::{
            ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, KeyToPath, Lifecycle,
            LifecycleHandler, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodReadinessGate, PodSpec,
            PodTemplateSpec, Probe, SecretVolumeSource, SleepAction, TCPSocketAction, Volume, VolumeMount,
            VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use kube::ResourceExt;
use parlor_crds::{
    ChatRoom,
    chatroom::{ManagedRedis, ManagedTls, RedisTemplate, Storage},
};

use super::{
    certificates, config_map,
    meta::{self, Component},
    pod, resources, secret,
};
use crate::redis::{client, settings};

/// User and group of the official Redis image.
const USER: i64 = 999;
/// Readiness gate of every Redis pod: its server is in its shard and in sync. The operator sets it.
pub const IN_SYNC: &str = "parlor.chat/in-sync";
/// Pause before a server is asked to end, in which a primary hands over.
const HAND_OVER_PAUSE: i64 = 5;
/// Digest of the settings that a server was started with: another one restarts it.
const SETTINGS: &str = "parlor.chat/redis-settings";
const DATA: &str = "/data";
const CONFIG: &str = "/etc/redis";

/// All servers of the cluster, primaries and replicas alike: which is which may change at any time.
pub fn redis(room: &ChatRoom, managed: &ManagedRedis, fixed_users: bool) -> StatefulSet {
    let servers = managed.shards * (1 + managed.replicas_per_shard);
    let retain = Some("Retain".to_owned());
    StatefulSet {
        metadata: meta::owned(room, Component::Redis, meta::redis_name(room)),
        spec: StatefulSetSpec {
            replicas: i32::try_from(servers).ok(),
            service_name: Some(meta::redis_name(room)),
            selector: meta::selector(room, Component::Redis),
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None }),
            persistent_volume_claim_retention_policy: managed.storage.as_ref().map(|_| {
                StatefulSetPersistentVolumeClaimRetentionPolicy { when_deleted: retain.clone(), when_scaled: retain }
            }),
            volume_claim_templates: managed.storage.as_ref().map(|storage| vec![claim(storage)]),
            template: pod_template(room, managed, fixed_users),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn pod_template(room: &ChatRoom, managed: &ManagedRedis, fixed_users: bool) -> PodTemplateSpec {
    let wanted = managed.template.clone().unwrap_or_default();
    let RedisTemplate {
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        image_pull_secrets,
        pod_annotations: mut annotations,
        pod_labels: mut labels,
        priority_class_name,
        env,
        security_context,
    } = wanted;
    labels.extend(meta::selector_labels(room, Component::Redis));
    labels.insert(meta::MANAGED_BY.into(), meta::OPERATOR.into());
    let config = ConfigMapVolumeSource { name: meta::redis_name(room), ..ConfigMapVolumeSource::default() };
    let mut volumes =
        vec![Volume { name: "config".into(), config_map: Some(config), ..Volume::default() }, password(room)];
    volumes.extend(managed.tls.as_ref().map(|tls| certificate(room, tls)));
    annotations.insert(SETTINGS.into(), config_map::digest(&config_map::redis_conf(managed)));
    if managed.storage.is_none() {
        let empty_dir = Some(EmptyDirVolumeSource::default());
        volumes.push(Volume { name: "data".into(), empty_dir, ..Volume::default() });
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(room.name_any()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pod::or_restricted(security_context, fixed_users.then_some(USER))),
            containers: vec![container(room, managed, env)],
            volumes: Some(volumes),
            readiness_gates: Some(vec![PodReadinessGate { condition_type: IN_SYNC.into() }]),
            topology_spread_constraints: pod::present(topology_spread_constraints)
                .or_else(|| Some(pod::spread(room, Component::Redis))),
            node_selector: (!node_selector.is_empty()).then_some(node_selector),
            tolerations: pod::present(tolerations),
            affinity,
            image_pull_secrets: pod::present(image_pull_secrets),
            priority_class_name,
            ..PodSpec::default()
        }),
    }
}

/// The password, as a file that the configuration includes: on a command line everybody on the node could read it.
fn password(room: &ChatRoom) -> Volume {
    let file = KeyToPath {
        key: secret::REDIS_PASSWORD_FILE.into(),
        path: settings::PASSWORD_FILE.into(),
        ..KeyToPath::default()
    };
    let secret = SecretVolumeSource {
        secret_name: Some(meta::secret_name(room)),
        items: Some(vec![file]),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Volume { name: "password".into(), secret: Some(secret), ..Volume::default() }
}

/// The certificate, from the generated Secret or from one that the ChatRoom names.
fn certificate(room: &ChatRoom, tls: &ManagedTls) -> Volume {
    let generated = [certificates::CERTIFICATE, certificates::CERTIFICATE_KEY, certificates::AUTHORITY];
    let files = [settings::CERTIFICATE, settings::CERTIFICATE_KEY, settings::AUTHORITY];
    let keys = if tls.secret_name.is_some() { files } else { generated };
    let item = |(key, path): (&str, &str)| KeyToPath { key: key.into(), path: path.into(), ..KeyToPath::default() };
    let secret = SecretVolumeSource {
        secret_name: Some(tls.secret_name.clone().unwrap_or_else(|| meta::secret_name(room))),
        items: Some(keys.into_iter().zip(files).map(item).collect()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Volume { name: "tls".into(), secret: Some(secret), ..Volume::default() }
}

fn container(room: &ChatRoom, managed: &ManagedRedis, env: Vec<EnvVar>) -> Container {
    let mut mounts =
        vec![mount("config", CONFIG, true), mount("password", settings::SECRET_DIR, true), mount("data", DATA, false)];
    mounts.extend(managed.tls.as_ref().map(|_| mount("tls", settings::TLS_DIR, true)));
    let own = [pod::env_from_pod("POD_NAME", "metadata.name"), pod::env_from_pod("POD_IP", "status.podIP")];
    Container {
        name: "redis".into(),
        image: Some(managed.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["redis-server".into()]),
        args: Some(args(room)),
        env: Some(own.into_iter().chain(env).collect()),
        ports: Some(vec![port("redis", client::PORT), port("bus", client::PORT + 10_000)]),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: HAND_OVER_PAUSE }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        resources: Some(resources::redis(managed.resources.as_ref())),
        readiness_probe: Some(probe(2, 3)),
        liveness_probe: Some(probe(10, 6)),
        security_context: Some(pod::container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The name that a pod's server announces, by which the operator knows that an address still belongs to it.
pub fn server_name(room: &ChatRoom, pod: &str) -> String {
    format!("{pod}.{}.{}", meta::redis_name(room), room.namespace().unwrap_or_default())
}

fn args(room: &ChatRoom) -> Vec<String> {
    let config = format!("{CONFIG}/{}", settings::FILE);
    let name = server_name(room, "$(POD_NAME)");
    [&config, "--dir", DATA, "--cluster-announce-ip", "$(POD_IP)", "--cluster-announce-hostname", &name]
        .map(str::to_owned)
        .to_vec()
}

fn claim(storage: &Storage) -> PersistentVolumeClaim {
    let size = BTreeMap::from([("storage".to_owned(), Quantity(storage.size.clone()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some("data".into()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// The size of the volumes that a StatefulSet claims, if it claims any.
pub fn volume_size(set: &StatefulSet) -> Option<&str> {
    let claim = set.spec.volume_claim_templates.as_ref()?.first()?.spec.as_ref()?;
    Some(&claim.resources.as_ref()?.requests.as_ref()?.get("storage")?.0)
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// Whether the process listens. What it says of its cluster is read by the operator, which can tell waiting from broken.
fn probe(period: i32, failures: i32) -> Probe {
    let port = IntOrString::Int(i32::from(client::PORT));
    Probe {
        tcp_socket: Some(TCPSocketAction { port, host: None }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
