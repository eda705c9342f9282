//! Events about ChatRooms, each with its own sentence.
//!
//! Events are written one by one and never merged: an Event that says how many gateways were asked for must say it each time.
//! They are written for changes only, so at rest there are none. Called by `status`.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams};
use parlor_crds::ChatRoom;

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1_024;
/// Events of one pass; a pass that changes more says the most important first.
pub const MAX_PER_PASS: usize = 20;
/// The name under which the operator reports.
const REPORTER: &str = "parlor.chat/operator";

/// What happened to a ChatRoom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Someone should look at it.
    pub is_warning: bool,
    /// In CamelCase.
    pub reason: String,
    /// One sentence with numbers.
    pub note: String,
}

/// Writes Events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
}

impl Events {
    /// For the process that runs in the pod `instance`.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self { client, instance: instance.unwrap_or_else(|| "parlor-operator".into()) }
    }

    /// Writes one Event. One that cannot be written is no reason to fail a pass.
    pub async fn publish(&self, room: &ChatRoom, happening: Happening) {
        let api = Api::<Event>::namespaced(self.client.clone(), &room.namespace().unwrap_or_default());
        let event = self.event(room, happening, Timestamp::now());
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            tracing::warn!(%error, "failed to write an event");
        }
    }

    fn event(&self, room: &ChatRoom, happening: Happening, now: Timestamp) -> Event {
        let Happening { is_warning, reason, note } = happening;
        let regarding: ObjectReference = room.object_ref(&());
        Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", room.name_any())),
                namespace: room.namespace(),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".into()),
            event_time: Some(MicroTime(now)),
            note: Some(shortened(note)),
            reason: Some(reason),
            regarding: Some(regarding),
            reporting_controller: Some(REPORTER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if is_warning { "Warning" } else { "Normal" }.into()),
            ..Event::default()
        }
    }
}

fn shortened(mut note: String) -> String {
    let end = (0..=note.len().min(MAX_NOTE)).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
    note.truncate(end);
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let long = shortened(format!("x{}", "é".repeat(600)));
        assert_eq!(long.len(), MAX_NOTE - 1);
        assert_eq!(shortened("short".into()), "short");
    }
}
