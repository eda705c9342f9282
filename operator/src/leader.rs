//! One operator leads at a time, by a Lease.
//!
//! Decides when this process may begin, and when it must end: losing the lease, a lease task that ends in whatever way, and
//! not having seen the own name in the lease for its whole duration all end the process.

use crate::probes::Health;
use k8s_openapi::api::coordination::v1;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError, LeaseParams};
use rand::Rng;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NAME: &str = "parlor-operator";
/// Seconds that a lease lasts: how long ChatRooms wait after a leader died.
const DURATION: u64 = 15;
/// Seconds before its end at which it is renewed.
const GRACE: u64 = 5;
/// How often the lease is read to see whose name is in it.
const CONFIRMED_EVERY: Duration = Duration::from_secs(5);

/// The reason why this process leads no more.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The lease could not be found or made.
    #[error("prepare the lease: {0}")]
    Prepare(LeaseManagerError),
    /// Another process has it.
    #[error("the lease was lost")]
    Lost,
    /// The lease's task ended.
    #[error("the task that renews the lease ended: {0}")]
    TaskEnded(String),
    /// It could not be seen for too long.
    #[error("the lease could not be confirmed for {DURATION} s")]
    Unconfirmed,
}

/// The lease, held.
pub struct Lease {
    api: Api<v1::Lease>,
    identity: String,
    held: watch::Receiver<bool>,
    task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

impl Lease {
    /// Waits until this process leads.
    pub async fn wait(client: Client, namespace: &str, health: &Health) -> Result<Self, LeaderError> {
        let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
        let identity = format!("{host}-{:08x}", rand::rng().random::<u32>());
        let manager = LeaseManagerBuilder::new(client.clone(), NAME)
            .with_namespace(namespace)
            .with_parameters(LeaseParams::new(identity.clone(), DURATION, GRACE))
            .build()
            .await
            .map_err(LeaderError::Prepare)?;
        let (mut held, task) = manager.watch().await;
        health.ready();
        tracing::info!(identity, "waiting for the lease");
        held.wait_for(|held| *held).await.map_err(|_| LeaderError::Lost)?;
        tracing::info!(identity, "leading");
        Ok(Self { api: Api::namespaced(client, namespace), identity, held, task })
    }

    /// Ends when this process must not lead any more.
    pub async fn lost(&self) -> LeaderError {
        let mut held = self.held.clone();
        tokio::select! {
            _ = held.wait_for(|held| !*held) => LeaderError::Lost,
            error = self.confirm() => error,
        }
    }

    /// The lease task keeps what it believes while it cannot reach the API server, so the lease itself is asked.
    async fn confirm(&self) -> LeaderError {
        let mut seen = Instant::now();
        while seen.elapsed() < Duration::from_secs(DURATION) {
            tokio::time::sleep(CONFIRMED_EVERY).await;
            if self.task.is_finished() {
                return LeaderError::TaskEnded("before it was told to".into());
            }
            let holder = tokio::time::timeout(CONFIRMED_EVERY, self.api.get(NAME)).await;
            if let Ok(Ok(lease)) = holder {
                if lease.spec.and_then(|spec| spec.holder_identity).as_ref() != Some(&self.identity) {
                    return LeaderError::Lost;
                }
                seen = Instant::now();
            }
        }
        LeaderError::Unconfirmed
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    pub async fn release(self) {
        drop(self.held);
        match tokio::time::timeout(CONFIRMED_EVERY, self.task).await {
            Ok(Ok(Ok(_))) => tracing::info!("the lease is released"),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "could not release the lease"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease task failed"),
            Err(_) => tracing::warn!("releasing the lease took too long"),
        }
    }
}
