//! The script that forgets rooms: what goes into it and what comes out.
//!
//! Decides nothing; the script checks each room. Pure; called by the garbage collector.

use std::time::Duration;

use fred::types::Value;

use super::{
    super::{FEW, History},
    answers::{FORMAT, refused},
};
use crate::{
    redis::{
        connection::{Command, Fault, list, number},
        keys::Keys,
    },
    rooms::{PARTITIONS, Partition},
};

const FORGET: &str = include_str!("forget.lua");

/// The call of the script that forgets those of `rooms` that are idle at `time`; also those of few messages in which
/// nothing was said for as long as `early`, if any.
pub(super) fn forget(
    keys: &Keys,
    partition: Partition,
    time: Option<u64>,
    history: History,
    early: Option<Duration>,
    rooms: &[String],
) -> Command {
    let (age, early) = (history.age.as_millis() as u64, early.map_or(0, |early| early.as_millis() as u64));
    Command::new("EVAL")
        .arg(FORGET)
        .arg(6_u32)
        .args([keys.meta(partition), keys.log(partition), keys.heads(partition)])
        .args([keys.members(partition), keys.leases(partition), keys.gateways(partition)])
        .args([FORMAT, PARTITIONS.into(), time.unwrap_or(0), age, FEW, early].map(|number| number.to_string()))
        .args(rooms.iter().cloned())
}

/// Reads an answer of the script that forgets: how many rooms are gone.
pub(super) fn forgotten(value: Value) -> Result<u64, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    match values.get(1).and_then(number) {
        Some(gone) if word == "OK" => Ok(gone),
        _ => Err(refused(&word, values.get(1))),
    }
}
