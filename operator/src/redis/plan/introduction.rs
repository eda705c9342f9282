//! Servers receive the password, and those that do not know each other at their present addresses are introduced.

use super::command::Command;
use super::picture::{Live, Picture};
use super::{Step, run_if_any, run_or_wait};
use std::collections::BTreeSet;

impl<'a> Picture<'a> {
    /// Servers that were started before there was a password receive it.
    pub(super) fn protect(&self) -> Option<Step> {
        let open = self.live.iter().filter(|one| one.view.open);
        run_if_any(|count| format!("give {count} servers their password"), open.map(|one| one.order(Command::Protect)))
    }

    /// Introduces everyone to the seed first, then those who still do not know each other.
    pub(super) fn meet(&self, seed: &Live<'a>) -> Option<Step> {
        let mutual = |one: &Live<'_>, other: &Live<'_>| one.knows(other) && other.knows(one);
        let apart_from = |one: &Live<'a>| {
            let others = self.live.iter().filter(|other| other.me.id != one.me.id && !mutual(one, other));
            others.map(|other| (*one, *other)).collect::<Vec<_>>()
        };
        let mut apart = apart_from(seed);
        if apart.is_empty() {
            apart = self.live.iter().flat_map(apart_from).collect();
        }
        let (first, _) = apart.first()?;
        let newcomers: BTreeSet<&str> = apart.iter().map(|(_, other)| other.pod).collect();
        let why = format!("introduce {} of {} servers, beginning with {}", newcomers.len(), self.live.len(), first.pod);
        let idle = apart.iter().filter(|(one, other)| !one.is_meeting(other) && !other.is_meeting(one));
        run_or_wait(
            why,
            "servers get to know each other",
            idle.map(|(one, other)| one.order(Command::Meet(other.ip.into()))),
        )
    }
}
