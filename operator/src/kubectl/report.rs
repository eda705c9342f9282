//! The bundle for a bug report: what exists for a ChatRoom, without anything secret.
//!
//! Secrets are never read. Values of environment variables and annotations that `kubectl apply` leaves are left out.

use std::fmt::Debug;

use k8s_openapi::api::{
    apps::v1::{ReplicaSet, StatefulSet},
    core::v1::{Event, Pod, Service},
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use parlor_crds::ChatRoom;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{chat_room_name::ChatRoomName, reconcile::build::meta::INSTANCE};

/// Events that are listed; the newest of a busy namespace.
const MOST_EVENTS: usize = 200;

/// The bundle, as one document.
pub(super) async fn bundle(client: &Client, name: &ChatRoomName, explanation: &str) -> Result<Value, kube::Error> {
    let room = Api::<ChatRoom>::namespaced(client.clone(), &name.namespace).get(&name.name).await?;
    let version = client.apiserver_version().await?;
    Ok(json!({
        "kubernetes": version.git_version,
        "parlor": env!("CARGO_PKG_VERSION"),
        "explanation": explanation.lines().collect::<Vec<_>>(),
        "chatRoom": cleaned(&room),
        "pods": objects::<Pod>(client, name).await?,
        "replicaSets": objects::<ReplicaSet>(client, name).await?,
        "statefulSets": objects::<StatefulSet>(client, name).await?,
        "services": objects::<Service>(client, name).await?,
        "events": events(client, name).await?,
    }))
}

async fn objects<K>(client: &Client, name: &ChatRoomName) -> Result<Vec<Value>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let labels = ListParams::default().labels(&format!("{INSTANCE}={}", name.name));
    let found = Api::<K>::namespaced(client.clone(), &name.namespace).list(&labels).await?;
    Ok(found.items.iter().map(cleaned).collect())
}

async fn events(client: &Client, name: &ChatRoomName) -> Result<Vec<String>, kube::Error> {
    let found = Api::<Event>::namespaced(client.clone(), &name.namespace).list(&ListParams::default()).await?;
    let ours = found.items.into_iter().filter(|event| {
        event.involved_object.name.as_ref().is_some_and(|object| object.starts_with(name.name.as_str()))
    });
    let mut lines: Vec<String> = ours.map(line).collect();
    lines.sort();
    Ok(lines.split_off(lines.len().saturating_sub(MOST_EVENTS)))
}

fn line(event: Event) -> String {
    let time = event.creation_timestamp().map_or_else(String::new, |time| time.0.to_string());
    let object = event.involved_object;
    let text = |text: Option<String>| text.unwrap_or_default();
    format!(
        "{time} {} {}/{} {}: {}",
        text(event.type_),
        text(object.kind),
        text(object.name),
        text(event.reason),
        text(event.message)
    )
}

fn cleaned(object: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    clean(&mut value);
    value
}

/// Leaves out what may hold secrets.
fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("managedFields");
            map.remove("kubectl.kubernetes.io/last-applied-configuration");
            if let Some(Value::Array(variables)) = map.get_mut("env") {
                variables
                    .iter_mut()
                    .filter_map(|one| one.get_mut("value"))
                    .for_each(|value| *value = json!("(left out)"));
            }
            map.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_environment_variables_are_left_out() {
        let mut value = json!({ "spec": { "containers": [{ "env": [{ "name": "TOKEN", "value": "secret" }] }] } });
        clean(&mut value);
        assert!(!value.to_string().contains("secret") && value.to_string().contains("TOKEN"), "{value}");
    }
}
