//! What one run of `apply` collects: changes, failures, and what is to be tried again.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    context::Context,
    gateways::GatewayError,
    reconcile::{build::Objects, decide::Plan, kind::ObjectId, observed::Observed},
    redis::client::ClientError,
};

/// What is to be done, and what it was decided on.
#[derive(Debug)]
pub struct Prepared {
    /// Everything that is to exist.
    pub objects: Objects,
    /// What to do.
    pub plan: Plan,
    /// What was seen.
    pub observed: Observed,
}

/// What was done. A status can be made of nothing else.
#[derive(Debug)]
pub struct Applied {
    /// What was decided.
    pub plan: Plan,
    /// What was seen before.
    pub observed: Observed,
    /// Changes worth an Event.
    pub changes: Vec<Change>,
    /// A ReplicaSet or a StatefulSet was changed, so that what was observed is older than what is wanted.
    pub changed_templates: bool,
    /// What the API server did not do.
    pub failures: Vec<ApplyError>,
    /// What a gateway or a Redis server did not do: most likely it is starting or ending, and the next pass tries again.
    pub retryable: Vec<ApplyError>,
}

impl Applied {
    /// What a pass that applies nothing would have applied.
    pub fn nothing(plan: Plan, observed: Observed) -> Self {
        let (changes, failures, retryable) = Default::default();
        Self { plan, observed, changes, changed_templates: false, failures, retryable }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Reason of the Event, in CamelCase.
    pub reason: &'static str,
    /// One sentence.
    pub note: String,
}

/// The reason why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The name of an object is taken by an object of someone else.
    #[error("{0}")]
    NameTaken(String),
    /// An object was refused before, and is not tried again yet.
    #[error("{0}")]
    StillRefused(String),
    /// An object.
    #[error("failed to apply {0}: {1}")]
    Object(ObjectId, #[source] ApiError),
    /// An object as JSON.
    #[error("failed to serialize {0}: {1}")]
    Json(ObjectId, #[source] serde_json::Error),
    /// The number of gateways.
    #[error("failed to resize ReplicaSet/{0}: {1}")]
    Size(String, #[source] ApiError),
    /// Something that is no longer asked for.
    #[error("failed to delete {0}: {1}")]
    Delete(String, #[source] ApiError),
    /// A volume that is to grow.
    #[error("failed to grow PersistentVolumeClaim {claim} (StorageClass: {class}) to {size}: {source}")]
    Volume {
        /// The claim.
        claim: String,
        /// Its StorageClass.
        class: String,
        /// The wanted size.
        size: String,
        /// What the API server said.
        source: ApiError,
    },
    /// A pod's drain annotations.
    #[error("failed to annotate Pod/{0}: {1}")]
    Mark(String, #[source] ApiError),
    /// A gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// A Redis server.
    #[error(transparent)]
    Redis(#[from] ClientError),
}

/// One run of `apply` for one ChatRoom.
pub(super) struct Run<'a> {
    pub(super) ctx: &'a Context,
    pub(super) name: &'a ChatRoomName,
    /// `metadata.uid` of the ChatRoom: what names it as owner is the ChatRoom's.
    pub(super) uid: String,
    pub(super) now: Timestamp,
    /// ReplicaSets that were made in this run, with their uid.
    pub(super) made: BTreeMap<String, String>,
    pub(super) changed_templates: bool,
    changes: Vec<Change>,
    failures: Vec<ApplyError>,
    retryable: Vec<ApplyError>,
}

impl<'a> Run<'a> {
    pub(super) fn new(ctx: &'a Context, name: &'a ChatRoomName, uid: String, now: Timestamp) -> Self {
        let (changes, failures, retryable) = Default::default();
        Self { ctx, name, uid, now, made: BTreeMap::new(), changed_templates: false, changes, failures, retryable }
    }

    pub(super) fn finish(self, plan: Plan, observed: Observed) -> Applied {
        let Self { changes, changed_templates, failures, retryable, .. } = self;
        Applied { plan, observed, changes, changed_templates, failures, retryable }
    }

    pub(super) fn changed(&mut self, reason: &'static str, note: String) {
        tracing::info!(reason, "{note}");
        self.changes.push(Change { reason, note });
    }

    pub(super) fn failed(&mut self, error: ApplyError) {
        if !matches!(error, ApplyError::StillRefused(_)) {
            tracing::warn!(%error, "failed to change an object");
        }
        self.failures.push(error);
    }

    /// Notes the failure of a request to the API server; whether there was none.
    pub(super) fn tried(&mut self, result: Result<(), ApplyError>) -> bool {
        result.map_err(|error| self.failed(error)).is_ok()
    }

    /// Like `tried`, for those who may be starting or ending.
    pub(super) fn asked(&mut self, result: Result<(), impl Into<ApplyError>>) -> bool {
        let Err(error) = result.map_err(Into::into) else { return true };
        tracing::warn!(%error, "a gateway or pod cannot be reached yet; the next pass tries again");
        self.retryable.push(error);
        false
    }
}
