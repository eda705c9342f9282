//! What wakes the load generator when a message is due: epoll itself waits whole milliseconds, which would be measured
//! as the server's.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// No member has this number.
pub(super) const ALARM: Token = Token(usize::MAX);

/// Above it messages are sent by the millisecond: to be woken for each would fill the generator's core.
const EXACT: f64 = 1000.0;

/// A timer that ends a poll.
pub(super) struct Alarm {
    timer: OwnedFd,
    set: Option<Instant>,
}

impl Alarm {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        let timer = timer.context("make a timer")?;
        // Edge-triggered: each end of the timer is reported once, and never read.
        registry.register(&mut SourceFd(&timer.as_raw_fd()), ALARM, Interest::READABLE).context("watch the timer")?;
        Ok(Self { timer, set: None })
    }

    /// Ends a poll at `due`, of messages that come `rate` a second.
    pub(super) fn set(&mut self, due: Instant, rate: f64) -> Result<()> {
        if rate > EXACT || self.set == Some(due) {
            return Ok(());
        }
        // Zero would stop the timer.
        let left = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: left.as_secs().try_into()?, tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).context("set the timer")?;
        self.set = Some(due);
        Ok(())
    }
}
