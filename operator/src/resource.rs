//! Whether the cluster serves the ChatRoom resource, with every field that this operator knows.
//!
//! Asked once at start, so that a missing or older definition is one clear sentence instead of a silent watch.

use std::time::Duration;

use http::Request;
use kube::{Api, Client, api::ListParams};
use parlor_crds::ChatRoom;
use serde_json::Value;

use crate::api_error::ApiError;

/// Between two attempts to reach the API server.
const RETRY: Duration = Duration::from_secs(2);
const DOCUMENT: &str = "/openapi/v3/apis/parlor.chat/v1alpha1";
const MEND: &str = "apply crds/chatroom.yaml of this release, or install the chart with crds.enabled=true";

/// The reason why ChatRooms cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The API server does not know ChatRooms.
    #[error("the cluster has no resource ChatRoom (parlor.chat/v1alpha1): {MEND}")]
    Missing,
    /// The API server's ChatRooms lack a field.
    #[error("the cluster's resource ChatRoom is older than this operator, it lacks {0}: {MEND}")]
    Older(String),
}

/// Checks the resource as it is served in `namespace`, or in all.
pub async fn check(client: &Client, namespace: Option<&str>) -> Result<(), ResourceError> {
    let rooms: Api<ChatRoom> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    loop {
        match rooms.list_metadata(&ListParams::default().limit(1)).await.map_err(ApiError::from) {
            Ok(_) => break,
            Err(error) if error.code() == Some(404) => return Err(ResourceError::Missing),
            Err(error) => tracing::warn!(%error, "failed to list ChatRooms; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
    match served(client).await {
        // An operator that may not read the document can still serve ChatRooms.
        Err(error) => {
            tracing::warn!(%error, "failed to read which fields of ChatRooms the cluster serves");
            Ok(())
        }
        Ok(None) => Ok(()),
        Ok(Some(served)) => match lacks(&own(), &served, "") {
            Some(field) => Err(ResourceError::Older(field)),
            None => Ok(()),
        },
    }
}

async fn served(client: &Client) -> Result<Option<Value>, ApiError> {
    let request = Request::get(DOCUMENT).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let document: Value = client.request(request).await?;
    Ok(document.pointer("/components/schemas/chat.parlor.v1alpha1.ChatRoom").cloned())
}

fn own() -> Value {
    let crd = serde_json::to_value(parlor_crds::crd()).unwrap_or_default();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default()
}

/// The first property of `own` that `served` does not have. What the API server describes by reference is not compared.
fn lacks(own: &Value, served: &Value, path: &str) -> Option<String> {
    let properties = served.get("properties").and_then(Value::as_object);
    for (name, schema) in own.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match properties.and_then(|properties| properties.get(name)) {
            None => return Some(path),
            Some(served) if served.get("properties").is_some() => {
                if let Some(field) = lacks(schema, served, &path) {
                    return Some(field);
                }
            }
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_definition_is_refused_by_the_field_that_it_lacks() {
        let mut older = own();
        assert_eq!(lacks(&own(), &older, ""), None);
        older
            .pointer_mut("/properties/spec/properties/drain/properties")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("rate");
        assert_eq!(lacks(&own(), &older, "").as_deref(), Some("spec.drain.rate"));
        assert_eq!(lacks(&own(), &json!({ "properties": {} }), "").as_deref(), Some("spec"));
    }
}
