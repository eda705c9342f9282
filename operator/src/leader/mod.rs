//! One operator leads at a time, by a Lease.
//!
//! Decides when this process may begin, and when it must end. A leader ends when another holder is in the lease, and when its
//! last successful renewal *began* longer ago than [`LEASE_RENEWED_WITHIN`], which is shorter than the lease: a waiting
//! process begins only after it. No clock of another machine is trusted. Operators that lead every ChatRoom wait for each other
//! across namespaces, too.

mod elsewhere;
mod record;

use std::time::{Duration, Instant};

pub use elsewhere::Elsewhere;
use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use parlor_crds::contract::hex;
use rand::Rng;
use record::Record;
use sha2::{Digest, Sha256};

use crate::{
    api_error::ApiError,
    deadlines::{LEASE, LEASE_RENEWAL, LEASE_RENEWED_WITHIN},
    probes::Health,
};

const NAME: &str = "parlor-operator";
/// Between two looks at a lease that somebody else holds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The reason why this process no longer leads.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Another process has it.
    #[error("the lease was lost: {0:?} holds it now")]
    Lost(String),
    /// It could not be renewed for too long.
    #[error("failed to renew the lease for {seconds} s: {0}", seconds = LEASE_RENEWED_WITHIN.as_secs())]
    NotRenewed(String),
}

/// The name of the lease for these namespaces: operators with other namespaces do not wait for each other.
pub fn lease_name(namespaces: &[String]) -> String {
    if namespaces.is_empty() {
        return NAME.into();
    }
    let mut sorted = namespaces.to_vec();
    sorted.sort();
    sorted.dedup();
    format!("{NAME}-{}", hex(&Sha256::digest(sorted.join(","))[..4]))
}

/// The lease, held.
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    identity: String,
    /// When the last successful renewal began.
    renewed: Instant,
}

impl Lease {
    /// Waits until this process leads, and until nobody else does `elsewhere`, if that is to be looked for.
    pub async fn wait(
        client: Client,
        namespace: &str,
        name: String,
        mut elsewhere: Option<Elsewhere>,
        health: &Health,
    ) -> Self {
        let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
        let identity = format!("{host}-{:08x}", rand::rng().random::<u32>());
        let mut lease = Self { api: Api::namespaced(client, namespace), name, identity, renewed: Instant::now() };
        let mut record = Record::default();
        tracing::info!(identity = lease.identity, lease = lease.name, "waiting for the lease");
        loop {
            if led_elsewhere(&mut elsewhere).await {
                health.ready();
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let began = Instant::now();
            let taken = match tokio::time::timeout(LEASE_RENEWED_WITHIN, lease.take(&mut record)).await {
                Ok(Ok(taken)) => {
                    health.ready();
                    taken
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "failed to take the lease; trying again");
                    false
                }
                Err(_) => {
                    tracing::warn!("failed to take the lease in time; trying again");
                    false
                }
            };
            if taken && !led_elsewhere(&mut elsewhere).await {
                tracing::info!(identity = lease.identity, "leading");
                lease.renewed = began;
                return lease;
            }
            let mut pause = LOOK_EVERY;
            if taken {
                // Two took theirs at the same time. Both give them back, and try again after different pauses.
                lease.give_back().await;
                pause = pause.mul_f64(rand::rng().random_range(0.0..2.0));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the lease; ends when this process must no longer lead.
    pub async fn lost(&mut self) -> LeaderError {
        let mut last = String::from("no answer from the API server");
        loop {
            tokio::time::sleep(LEASE_RENEWAL).await;
            loop {
                let left = LEASE_RENEWED_WITHIN.saturating_sub(self.renewed.elapsed());
                let began = Instant::now();
                match tokio::time::timeout(left, self.renew()).await {
                    Err(_) => return LeaderError::NotRenewed(last),
                    Ok(Ok(None)) => {
                        self.renewed = began;
                        break;
                    }
                    Ok(Ok(Some(holder))) => return LeaderError::Lost(holder),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "failed to renew the lease; trying again");
                        last = error.to_string();
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
            }
        }
    }

    /// Ends this process's lead.
    pub async fn release(self) {
        self.give_back().await;
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    async fn give_back(&self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut().filter(|spec| holder(spec) == self.identity) else { return Ok(()) };
            spec.holder_identity = Some(String::new());
            self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        };
        match tokio::time::timeout(LOOK_EVERY, released).await {
            Ok(Ok(())) => tracing::info!("the lease is released"),
            Ok(Err(error)) => tracing::warn!(error = %ApiError::from(error), "failed to release the lease"),
            Err(_) => tracing::warn!("failed to release the lease in time"),
        }
    }

    /// Takes the lease if it may be taken; whether it is held now.
    async fn take(&self, record: &mut Record) -> Result<bool, ApiError> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = LeaseObject { metadata, spec: Some(self.spec(None)) };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !record.may_take(&spec, &self.identity, Instant::now()) {
            return Ok(false);
        }
        lease.spec = Some(self.spec(Some(&spec)));
        // Replaced as it was read: of several that try, the API server lets one.
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    /// Renews the lease; answers who holds it if another does.
    async fn renew(&self) -> Result<Option<String>, ApiError> {
        let mut lease = self.api.get(&self.name).await?;
        let spec = lease.spec.take().unwrap_or_default();
        if holder(&spec) != self.identity {
            return Ok(Some(holder(&spec).to_owned()));
        }
        lease.spec = Some(LeaseSpec { renew_time: Some(MicroTime(Timestamp::now())), ..spec });
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(None)
    }

    fn spec(&self, former: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let transitions = former.and_then(|former| former.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions + i32::from(former.is_some())),
            ..LeaseSpec::default()
        }
    }
}

async fn led_elsewhere(elsewhere: &mut Option<Elsewhere>) -> bool {
    match elsewhere {
        Some(elsewhere) => elsewhere.is_led().await,
        None => false,
    }
}

fn holder(spec: &LeaseSpec) -> &str {
    spec.holder_identity.as_deref().unwrap_or_default()
}

/// A conflict means that another was faster.
fn won<T>(written: Result<T, kube::Error>) -> Result<bool, ApiError> {
    match written.map_err(ApiError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(409) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_with_other_namespaces_have_other_leases_and_the_order_of_names_does_not_matter() {
        let named = |names: &[&str]| lease_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&[]), "parlor-operator");
        assert_eq!(named(&["a", "b"]), named(&["b", "a"]));
        assert_ne!(named(&["a"]), named(&["b"]));
    }
}
