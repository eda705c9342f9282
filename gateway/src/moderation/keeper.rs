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
            news.extend(table.news_since(&known.table, time));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use tokio::sync::mpsc;

    use super::{
        super::{
            memory::MemoryModeration,
            rules::{Change, NewsCode, Refusal, Who},
            store::{Store, Task},
        },
        *,
    };
    use crate::{
        clock::Clock,
        rooms::{Author, Role, RoomName},
    };

    /// A store that can be away for this gateway, while others use it.
    struct Away {
        store: MemoryModeration,
        away: AtomicBool,
    }

    impl Away {
        fn answered<T>(&self, answer: T) -> Result<T, Unavailable> {
            if self.away.load(Relaxed) { Err(Unavailable("away".into())) } else { Ok(answer) }
        }

        /// What a moderator does at another gateway.
        async fn act(&self, action: Action) {
            let by = Author { id: "m".into(), name: "mod".into(), extra: None };
            let act = Act { by, room: room(), action };
            let changes = Table::default().changes(&act);
            self.store.act(&act, &changes).await.unwrap();
        }
    }

    impl Store for Away {
        fn act<'a>(&'a self, act: &'a Act, changes: &'a [Change]) -> Task<'a, Result<Record, ActError>> {
            self.store.act(act, changes)
        }

        fn read(&self, number: u64) -> Task<'_, Result<Snapshot, Unavailable>> {
            Box::pin(async move { self.answered(self.store.read(number).await?) })
        }

        fn follow(&self, number: u64) -> Task<'_, Result<Vec<Record>, Unavailable>> {
            Box::pin(async move {
                self.answered(())?;
                self.answered(self.store.follow(number).await?)
            })
        }

        fn log(&self, before: Option<u64>, limit: u32) -> Task<'_, Result<Vec<Record>, Unavailable>> {
            self.store.log(before, limit)
        }
    }

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    fn mute(person: &str) -> Action {
        Action::Mute { person: person.into(), seconds: 0 }
    }

    fn is_muted(moderation: &Moderation, person: &str) -> bool {
        let who = Who { person, role: Role::Member, address: None };
        moderation.may_post(&room(), who) == Err(Refusal::Muted { until: None })
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_stays_in_force_while_the_store_is_away_and_what_was_missed_is_made_up_for() {
        let store = Arc::new(Away { store: MemoryModeration::new(Clock::start()), away: AtomicBool::new(false) });
        store.act(mute("bob")).await;
        let moderation = Moderation::open(store.clone(), Arc::default()).await.unwrap();
        assert!(is_muted(&moderation, "bob"), "known at the start");
        let (told, mut news) = mpsc::channel(64);
        let keeper = tokio::spawn(keep(moderation.clone(), move |one| {
            let told = told.clone();
            async move { told.send(one).await.unwrap_or_default() }
        }));
        store.away.store(true, Relaxed);
        sleep(Duration::from_secs(5)).await;
        assert!(is_muted(&moderation, "bob"), "known while it is away");
        store.act(mute("eve")).await;
        store.act(Action::Kick { person: "eve".into() }).await;
        store.act(Action::Unmute { person: "bob".into() }).await;
        assert!(!is_muted(&moderation, "eve"));
        store.away.store(false, Relaxed);
        sleep(Duration::from_secs(1)).await;
        assert!(is_muted(&moderation, "eve") && !is_muted(&moderation, "bob"));
        let codes: Vec<_> = std::iter::from_fn(|| news.try_recv().ok()).map(|news| news.code).collect();
        assert_eq!(codes, [NewsCode::Kicked, NewsCode::Muted], "a kick is not missed either");
        store.act(mute("ada")).await;
        sleep(Duration::from_millis(10)).await;
        assert!(is_muted(&moderation, "ada"), "followed again");
        keeper.abort();
    }
}
