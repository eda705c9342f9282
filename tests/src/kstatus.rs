//! The rules by which kstatus, the library of Flux, kpt and others, reads the status of a resource that it does not know.

use serde_json::Value;

/// `Current`, `InProgress`, `Failed` or `Terminating`.
pub fn kstatus(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let status = |kind: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.and_then(|condition| condition["status"].as_str())
    };
    if status("Reconciling") == Some("True") {
        return "InProgress";
    }
    if status("Stalled") == Some("True") {
        return "Failed";
    }
    match status("Ready") {
        Some("True") => "Current",
        Some(_) => "InProgress",
        None => "Current",
    }
}
