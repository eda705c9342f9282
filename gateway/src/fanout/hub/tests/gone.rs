//! Posts whose sender is gone when they are acknowledged.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Duration, Instant, sleep};

use super::world::{Gateway, at, memory, post};
use crate::{
    bus::Task,
    directory::{Directory, Query, Reply, pairs, people},
    fanout::{
        messages::{ToHub, ToReactor, Unheard},
        session::IfGone,
    },
    rooms::Unavailable,
};

/// A directory that remembers the queries it got.
#[derive(Default)]
struct Told(Mutex<Vec<Query>>);

impl Directory for Told {
    fn ask(&self, _: Query) -> Task<'_, Result<Reply, Unavailable>> {
        Box::pin(async { Err(Unavailable("it only listens".into())) })
    }

    fn tell(&self, query: Query, _: Instant) {
        self.0.lock().push(query);
    }

    fn hurry(&self) -> Task<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn tick(&self) -> Task<'_, Result<Vec<pairs::Exit>, Unavailable>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn announced<'a>(&'a self, _: &'a [pairs::Exit]) -> Task<'a, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self, _: Duration) -> Task<'_, ()> {
        Box::pin(async {})
    }
}

fn confirm(id: u64) -> Query {
    Query::People(people::Query::Confirm { user: 1, id })
}

fn send(gateway: &Gateway) {
    let if_gone = Some(IfGone::new(|posted| confirm(posted.seq)));
    gateway.send(ToHub::Post { from: at(0, 1), tag: 7, post: post("lobby", "a"), if_gone });
}

#[tokio::test(start_paused = true)]
async fn the_directory_is_told_of_a_post_whose_sender_is_gone() {
    let told = Arc::new(Told::default());
    let mut gateway = Gateway::beside(memory(), Arc::<Told>::clone(&told));
    send(&gateway);
    let unheard = gateway
        .find(0, |message| match message {
            ToReactor::Posted { unheard, .. } => Some(unheard),
            _ => None,
        })
        .await;
    assert!(told.0.lock().is_empty(), "the sender may still hear of it");
    drop(unheard);
    assert_eq!(*told.0.lock(), [confirm(1)]);
}

#[tokio::test(start_paused = true)]
async fn the_directory_is_told_nothing_of_a_post_whose_sender_heard_of_it() {
    let told = Arc::new(Told::default());
    let mut gateway = Gateway::beside(memory(), Arc::<Told>::clone(&told));
    send(&gateway);
    let heard = |message| match message {
        ToReactor::Posted { unheard, .. } => unheard.map(Unheard::heard),
        _ => None,
    };
    gateway.find(0, heard).await;
    assert!(told.0.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_directory_is_told_when_the_reactor_has_ended() {
    let told = Arc::new(Told::default());
    let mut gateway = Gateway::beside(memory(), Arc::<Told>::clone(&told));
    gateway.reactors.clear();
    send(&gateway);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*told.0.lock(), [confirm(1)]);
}
