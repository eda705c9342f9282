//! What changes a message that was said: edits, deletions and reactions, and the form that the message has then.
//!
//! Decides who may change what, and what a message becomes. Called by the bus in memory and by the room log; the append
//! script of the bus on Redis decides the same. Never decides how an amendment is stored or shown.

use std::{collections::VecDeque, sync::Arc};

use serde_json::value::RawValue;

use super::{
    Author, Content, Entry, ProtocolId, Role,
    present::{Amendment, Change, Person, Present},
};

/// Different emoji on one message: a line of them, as other chats allow.
pub const MOST_EMOJI: usize = 20;
/// People who react to one message with the same emoji. With the bound on emoji, a message and its reactions stay below
/// half a megabyte in memory.
pub const MOST_PEOPLE: usize = 1_000;

/// Why an amendment is refused; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the room's history has no such message")]
    NotFound,
    #[error("somebody else wrote the message")]
    Forbidden,
    #[error("the message has as many reactions as it can have")]
    Full,
}

/// What an amendment that may be made would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Changes,
    /// The reaction is there already, since this seq; or there is none to take back.
    Nothing {
        since: u64,
    },
}

/// Whether `from` may make the amendment to `target`, which is the entry at the amendment's seq if the history has it.
pub fn judge(
    target: Option<&Entry>,
    amendment: &Amendment,
    from: &Author,
    protocol: ProtocolId,
) -> Result<Effect, Refused> {
    let target = target.filter(|target| target.is_message()).ok_or(Refused::NotFound)?;
    match &amendment.change {
        Change::Edit | Change::Delete => {
            // Ids of one protocol say nothing about people of another.
            let own = target.from.id == from.id && target.protocol == protocol;
            if own || amendment.by == Role::Moderator { Ok(Effect::Changes) } else { Err(Refused::Forbidden) }
        }
        Change::React { emoji, remove } => {
            let reactions = target.present.as_deref().map_or(&[][..], |present| &present.reactions);
            let same = reactions.iter().find(|reaction| reaction.emoji == *emoji);
            let since = target.present.as_ref().and_then(|present| present.reacted(Person::of(&from.id), emoji));
            match (since, remove) {
                (Some(since), false) => Ok(Effect::Nothing { since }),
                (None, true) => Ok(Effect::Nothing { since: target.seq }),
                (Some(_), true) => Ok(Effect::Changes),
                (None, false) if same.is_none() && reactions.len() >= MOST_EMOJI => Err(Refused::Full),
                (None, false) if same.is_some_and(|same| same.people.len() >= MOST_PEOPLE) => Err(Refused::Full),
                (None, false) => Ok(Effect::Changes),
            }
        }
    }
}

/// Content without anything in it.
pub fn nothing() -> Content {
    Content { body: RawValue::from_string("{}".to_owned()).unwrap_or_default(), verbatim: None }
}

impl Entry {
    /// True for what somebody said and nobody deleted.
    pub fn is_message(&self) -> bool {
        self.amends.is_none() && !self.is_gone()
    }

    /// True when its content is gone.
    pub fn is_gone(&self) -> bool {
        self.present.as_ref().is_some_and(|present| present.gone)
    }

    /// Its content goes.
    pub(super) fn empty(&mut self) {
        self.content = nothing();
        self.present.get_or_insert_default().gone = true;
    }

    /// Becomes what an amendment makes of it. The same one twice, or one that is older than what the entry has become
    /// already, does no harm.
    pub fn amend(&mut self, by: &Entry, amendment: &Amendment) {
        if self.is_gone() {
            return;
        }
        let present = self.present.get_or_insert_default();
        match &amendment.change {
            Change::Edit | Change::Delete if by.seq <= present.changed => {}
            Change::Edit => {
                (present.edited, present.changed) = (Some(by.time), by.seq);
                self.content = Content { body: by.content.body.clone(), verbatim: None };
            }
            Change::Delete => {
                **present = Present { changed: by.seq, ..Present::default() };
                self.empty();
            }
            Change::React { emoji, remove: false } => present.react(Person::of(&by.from.id), emoji, by.seq),
            Change::React { emoji, remove: true } => present.take_back(Person::of(&by.from.id), emoji),
        }
    }
}

/// Makes of the entries of a room, ascending in seq, what one of them says; it may be among them. What an edit said goes
/// when another change follows it. Answers by how much the sum of the entries' sizes has changed.
pub fn fold(entries: &mut VecDeque<Arc<Entry>>, by: &Entry, size: fn(&Entry) -> usize) -> isize {
    let Some(amendment) = &by.amends else { return 0 };
    let target = find(entries, amendment.seq);
    let changed = target.and_then(|at| entries[at].present.as_ref()).map_or(0, |present| present.changed);
    let mut grown = 0;
    if let Some(at) = target {
        grown += change(&mut entries[at], size, |entry| entry.amend(by, amendment));
    }
    for at in out_of_date(entries, by, amendment, target.map(|_| changed)) {
        let same =
            entries[at].amends.as_ref().is_some_and(|other| other.seq == amendment.seq && other.change == Change::Edit);
        if same && !entries[at].is_gone() {
            grown += change(&mut entries[at], size, Entry::empty);
        }
    }
    grown
}

/// Where the edits may be that are out of date now. `changed`: the change that the message had before, 0 without one;
/// None: the message is not held.
fn out_of_date(
    entries: &VecDeque<Arc<Entry>>,
    by: &Entry,
    amendment: &Amendment,
    changed: Option<u64>,
) -> std::ops::Range<usize> {
    if matches!(amendment.change, Change::React { .. }) {
        return 0..0;
    }
    match changed {
        None => 0..entries.partition_point(|entry| entry.seq < by.seq),
        Some(changed) if changed == 0 || changed == by.seq => 0..0,
        // The one that came first.
        Some(changed) => find(entries, changed.min(by.seq)).map_or(0..0, |at| at..at + 1),
    }
}

fn change(entry: &mut Arc<Entry>, size: fn(&Entry) -> usize, into: impl FnOnce(&mut Entry)) -> isize {
    let before = size(entry);
    into(Arc::make_mut(entry));
    size(entry) as isize - before as isize
}

fn find(entries: &VecDeque<Arc<Entry>>, seq: u64) -> Option<usize> {
    entries.binary_search_by_key(&seq, |entry| entry.seq).ok()
}

/// Up to which seq entries may be other than they are, because an amendment that was made of them is lost; 0: none is.
pub(super) fn unsure(entries: &VecDeque<Arc<Entry>>, lost: &Entry) -> u64 {
    let Some(amendment) = &lost.amends else { return 0 };
    let emptied = |entry: &&Arc<Entry>| {
        let same = entry.amends.as_ref().is_some_and(|other| other.seq == amendment.seq);
        same && entry.is_gone()
    };
    entries.iter().rev().find(emptied).map_or(amendment.seq, |edit| edit.seq)
}

#[cfg(test)]
mod tests;
