//! Servers receive the password, and those that do not know each other at their present addresses are introduced.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Step,
    command::Command,
    picture::{Live, Picture},
    run_if_any, run_or_wait,
};
use crate::redis::{
    journal::{Journal, Kind},
    passwords::{Doors, Which},
};

/// Pause between two orders to read a certificate again: a kubelet writes it within some 90 s.
const RELOAD_AGAIN: Duration = Duration::from_secs(15);

impl<'a> Picture<'a> {
    /// Servers that were started before there was a password receive it, and every server lets in whom it should. Only then does
    /// anybody present another password than before.
    pub(super) fn protect(&self) -> Option<Step> {
        let told = |fits: fn(&Doors) -> bool, command: Command| {
            let these = self.live.iter().filter(move |one| fits(&one.view.doors));
            these.map(move |one| one.order(command.clone()))
        };
        let open = told(|doors| doors.open, Command::Protect);
        let lacking = told(|doors| doors.lacks_current && !doors.open, Command::Admit(Which::Current))
            .chain(told(|doors| doors.lacks_second && !doors.open, Command::Admit(Which::Second)));
        run_if_any(|count| format!("give {count} servers their password"), open)
            .or_else(|| run_if_any(|count| format!("let a second password in at {count} servers"), lacking))
            .or_else(|| {
                let another = told(|doors| doors.presents_another, Command::PresentCurrent);
                run_if_any(|count| format!("let {count} servers present the current password"), another)
            })
    }

    /// The retired password is forgotten once everybody has answered, because one that is absent may still present it.
    pub(super) fn retire_password(&self) -> Option<Step> {
        let lax = self.live.iter().filter(|one| one.view.doors.lets_retired_in);
        let orders = lax.map(|one| one.order(Command::AdmitNoOther));
        run_if_any(|count| format!("let the former password in no more at {count} servers"), orders)
    }

    /// A renewed certificate is loaded, once the kubelet has written it into the pods. Nothing waits for that: the former one is
    /// good for a long time yet.
    pub(super) fn renew_certificates(&self, journal: &Journal) -> Option<Step> {
        let old = self.live.iter().filter(|one| one.view.certificate_is_old);
        let due = old.filter(|one| !journal.is_under_way(one.pod, Kind::Reload, RELOAD_AGAIN));
        let orders = due.map(|one| one.order(Command::ReloadCertificate));
        run_if_any(|count| format!("let {count} servers load their renewed certificate"), orders)
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
