//! `kubectl parlor`: the operator's binary under the name `kubectl-parlor` on the PATH.
//!
//! It has the rights of the person who calls it. What changes anything only writes annotations that the operator acts on.

mod args;
mod report;

use std::{
    fmt::{Debug, Write},
    path::Path,
};

pub use args::{KubectlArgs, KubectlCommand};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use parlor_crds::ChatRoom;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    explain::{self, ExplainError},
    reconcile::build::{
        Defaults,
        meta::{DRAIN, INSTANCE, PAUSED, RESTARTED_AT, ROTATE_PASSWORD},
    },
};

/// The reason why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// The API server, or no configuration for it.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The explanation failed.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The bundle could not be written.
    #[error("failed to write the report: {0}")]
    Report(#[source] serde_yaml::Error),
    /// Text could not be put together.
    #[error("failed to write the answer: {0}")]
    Write(#[from] std::fmt::Error),
}

impl From<kube::Error> for KubectlError {
    fn from(error: kube::Error) -> Self {
        Self::Api(error.into())
    }
}

/// Whether the process was started under the plugin's name.
pub fn is_called(program: &Path) -> bool {
    program.file_stem().is_some_and(|name| name == "kubectl-parlor")
}

/// Does what was asked, and answers what to print.
pub async fn run(args: KubectlArgs) -> Result<String, KubectlError> {
    let client = Client::try_default().await?;
    let namespace = args.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let named = |name: String| ChatRoomName { namespace: namespace.clone(), name };
    match args.command {
        KubectlCommand::Status { name } => status(&client, &namespace, name).await,
        KubectlCommand::Explain { name } => explained(&client, named(name)).await,
        KubectlCommand::Drain { pod } => {
            annotate::<Pod>(&client, &namespace, &pod, DRAIN, json!("true")).await?;
            Ok(format!("{pod} is replaced: its clients move to other gateways, then it goes\n"))
        }
        KubectlCommand::Restart { name } => {
            let now = json!(Timestamp::now().to_string());
            annotate::<ChatRoom>(&client, &namespace, &name, RESTARTED_AT, now).await?;
            Ok(format!("the gateways of {name} are replaced; follow it with: kubectl parlor status {name}\n"))
        }
        KubectlCommand::RotatePassword { name } => {
            let now = json!(Timestamp::now().to_string());
            annotate::<ChatRoom>(&client, &namespace, &name, ROTATE_PASSWORD, now).await?;
            Ok(format!("the Redis of {name} gets a new password; follow it with: kubectl parlor status {name}\n"))
        }
        KubectlCommand::Pause { name } => {
            annotate::<ChatRoom>(&client, &namespace, &name, PAUSED, json!("true")).await?;
            Ok(format!("{name} is paused: the operator changes nothing until: kubectl parlor resume {name}\n"))
        }
        KubectlCommand::Resume { name } => {
            annotate::<ChatRoom>(&client, &namespace, &name, PAUSED, Value::Null).await?;
            Ok(format!("{name} is resumed\n"))
        }
        KubectlCommand::Report { name } => {
            let name = named(name);
            // An explanation that fails is part of the report.
            let explanation = explained(&client, name.clone()).await.unwrap_or_else(|error| error.to_string());
            let bundle = report::bundle(&client, &name, &explanation).await?;
            serde_yaml::to_string(&bundle).map_err(KubectlError::Report)
        }
    }
}

async fn status(client: &Client, namespace: &str, name: Option<String>) -> Result<String, KubectlError> {
    let api = Api::<ChatRoom>::namespaced(client.clone(), namespace);
    let rooms = match name {
        Some(name) => vec![api.get(&name).await?],
        None => api.list(&ListParams::default()).await?.items,
    };
    let mut out = String::new();
    for room in &rooms {
        let status = room.status.clone().unwrap_or_default();
        let (ready, connections) = (status.ready_replicas.unwrap_or_default(), status.connections.unwrap_or_default());
        writeln!(out, "{}: {ready} gateways ready, {connections} connections", room.name_any())?;
        for condition in &status.conditions {
            writeln!(out, "  {} {}, {}: {}", condition.type_, condition.status, condition.reason, condition.message)?;
        }
    }
    if rooms.is_empty() {
        writeln!(out, "no ChatRooms in namespace {namespace}")?;
    }
    Ok(out)
}

/// Explains with the image of the newest gateways: which default the operator has is known to the operator alone.
async fn explained(client: &Client, name: ChatRoomName) -> Result<String, KubectlError> {
    let labels = ListParams::default().labels(&format!("{INSTANCE}={}", name.name));
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), &name.namespace).list(&labels).await?.items;
    let newest = sets.into_iter().max_by_key(|set| set.creation_timestamp().map(|time| time.0));
    let pod = newest.and_then(|set| set.spec.template?.spec);
    let gateway_image = pod.as_ref().and_then(|pod| pod.containers.first()?.image.clone()).unwrap_or_default();
    let fixed_users = pod.is_none_or(|pod| pod.security_context.is_none_or(|context| context.run_as_user.is_some()));
    let defaults = Defaults { gateway_image, namespace: String::new(), fixed_users };
    Ok(explain::explain(client.clone(), defaults, name).await?)
}

async fn annotate<K>(client: &Client, namespace: &str, name: &str, key: &str, value: Value) -> Result<(), KubectlError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
    Api::<K>::namespaced(client.clone(), namespace).patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_known_by_its_name() {
        assert!(is_called(Path::new("/usr/local/bin/kubectl-parlor")));
        assert!(!is_called(Path::new("parlor-operator")));
    }
}
