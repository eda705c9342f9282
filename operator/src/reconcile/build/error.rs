//! Why an object could not be built.

/// Why an object could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The ChatRoom as gateways read it.
    #[error("failed to serialize the gateways' manifest: {0}")]
    Manifest(#[source] serde_yaml::Error),
    /// The gateways' pod template.
    #[error("failed to hash the gateways' template: {0}")]
    Template(#[source] serde_json::Error),
}
