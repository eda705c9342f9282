//! Plays a node and its kubelet on a control plane without nodes: gives pods addresses, and makes them ready.
//!
//! A gateway's pod gets an admin port that answers like a gateway's; a Redis pod gets a real `redis-server` at its address.
//! What the gateways answer is set by the test. Called by the operator's tests.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod, Secret, SecretProjection},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use parlor_crds::contract::{ADMIN_PORT, fingerprint};
use parlor_operator::{reconcile::build::secret::REDIS_PASSWORD, redis::settings};
use serde_json::json;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
};

pub use crate::admin_port::Gateway;
use crate::{
    admin_port::{World, serve, serve_resources},
    node,
};

/// Where every kubelet says what its containers use.
pub(crate) const RESOURCES_PORT: u16 = 10_250;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A node that runs the pods of one namespace; ends when dropped.
pub struct Kubelet {
    world: Arc<Mutex<World>>,
    tasks: [JoinHandle<()>; 2],
}

struct Node1 {
    client: Client,
    namespace: String,
    /// The first three bytes of the pods' addresses.
    network: [u8; 3],
    root: PathBuf,
    world: Arc<Mutex<World>>,
    running: BTreeMap<String, Running>,
    next: u8,
}

struct Running {
    ip: String,
    uid: String,
    server: Server,
    started: Timestamp,
    ready: Option<bool>,
}

enum Server {
    Gateway(JoinHandle<()>),
    Redis(Child),
    Broken,
}

impl Kubelet {
    /// Starts a node for the pods of `namespace`, whose addresses are 127.<network>.<n>.<n>.
    pub async fn start(client: Client, namespace: &str, network: u8) -> Result<Self> {
        let world = Arc::new(Mutex::new(World::default()));
        let root = std::env::temp_dir().join(format!("parlor-kubelet-{}-{namespace}", std::process::id()));
        let node = Node1 {
            client,
            namespace: namespace.to_owned(),
            network: [127, network, 0],
            root,
            world: world.clone(),
            running: BTreeMap::new(),
            next: 1,
        };
        let ip = format!("127.{network}.1.1");
        let listener = TcpListener::bind((ip.as_str(), RESOURCES_PORT)).await.context("listen as a kubelet")?;
        node::register(&node.client, &node.name(), Some(&ip)).await?;
        let resources = tokio::spawn(serve_resources(listener, namespace.to_owned(), world.clone()));
        Ok(Self { world, tasks: [tokio::spawn(node.run()), resources] })
    }

    /// Changes what the gateway's admin port answers.
    pub fn gateway(&self, pod: &str, change: impl FnOnce(&mut Gateway)) {
        change(self.world.lock().gateways.entry(pod.to_owned()).or_default());
    }

    /// The orders that every gateway has received.
    pub fn gateways(&self) -> BTreeMap<String, Gateway> {
        self.world.lock().gateways.clone()
    }

