//! The loop of one reactor thread.

use std::{io, sync::Arc};

use super::{Handle, HubQueue, Inbox, ReactorSender, Settings, counters::Counters};
use super::{
    inbox::{self, Wake},
    orders::Orders,
};
use crate::fanout::{link::ReactorId, session::Accepted};
use std::sync::atomic::AtomicUsize;
use tokio::sync::mpsc;

const WAKE: mio::Token = mio::Token(usize::MAX);

/// A reactor before its thread starts, and while it runs.
pub(crate) struct EventLoop {
    poll: mio::Poll,
    inbox: Inbox,
    adopted: mpsc::Receiver<Box<Accepted>>,
    wake: Arc<Wake>,
    orders: Arc<Orders>,
    counters: Arc<Counters>,
    load: Arc<AtomicUsize>,
    settings: Settings,
}

impl EventLoop {
    pub(crate) fn new(
        id: ReactorId,
        settings: Settings,
        orders: &Arc<Orders>,
    ) -> io::Result<(Self, ReactorSender, Handle)> {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let wake = Arc::new(Wake::new(move || {
            if let Err(error) = waker.wake() {
                tracing::error!(%error, "failed to wake a reactor");
            }
        }));
        let (sender, inbox) = inbox::connect(id, super::INBOX_BATCHES, Arc::clone(&wake));
        let (adopt, adopted) = mpsc::channel(super::ADOPTED);
        let (load, counters) = (Arc::new(AtomicUsize::new(0)), Arc::new(Counters::default()));
        let handle =
            Handle { adopt, wake: Arc::clone(&wake), load: Arc::clone(&load), counters: Arc::clone(&counters) };
        Ok((Self { poll, inbox, adopted, wake, orders: Arc::clone(orders), counters, load, settings }, sender, handle))
    }

    pub(crate) fn run(mut self, _hub: Arc<dyn HubQueue>) -> io::Result<()> {
        let mut events = mio::Events::with_capacity(1024);
        while !self.orders.shutting_down() {
            let idle = self.wake.may_sleep(|| self.inbox.is_empty() && self.adopted.is_empty());
            let _ = (idle, &self.counters, &self.load, &self.settings);
            self.poll.poll(&mut events, None)?;
            self.wake.awake();
        }
        Ok(())
    }
}
