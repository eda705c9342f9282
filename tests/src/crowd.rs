//! A node for very many gateways, all in one process: gives each pod an address of loopback and an admin port, and makes it
//! ready. Cheap enough for thousands of pods, unlike the played kubelet, and able to do nothing else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use parlor_crds::contract::ADMIN_PORT;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    admin_port::{Gateway, World, serve},
    node,
};

/// Pods that are started or ended at the same time.
const AT_ONCE: usize = 32;
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// The node; ends when dropped.
pub struct Crowd(JoinHandle<()>);

struct Node1 {
    client: Client,
    name: String,
    world: Arc<Mutex<World>>,
    /// The admin port of each pod, and the number in its address.
    running: Mutex<BTreeMap<String, JoinHandle<()>>>,
    /// Addresses given out.
    given: Mutex<u32>,
}

impl Crowd {
    /// Plays the node of every pod that the operator makes, in all namespaces.
    pub async fn start(client: Client, name: &str) -> Result<Self> {
        node::register(&client, name, None).await?;
        let (world, running, given) = Default::default();
        let node = Arc::new(Node1 { client, name: name.to_owned(), world, running, given });
        Ok(Self(tokio::spawn(async move {
            tokio::join!(node.keep_alive(), node.run());
        })))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Node1 {
    async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(ALIVE_EVERY).await;
            if let Err(error) = node::renew(&self.client, &self.name).await {
                eprintln!("the played node lost its lease: {error:#}");
            }
        }
    }

    async fn run(&self) {
        let labels = watcher::Config::default().labels("app.kubernetes.io/managed-by=parlor-operator");
        let pods = watcher(Api::<Pod>::all(self.client.clone()), labels).default_backoff();
        pods.for_each_concurrent(AT_ONCE, |event| async {
            let done = match event {
                Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => self.look(&pod).await,
                Ok(watcher::Event::Delete(_) | watcher::Event::Init | watcher::Event::InitDone) => Ok(()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = done {
                eprintln!("the played node stumbled: {error:#}");
            }
        })
        .await;
    }

    async fn look(&self, pod: &Pod) -> Result<()> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let id = format!("{namespace}/{name}");
        let pods = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        if pod.metadata.deletion_timestamp.is_some() {
            if let Some(port) = self.running.lock().remove(&id) {
                port.abort();
            }
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            // It may be gone by now, which is what was wanted.
            drop(pods.delete(&name, &now).await);
            return Ok(());
        }
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) || self.running.lock().contains_key(&id) {
            return Ok(());
        }
        let ip = self.address();
        self.world.lock().gateways.insert(name.clone(), Gateway::default());
        let listener = TcpListener::bind((ip.as_str(), ADMIN_PORT)).await.context("listen as a gateway")?;
        self.running.lock().insert(id, tokio::spawn(serve(listener, name.clone(), self.world.clone())));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name },
        });
        pods.create_subresource::<_, serde_json::Value>("binding", &name, &PostParams::default(), &binding)
            .await
            .context("bind the pod")?;
        let status = json!({ "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{
                "name": "any", "image": "any", "imageID": "any", "ready": true, "restartCount": 0,
                "state": { "running": { "startedAt": Timestamp::now().to_string() } },
            }],
        } });
        pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
            .await
            .context("write the status")?;
        Ok(())
    }

    /// One of 127.200.0.1 to 127.200.255.254.
    fn address(&self) -> String {
        let mut given = self.given.lock();
        *given += 1;
        format!("127.200.{}.{}", *given / 254 % 256, *given % 254 + 1)
    }
}
