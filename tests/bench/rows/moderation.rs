//! What moderation, the rate limit and the word filter cost a message that passes them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use parlor_gateway::{
    clock::Clock,
    moderation::{Action, Moderation, Moderator, Who, Words, keeper},
    rooms::{Author, Role, RoomName, rates::Rate},
};
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::Bench;
use crate::{
    generator::Faults,
    results::{Section, Target},
    sample::median,
};

/// People who are muted in the room, and words in the list.
const MUTED: usize = 1000;
const WORDS: usize = 1000;
/// Most that a message may cost, in nanoseconds.
const MOST: f64 = 300.0;

const TEXT: &str =
    r#"{"text":"shall we meet at the station at noon, or is that too early for you? I would be there anyway."}"#;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let room = RoomName::new("lobby")?;
    let quiet = Moderation::in_memory(Clock::start(), std::sync::Arc::default());
    let moderation = bench.runtime.block_on(restricted(&room))?;
    let words: String = (0..WORDS).map(|n| format!("forbidden{n}\n")).collect();
    moderation.use_words(Words::read(words.as_bytes())?);
    let plain = RawValue::from_string(TEXT.to_owned())?;
    let number = bench.scale.pick(2_000_000, 200_000);
    let (mut nothing, mut everything) = (Vec::new(), Vec::new());
    for round in 1..=bench.scale.rounds() {
        nothing.push(each(number, &quiet, &room, &plain)?);
        everything.push(each(number, &moderation, &room, &plain)?);
        println!("{round}/{} moderation", bench.scale.rounds());
    }
    let (nothing, everything) = (median(nothing), median(everything));
    let row = |what: &str, nanos: f64| vec![what.to_owned(), format!("{nanos:.0} ns")];
    Ok(Section {
        title: "Moderation, limits and filter",
        about: format!(
            "A message of {} bytes that passes: its room has {MUTED} muted people, the list {WORDS} words.",
            TEXT.len()
        ),
        header: &["in force", "CPU a message"],
        rows: vec![row("the rate limit alone", nothing), row("moderation, rate limit and word filter", everything)],
        targets: vec![Target::most("15. moderation, limits and filter together", MOST, everything, " ns")],
        faults: Faults::default(),
    })
}

/// A room in which others are muted.
async fn restricted(room: &RoomName) -> Result<std::sync::Arc<Moderation>> {
    let moderation = Moderation::in_memory(Clock::start(), std::sync::Arc::default());
    let keeper = tokio::spawn(keeper::keep(moderation.clone(), |_| async {}));
    let moderator = Moderator::new(moderation.clone());
    let by = Author { id: "m".into(), name: "mod".into(), extra: None };
    for n in 0..MUTED {
        moderator.act(&by, room, Action::Mute { person: format!("u{n}").into(), seconds: 0 }).await?;
    }
    let last = format!("u{}", MUTED - 1);
    while moderation.may_post(room, who(&last)).is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    keeper.abort();
    Ok(moderation)
}

fn who(person: &str) -> Who<'_> {
    Who { person, role: Role::Member, address: "192.0.2.1".parse().ok() }
}

/// Nanoseconds of one message.
fn each(number: usize, moderation: &Moderation, room: &RoomName, body: &RawValue) -> Result<f64> {
    let author = Author { id: "somebody".into(), name: "ada".into(), extra: None };
    let (rate, mut full) = (Rate::per_second(1_000_000), 0);
    let mut passed = 0;
    let began = Instant::now();
    for n in 0..number {
        let limited = rate.take(&mut full, 1 + n as u64 * 10);
        let allowed = moderation.may_post(black_box(room), who(&author.id));
        let fit = moderation.may_say(room, &author, black_box(body));
        passed += usize::from(limited.is_ok() && allowed.is_ok() && fit.is_ok());
    }
    let took = began.elapsed();
    ensure!(passed == number, "{passed} of {number} passed");
    Ok(took.as_nanos() as f64 / number as f64)
}
