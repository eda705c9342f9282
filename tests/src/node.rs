//! A node that controllers take for healthy, though nothing runs on it. Called by those who play a kubelet.

use anyhow::{Context, Result};
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Node},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

const MANAGER: &str = "tests-kubelet";

/// Makes the node, whose kubelet answers at `ip` if it answers at all. [`renew`] keeps it healthy.
pub(crate) async fn register(client: &Client, name: &str, ip: Option<&str>) -> Result<()> {
    let nodes = Api::<Node>::all(client.clone());
    let node: Node = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    nodes.create(&PostParams::default(), &node).await.context("create the node")?;
    let addresses: Vec<_> = ip.iter().map(|ip| json!({ "type": "InternalIP", "address": ip })).collect();
    let ready = json!({ "status": { "addresses": addresses, "conditions": [{
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played by a test",
        "lastHeartbeatTime": Timestamp::now().to_string(), "lastTransitionTime": Timestamp::now().to_string(),
    }] } });
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(ready)).await.context("make the node ready")?;
    renew(client, name).await
}

/// Says that the node lives, for the next 40 s.
pub(crate) async fn renew(client: &Client, name: &str) -> Result<()> {
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    let now = format!("{:.6}", Timestamp::now());
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now },
    });
    leases.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(lease)).await.context("renew the lease")?;
    Ok(())
}