    /// Containers of this image never start.
    pub fn break_image(&self, image: &str) {
        self.world.lock().broken.push(image.to_owned());
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Node1 {
    fn name(&self) -> String {
        format!("node-{}", self.namespace)
    }

    async fn run(mut self) {
        for turn in 0_u64.. {
            if let Err(error) = self.look(turn % 10 == 0).await {
                eprintln!("the played kubelet stumbled: {error:#}");
            }
            if turn % 25 == 0
                && let Err(error) = node::renew(&self.client, &self.name()).await
            {
                eprintln!("the played kubelet lost its lease: {error:#}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self, remount: bool) -> Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let found = pods.list(&ListParams::default()).await.context("list the pods")?.items;
        let alive =
            |name: &String, uid: &String| found.iter().any(|p| p.name_any() == *name && p.uid().as_ref() == Some(uid));
        let gone: Vec<String> =
            self.running.iter().filter(|(name, r)| !alive(name, &r.uid)).map(|(n, _)| n.clone()).collect();
        for name in gone {
            self.stop(&name).await;
        }
        for pod in &found {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                self.stop(&name).await;
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                // It may be gone by now, which is what was wanted.
                drop(pods.delete(&name, &now).await);
            } else if !self.running.contains_key(&name) {
                self.launch(&pods, pod).await.with_context(|| format!("launch {name}"))?;
            } else {
                self.report(&pods, pod).await.with_context(|| format!("report {name}"))?;
                if remount {
                    self.remount(pod).await.with_context(|| format!("mount the Secret of {name} again"))?;
                }
            }
        }
        Ok(())
    }

    async fn launch(&mut self, pods: &Api<Pod>, pod: &Pod) -> Result<()> {
        let name = pod.name_any();
        let [a, b, c] = self.network;
        let ip = format!("{a}.{b}.{c}.{}", self.next);
        self.next = self.next.checked_add(1).context("the played node is out of addresses")?;
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name() },
        });
        pods.create_subresource::<_, serde_json::Value>("binding", &name, &PostParams::default(), &binding)
            .await
            .context("bind the pod")?;
        let container =
            pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("a pod without containers")?;
        let image = container.image.clone().unwrap_or_default();
        let server = if self.world.lock().broken.contains(&image) {
            Server::Broken
        } else if container.name == "redis" {
            self.configure(pod).await.with_context(|| format!("configure {name}"))?;
            Server::Redis(self.redis(&name, &ip, container.args.as_deref().unwrap_or_default())?)
        } else {
            self.world.lock().gateways.entry(name.clone()).or_default();
            let listener = TcpListener::bind((ip.as_str(), ADMIN_PORT)).await.context("listen as a gateway")?;
            Server::Gateway(tokio::spawn(serve(listener, name.clone(), self.world.clone())))
        };
        let uid = pod.uid().unwrap_or_default();
        self.running.insert(name, Running { ip, uid, server, started: Timestamp::now(), ready: None });
        Ok(())
    }

    /// Writes what the pod would mount: the configuration, and the Secrets that it names.
    async fn configure(&self, pod: &Pod) -> Result<()> {
        let data = self.root.join(pod.name_any());
        std::fs::create_dir_all(&data).context("make a data directory")?;
        let volumes = || pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let config = volumes().find_map(|volume| Some(volume.config_map.as_ref()?.name.clone()));
        let config_maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let config = config_maps.get(&config.context("no ConfigMap")?).await.context("read the configuration")?;
        let text = config.data.as_ref().and_then(|data| data.get(settings::FILE)).context("no configuration")?;
        let here = data.display().to_string();
        let text = text.replace(settings::SECRET_DIR, &here).replace(settings::TLS_DIR, &here);
        std::fs::write(data.join(settings::FILE), text).context("write the configuration")?;
        for volume in volumes().filter_map(|volume| volume.secret.as_ref()) {
            let secret =
                secrets.get(volume.secret_name.as_deref().unwrap_or_default()).await.context("read a Secret")?;
            for item in volume.items.iter().flatten() {
                let value = secret.data.as_ref().and_then(|data| data.get(&item.key));
                let value = value.with_context(|| format!("the Secret has no {}", item.key))?;
                std::fs::write(data.join(&item.path), &value.0).with_context(|| format!("write {}", item.path))?;
            }
        }
        Ok(())
    }

    /// A real server, with the operator's configuration and arguments; only the paths are others.
    fn redis(&self, pod: &str, ip: &str, args: &[String]) -> Result<Child> {
        let data = self.root.join(pod);
        let config = data.join(settings::FILE);
        let args = args.iter().skip(1).map(|arg| match arg.as_str() {
            "/data" => data.display().to_string(),
            arg => arg.replace("$(POD_IP)", ip).replace("$(POD_NAME)", pod),
        });
        Command::new("redis-server")
            .arg(config)
            .args(args)
            .args(["--bind", ip])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start redis-server: is it installed?")
    }

    /// What pods read of a Secret changes some time after the Secret: the password of gateways, the certificate of Redis.
    async fn remount(&self, pod: &Pod) -> Result<()> {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if volumes.into_iter().any(|volume| volume.name == "tls") {
            return self.configure(pod).await;
        }
        let Some(name) = password_source(pod) else { return Ok(()) };
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let secret = api.get(&name).await.context("read the Secret")?;
        let password = secret.data.as_ref().and_then(|data| Some(fingerprint(&data.get(REDIS_PASSWORD)?.0)));
        if let Some(gateway) = self.world.lock().gateways.get_mut(&pod.name_any()) {
            gateway.password = password;
        }
        Ok(())
    }

    /// Writes the pod's status when its readiness changed.
    async fn report(&mut self, pods: &Api<Pod>, pod: &Pod) -> Result<()> {
        let name = &pod.name_any();
        let Some(running) = self.running.get_mut(name) else { return Ok(()) };
        let draining = self.world.lock().gateways.get(name).is_some_and(|gateway| gateway.draining);
        let broken = matches!(running.server, Server::Broken);
        let ready = !draining && !broken && gates_are_open(pod);
        if running.ready == Some(ready) {
            return Ok(());
        }
        let state = if broken {
            json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } })
        } else {
            json!({ "running": { "startedAt": running.started.to_string() } })
        };
        let status = json!({ "status": {
            "startTime": running.started.to_string(),
            "phase": if broken { "Pending" } else { "Running" }, "podIP": running.ip, "podIPs": [{ "ip": running.ip }],
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{
                "name": "any", "image": "any", "imageID": "any", "ready": ready, "restartCount": 0, "state": state,
            }],
        } });
        // Conditions are merged by type: the readiness gates among them are written by others.
        pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
            .await
            .context("write the status")?;
        running.ready = Some(ready);
        Ok(())
    }

    async fn stop(&mut self, name: &str) {
        let Some(running) = self.running.remove(name) else { return };
        self.world.lock().gateways.remove(name);
        match running.server {
            Server::Gateway(task) => task.abort(),
            Server::Broken => {}
            Server::Redis(mut server) => {
                if let Err(error) = server.kill().await {
                    eprintln!("kill the redis-server of {name}: {error}");
                }
            }
        }
        // Without a volume claim a pod's data goes with it; one that was never there is as good.
        drop(std::fs::remove_dir_all(self.root.join(name)));
    }
}

/// The Secret from which a gateway's pod reads the password of Redis.
fn password_source(pod: &Pod) -> Option<String> {
    let volumes = pod.spec.as_ref()?.volumes.iter().flatten();
    let sources = volumes.filter_map(|volume| volume.projected.as_ref()?.sources.as_ref()).flatten();
    let mut secrets = sources.filter_map(|source| source.secret.as_ref());
    let has_password =
        |secret: &&SecretProjection| secret.items.iter().flatten().any(|item| item.key == REDIS_PASSWORD);
    secrets.find(has_password).map(|secret| secret.name.clone())
}

/// Whether every readiness gate of the pod says True, without which no kubelet calls a pod ready.
fn gates_are_open(pod: &Pod) -> bool {
    let conditions = || pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let says_true = |kind: &str| conditions().any(|condition| condition.type_ == kind && condition.status == "True");
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    gates.map(|gate| gate.condition_type.as_str()).all(says_true)
}

impl Drop for Node1 {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.root));
    }
}
