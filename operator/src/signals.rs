//! The signals that end the operator.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers that are in place.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Installs the handlers. Signals that come from now on are not lost.
pub fn listen() -> Result<Signals, std::io::Error> {
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Signals {
    /// Waits for the first of them.
    pub async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
