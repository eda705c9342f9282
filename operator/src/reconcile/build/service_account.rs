//! ServiceAccounts: an identity for the pods, and no token for the API.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;
use parlor_crds::ChatRoom;

use super::meta::{self, Component};

/// The account of gateways and Redis alike; neither speaks to the API server.
pub fn service_account(room: &ChatRoom) -> ServiceAccount {
    ServiceAccount {
        metadata: meta::owned(room, Component::Gateway, room.name_any()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
