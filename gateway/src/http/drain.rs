//! Emptying a gateway: unready at once, still accepting while endpoints catch up, then clients are asked to leave at
//! a set rate.
//!
//! Decides when a drain moves on; the reactors choose the connections and tell them.

use std::{sync::Arc, time::Duration};

use parlor_crds::contract::{DrainStatus, ENDPOINTS_CATCH_UP};
use tokio::{sync::watch, time};

use crate::{fanout::reactor::Reactors, http::unix_millis};

/// What the gateway is doing about its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining {
        rate: u32,
        started_at: u64,
        initial: u32,
        /// The process ends after this drain: it cannot be called off.
        last: bool,
    },
}

/// The drain of this gateway; one, shared by the admin port and the signal handler.
#[derive(Clone)]
pub struct Drain {
    reactors: Arc<Reactors>,
    phase: Arc<watch::Sender<Phase>>,
}

/// A drain that belongs to the end of the process was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway is shutting down; its drain cannot be called off")]
pub struct ShuttingDown;

impl Drain {
    /// Not draining. [`Drain::drive`] must run for drains to proceed.
    pub fn new(reactors: Arc<Reactors>) -> Self {
        Self { reactors, phase: Arc::new(watch::Sender::new(Phase::Serving)) }
    }

    /// Starts a drain at `rate` connections per second; a running one only takes the new rate.
    pub fn start(&self, rate: u32) {
        self.begin(rate, false);
    }

    /// Starts, or turns a running drain into, the drain that ends with the process.
    pub fn start_last(&self, rate: u32) {
        self.begin(rate, true);
    }

    /// Asks so many clients to reconnect, `rate` per second, while the gateway continues to serve. A drain that runs or follows wins.
    pub fn give_away(&self, connections: u32, rate: u32) {
        let serves = *self.phase.borrow() == Phase::Serving;
        if serves {
            tracing::info!(connections, rate, "asking some connections to move");
            self.reactors.give_away(connections, rate);
        }
    }

    fn begin(&self, new_rate: u32, now_last: bool) {
        let connections = self.connections();
        self.phase.send_modify(|phase| match phase {
            Phase::Serving => {
                *phase =
                    Phase::Draining { rate: new_rate, started_at: unix_millis(), initial: connections, last: now_last };
            }
            Phase::Draining { rate, last, .. } => {
                *rate = new_rate;
                *last |= now_last;
            }
        });
    }

    fn connections(&self) -> u32 {
        u32::try_from(self.reactors.connections()).unwrap_or(u32::MAX)
    }

    /// Calls a drain off: the gateway is ready again and keeps the clients it has.
    pub fn cancel(&self) -> Result<(), ShuttingDown> {
        let mut refused = false;
        self.phase.send_modify(|phase| match phase {
            Phase::Draining { last: true, .. } => refused = true,
            _ => *phase = Phase::Serving,
        });
        if refused { Err(ShuttingDown) } else { Ok(()) }
    }

    /// Progress, while draining.
    pub fn status(&self) -> Option<DrainStatus> {
        match *self.phase.borrow() {
            Phase::Serving => None,
            Phase::Draining { started_at, initial, .. } => {
                Some(DrainStatus { started_at, initial, remaining: self.connections() })
            }
        }
    }

    /// Carries drains out; runs as long as the gateway.
    pub async fn drive(self) {
        let mut phases = self.phase.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            match phase {
                Phase::Serving => {
                    self.reactors.undrain();
                    if phases.changed().await.is_err() {
                        return;
                    }
                }
                Phase::Draining { .. } => {
                    tracing::info!(connections = self.reactors.connections(), "draining");
                    self.empty(&mut phases).await;
                }
            }
        }
    }

    /// From unready to told; returns when the drain is called off.
    async fn empty(&self, phases: &mut watch::Receiver<Phase>) {
        let called_off = |phase: &Phase| *phase == Phase::Serving;
        if time::timeout(ENDPOINTS_CATCH_UP, phases.wait_for(called_off)).await.is_ok() {
            return;
        }
        loop {
            let Phase::Draining { rate, .. } = *phases.borrow_and_update() else { return };
            self.reactors.drain(rate);
            if phases.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until no connection is left, at most `deadline`.
    pub async fn emptied(&self, deadline: Duration) {
        let empty = async {
            // Even an idle gateway may be handed connections while endpoints catch up.
            time::sleep(ENDPOINTS_CATCH_UP).await;
            while self.reactors.connections() > 0 {
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        if time::timeout(deadline, empty).await.is_err() {
            tracing::warn!(connections = self.reactors.connections(), "drain deadline passed");
        }
    }
}
