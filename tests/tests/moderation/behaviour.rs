//! What moderators do on one gateway, as another one knows it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use futures::future::join_all;
use parlor_gateway::{
    moderation::{Action, Kind, NewsCode, Refusal, Refused, Who},
    rooms::{Role, RoomName},
};
use tokio::time::{Instant, sleep};

use crate::{Behaviour, Gateway, Two};

/// Within this time an action is in force on every gateway.
const EVERYWHERE: Duration = Duration::from_millis(250);

macro_rules! behaviours {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), |two| Box::pin($name(two)))),*] };
}

pub(crate) const ALL: [Behaviour; 8] = behaviours![
    an_action_is_in_force_on_the_other_gateway_within_250_ms,
    what_has_an_end_ends_by_itself,
    those_concerned_are_told_on_every_gateway,
    a_gateway_that_starts_later_knows_what_is_in_force,
    an_address_is_banned_with_its_person_and_let_go_with_them,
    a_slow_room_is_slow_over_both_gateways,
    the_log_says_who_did_what_newest_first,
    what_is_in_force_is_never_forgotten_for_something_new,
];

fn room(name: &str) -> RoomName {
    RoomName::new(name).expect("a name in a test")
}

fn post(gateway: &Gateway, room: &RoomName, person: &str) -> Result<(), Refusal> {
    gateway.moderation.may_post(room, Who { person, role: Role::Member, address: None })
}

fn mute(person: &str, seconds: u64) -> Action {
    Action::Mute { person: person.into(), seconds }
}

/// Waits until `holds`, and answers how long it took.
async fn until(what: &str, holds: impl Fn() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !holds() {
        ensure!(began.elapsed() < Duration::from_secs(10), "{what}");
        sleep(Duration::from_millis(2)).await;
    }
    Ok(began.elapsed())
}

async fn an_action_is_in_force_on_the_other_gateway_within_250_ms((a, b, _): Two) -> Result<()> {
    let room = room("prompt");
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let person = format!("u{n}");
        a.act(&room, mute(&person, 0)).await?;
        let muted = || post(&b, &room, &person) == Err(Refusal::Muted { until: None });
        slowest = slowest.max(until("muted elsewhere", muted).await?);
        b.act(&room, Action::Unmute { person: person.as_str().into() }).await?;
        slowest = slowest.max(until("unmuted elsewhere", || post(&a, &room, &person).is_ok()).await?);
    }
    ensure!(slowest < EVERYWHERE, "it took {slowest:?}");
    Ok(())
}

async fn what_has_an_end_ends_by_itself((a, b, _): Two) -> Result<()> {
    let room = room("brief");
    a.act(&room, mute("bob", 1)).await?;
    until("muted", || post(&b, &room, "bob").is_err()).await?;
    let lasted = until("the end", || post(&b, &room, "bob").is_ok() && post(&a, &room, "bob").is_ok()).await?;
    ensure!(lasted > Duration::from_millis(500), "it lasted {lasted:?}");
    Ok(())
}

async fn those_concerned_are_told_on_every_gateway((a, b, _): Two) -> Result<()> {
    let room = room("told");
    let bob: Arc<str> = "bob".into();
    let actions = [
        (mute("bob", 0), Some(&bob), NewsCode::Muted, None),
        (Action::Unmute { person: bob.clone() }, Some(&bob), NewsCode::Muted, Some(0)),
        (Action::Kick { person: bob.clone() }, Some(&bob), NewsCode::Kicked, None),
        (Action::Slow { seconds: 3 }, None, NewsCode::Slow(3), None),
        (Action::Slow { seconds: 0 }, None, NewsCode::Slow(0), Some(0)),
        (Action::Readonly { on: true, seconds: 0 }, None, NewsCode::Readonly, None),
        (Action::Readonly { on: false, seconds: 0 }, None, NewsCode::Readonly, Some(0)),
    ];
    for (action, person, code, until) in actions {
        a.act(&room, action).await?;
        for gateway in [&a, &b] {
            let news = gateway.hear(&room).await?;
            ensure!((news.person.as_ref(), news.code, news.until) == (person, code, until), "{news:?}");
        }
    }
    Ok(())
}

