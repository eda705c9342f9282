//! Follows what moderators do on any gateway, and keeps this one's table up to date.
//!
//! Decides when everything is read again: at the start, after the connection was lost, where a number is missing, and from
//! time to time as a repair. What is in force stays so while nothing can be read.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    action::{Act, Action},
    in_force::{Moderation, Seen, ServerClock},
    record::Record,
    rules::{News, Table},
    store::{ActError, Snapshot},
};
use crate::rooms::Unavailable;

/// Pause before the store is asked again after it failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How often everything is read again although nothing is missing.
const REPAIR: Duration = Duration::from_secs(30);
/// Between two log lines about a store that cannot be read.
const COMPLAINT: Duration = Duration::from_secs(10);

/// Runs until it is dropped. `tell` passes news on to those concerned here.
pub async fn keep<T: Future<Output = ()> + Send>(moderation: Arc<Moderation>, tell: impl Fn(News) -> T + Send + Sync) {
    tokio::join!(follow(&moderation, tell), write_addresses(&moderation));
}

async fn follow<T: Future<Output = ()>>(moderation: &Moderation, tell: impl Fn(News) -> T) {
    let mut complained = None;
    loop {
        let read = Instant::now();
        let failed = match moderation.catch_up().await {
            Ok(news) => {
                for one in news {
                    tell(one).await;
                }
                moderation.follow_until(read + REPAIR, &tell).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = failed {
            if complained.is_none_or(|at: Instant| at.elapsed() > COMPLAINT) {
                complained = Some(Instant::now());
                tracing::warn!(%error, "failed to follow moderation: what was known stays in force");
            }
            sleep(PAUSE).await;
        }
    }
}

/// Bans the addresses that banned people were seen at, for as long as the people.
async fn write_addresses(moderation: &Moderation) {
    let mut seen = moderation.seen.1.lock().await;
    while let Some(Seen { ban, address }) = seen.recv().await {
        if moderation.may_come(address).is_err() {
            continue;
        }
        let Some(person) = ban.act.action.person().cloned() else { continue };
        let left = ban.until.map(|until| until.saturating_sub(moderation.now()));
        if left == Some(0) {
            continue;
        }
        let seconds = left.map_or(0, |left| left.div_ceil(1000));
        let action = Action::BanAddress { person, address, seconds };
        let act = Act { action, ..ban.act.clone() };
        if let Err(error) = moderation.carry_out(act).await {
            tracing::warn!(%error, "failed to ban the address of a banned person");
        }
    }
}

impl Moderation {
    /// Carries an action out for the whole ChatRoom. This gateway learns of it as the others do.
    pub(super) async fn carry_out(&self, act: Act) -> Result<(), ActError> {
        let changes = self.known.read().table.changes(&act);
        let record = self.store.act(&act, &changes).await?;
        let Record { number, until, act: Act { by, room, action }, time: _ } = &record;
        // The address of a banned person is for the store alone.
        tracing::info!(number, action = action.name(), by = %by.id, person = action.person().map(|p| p.as_ref()), %room, until, "moderated");
        Ok(())
    }

    /// Takes everything in force as it is now; answers what is news.
    async fn catch_up(&self) -> Result<Vec<News>, Unavailable> {
        let number = self.known.read().number;
        Ok(self.adopt(self.store.read(number).await?))
    }

    /// Replaces the table. What was done once and is over, such as a kick, is found in the log.
    pub(super) fn adopt(&self, snapshot: Snapshot) -> Vec<News> {
        let Snapshot { number, time, rows, since } = snapshot;
        let in_force = rows.into_iter().filter(|row| row.is_in_force(time));
        let table = Table::of(in_force.map(Arc::new));
        let mut news = Vec::new();
        self.change(|known| {
            let passing = since.into_iter().filter(|record| matches!(record.act.action, Action::Kick { .. }));
            news.extend(passing.filter_map(|record| Table::default().apply(&Arc::new(record))));
            news.extend(table.news_since(&known.table));
            known.table = table;
            known.number = number;
            known.clock = ServerClock { told: time, at: Instant::now() };
        });
        news
    }

    /// Takes actions one by one, until `end` or until one is missing.
    async fn follow_until<T: Future<Output = ()>>(
        &self,
        end: Instant,
        tell: impl Fn(News) -> T,
    ) -> Result<(), Unavailable> {
        while Instant::now() < end {
            let number = self.known.read().number;
            for record in self.store.follow(number).await? {
                let mut news = None;
                let mut missing = false;
                self.change(|known| {
                    missing = record.number != known.number + 1;
                    if !missing {
                        known.number = record.number;
                        news = known.table.apply(&Arc::new(record));
                    }
                });
                if missing {
                    return Ok(());
                }
                if let Some(news) = news {
                    tell(news).await;
                }
            }
        }
        Ok(())
    }
}
