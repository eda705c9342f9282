//! The calls of the bus that one partition has under way.
//!
//! At most: one read of the stream, one group of posts, one restore, one batch of counts and one of signals, and the
//! bounded reads. Decides nothing. Called by the partition's actor alone.

use std::{pin::Pin, sync::Arc};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

use super::{
    call::{BusAccess, BusCall},
    calls::{
        append::GroupDone,
        directory::DirectoryDone,
        history_requests::PageDone,
        moderate::{ActionsDone, ModerateDone},
        restore::RestoreDone,
        room_reads::RoomReadDone,
        screening::ScreenDone,
        tail::TailDone,
    },
    presence::{counts::CountsDone, signals::SignalsDone, sums::SumDone},
};

/// Writes [`Done`] and the way into it from what each mechanism gets back.
macro_rules! done {
    ($($variant:ident($done:ty)),*) => {
        /// What has come back from the bus, by the mechanism that it concerns.
        pub(crate) enum Done {
            $($variant($done),)*
        }

        $(
            impl From<$done> for Done {
                fn from(done: $done) -> Self {
                    Self::$variant(done)
                }
            }
        )*
    };
}

done!(
    Tail(TailDone),
    Append(GroupDone),
    Restore(RestoreDone),
    RoomRead(RoomReadDone),
    Page(PageDone),
    Directory(DirectoryDone),
    Moderate(ModerateDone),
    Actions(ActionsDone),
    Screen(ScreenDone),
    Sum(SumDone),
    Counts(CountsDone),
    Signals(SignalsDone)
);

/// The calls under way.
pub(crate) struct BusCalls {
    access: Arc<BusAccess>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
}

impl BusCalls {
    pub(crate) fn new(access: BusAccess) -> Self {
        Self { access: Arc::new(access), under_way: FuturesUnordered::new() }
    }

    pub(crate) fn access(&self) -> &BusAccess {
        &self.access
    }

    /// Starts what was decided on, if anything was.
    pub(crate) fn start<C>(&mut self, calls: impl IntoIterator<Item = C>)
    where
        C: BusCall<Done: Into<Done>>,
    {
        for call in calls {
            let access = Arc::clone(&self.access);
            self.under_way.push(Box::pin(async move {
                let done = call.run(&access).await;
                access.note(&done);
                done.into()
            }));
        }
    }

    /// The next answer; waits. `None` when nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<Done> {
        self.under_way.next().await
    }

    /// The next answer that is there already.
    pub(crate) fn ready(&mut self) -> Option<Done> {
        self.under_way.next().now_or_never().flatten()
    }
}