async fn a_gateway_that_starts_later_knows_what_is_in_force((a, _, store): Two) -> Result<()> {
    let room = room("kept");
    a.act(&room, Action::Ban { person: "eve".into(), seconds: 0, address: false }).await?;
    a.act(&room, Action::Readonly { on: true, seconds: 0 }).await?;
    let late = Gateway::start(store).await?;
    ensure!(late.moderation.may_join(&room, "eve", None) == Err(Refusal::Banned { until: None }));
    ensure!(post(&late, &room, "bob") == Err(Refusal::ReadOnly { until: None }));
    Ok(())
}

async fn an_address_is_banned_with_its_person_and_let_go_with_them((a, b, _): Two) -> Result<()> {
    let (room, address): (_, IpAddr) = (room("from"), "192.0.2.7".parse()?);
    a.act(&room, Action::Ban { person: "eve".into(), seconds: 0, address: true }).await?;
    let Some(ban) = b.hear(&room).await?.addresses_of else { bail!("no address was asked for") };
    // A gateway that eve is connected to says from where.
    b.moderation.saw_address(&ban, address);
    until("the address is banned", || a.moderation.may_come(address).is_err()).await?;
    a.act(&room, Action::Unban { person: "eve".into() }).await?;
    until("the address is free", || a.moderation.may_come(address).is_ok() && b.moderation.may_come(address).is_ok())
        .await?;
    Ok(())
}

async fn a_slow_room_is_slow_over_both_gateways((a, b, _): Two) -> Result<()> {
    let room = room("slow");
    a.act(&room, Action::Slow { seconds: 60 }).await?;
    b.hear(&room).await?;
    ensure!(post(&b, &room, "bob").is_ok());
    let again = post(&b, &room, "bob");
    ensure!(matches!(again, Err(Refusal::SlowMode { retry }) if retry <= Duration::from_secs(60)), "{again:?}");
    ensure!(post(&b, &room, "ada").is_ok(), "each person has a pace of their own");
    a.hear(&room).await?;
    a.moderation.saw_post(&room, &"bob".into());
    ensure!(post(&a, &room, "bob").is_err(), "what came in at another gateway counts");
    Ok(())
}

async fn the_log_says_who_did_what_newest_first((a, b, _): Two) -> Result<()> {
    let room = room("log");
    a.act(&room, mute("bob", 600)).await?;
    b.act(&room, Action::Kick { person: "bob".into() }).await?;
    let log = a.moderator.log(None, 2).await?;
    let actions: Vec<_> = log.iter().map(|record| record.act.action.name()).collect();
    ensure!(actions == ["kick", "mute"], "{actions:?}");
    let [kick, mute] = log.as_slice() else { bail!("two were asked for") };
    ensure!(mute.until == Some(mute.time + 600_000) && kick.until.is_none());
    ensure!(kick.act.by.id.as_ref() == "m" && kick.act.room == room && kick.number == mute.number + 1);
    let older = a.moderator.log(Some(kick.number), 1).await?;
    ensure!(older.as_slice() == std::slice::from_ref(mute));
    Ok(())
}

/// Comes last: it fills the table.
async fn what_is_in_force_is_never_forgotten_for_something_new((a, _, _): Two) -> Result<()> {
    let full = room("full");
    let people: Vec<_> = (0..Kind::People.bound()).map(|n| format!("u{n}")).collect();
    let mut refused = 0;
    for some in people.chunks(100) {
        let acts = join_all(some.iter().map(|person| a.act(&full, mute(person, 0)))).await;
        for act in acts {
            match act {
                Ok(()) => {}
                Err(error) if matches!(error.downcast_ref(), Some(Refused::Full(_))) => refused += 1,
                Err(error) => return Err(error),
            }
        }
    }
    // Some were in force before, of the other behaviours.
    ensure!((1..10).contains(&refused), "{refused} were refused");
    let error = a.act(&full, mute("one more", 0)).await.expect_err("the table is full");
    ensure!(error.to_string().contains("too many people are restricted: at most 10000"), "{error:#}");
    // One that is there may change, and what has ended makes room.
    a.act(&full, mute("u0", 1)).await?;
    sleep(Duration::from_millis(1200)).await;
    a.act(&full, mute("one more", 0)).await?;
    ensure!(a.act(&full, mute("another", 0)).await.is_err());
    a.act(&full, Action::Unmute { person: "u1".into() }).await?;
    a.act(&full, mute("another", 0)).await
}
