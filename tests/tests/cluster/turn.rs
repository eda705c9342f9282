//! Whose turn it is, and what is being done: a run of several minutes must not be silent.

use std::{fmt::Display, thread, time::Instant};

use tokio::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A test's turn with the cluster; it ends when this is dropped.
pub(crate) struct Turn {
    began: Instant,
    _only: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the turn.
    pub(crate) async fn take() -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        // The test program has written the name already, but no end of the line, and `tests/run` shows only such lines.
        println!("\n-- {}", thread::current().name().unwrap_or_default());
        Self { began: Instant::now(), _only: only }
    }

    /// Says what is done now, with the time since the turn began.
    pub(crate) fn say(&self, what: impl Display) {
        println!("-- {:6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }
}
