//! What the operator was started with and objects depend on.

/// What the operator was started with and objects depend on.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of gateways whose ChatRoom names none.
    pub gateway_image: String,
    /// Namespace of the operators, the only one from which they reach a managed Redis.
    pub namespace: String,
    /// Pods run as users that this operator chooses. Otherwise the cluster chooses, as OpenShift wants to.
    pub fixed_users: bool,
}
