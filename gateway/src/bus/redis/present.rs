//! What messages have become by amendments, as the append script keeps it beside a room's history.
//!
//! Decides how that and what the history holds make a page: `amendments.lua` has the form of what is read. Pure; called by
//! the reads of history.

use std::{collections::BTreeMap, str::from_utf8, sync::Arc};

use bytes::Bytes;
use fred::types::Value;

use super::{
    entry::{self, Stamp, Unreadable},
    stream_codec::{Found, left_out, written},
};
use crate::rooms::{
    Amendment, Change, Content, Entry, Epoch,
    present::{Person, Present, Reaction},
};

/// Characters of a seq, and of a person.
const HEX: usize = 16;

/// What became of one message.
#[derive(Debug, Default)]
struct Form {
    /// The message, if it was edited or deleted: then it is no longer in the history itself.
    message: Option<Entry>,
    present: Present,
}

/// What became of the messages of a room that have changed.
#[derive(Debug, Default)]
pub(super) struct Forms(BTreeMap<u64, Form>);

/// The first member that there can be about a message.
pub(super) fn place(seq: u64) -> String {
    format!("{seq:016x}")
}

impl Forms {
    /// Reads members of the set. What is damaged is left out; what a newer release wrote is refused.
    pub(super) fn read(members: Vec<Value>) -> Result<Self, Unreadable> {
        let mut forms = Self::default();
        for member in members {
            forms.take(member)?;
        }
        for form in forms.0.values_mut() {
            form.present.reactions.iter_mut().for_each(|reaction| reaction.people.sort_by_key(|(_, since)| *since));
            form.present.reactions.sort_by_key(|reaction| reaction.people.first().map(|(_, since)| *since));
        }
        Ok(forms)
    }

    fn take(&mut self, member: Value) -> Result<(), Unreadable> {
        let Some(bytes) = member.into_bytes().filter(|bytes| bytes.len() > HEX) else { return Ok(()) };
        let seq = from_utf8(&bytes[..HEX]).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let Some(seq) = seq else { return Ok(()) };
        let taken = match bytes[HEX] {
            b'f' => self.changed(seq, &bytes.slice(HEX + 1..)),
            b'r' => self.reaction(seq, &bytes[HEX + 1..]).ok_or(Unreadable::Damaged),
            // Of a newer release, which lets this one read what it understands.
            _ => Ok(()),
        };
        if taken == Err(Unreadable::Damaged) {
            left_out(seq, 0);
            return Ok(());
        }
        taken
    }

    fn changed(&mut self, seq: u64, rest: &Bytes) -> Result<(), Unreadable> {
        let mut parts = rest.splitn(6, |byte| *byte == b' ');
        let kind = parts.next().ok_or(Unreadable::Damaged)?;
        let mut number = || from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
        let numbers = number().zip(number()).zip(number().zip(number()));
        let ((at, changed), (time, epoch)) = numbers.ok_or(Unreadable::Damaged)?;
        let stored = rest.slice_ref(parts.next().ok_or(Unreadable::Damaged)?);
        if !written(seq, time) || !written(changed, at) {
            return Err(Unreadable::Damaged);
        }
        let message = entry::decode(stored, Stamp { seq, epoch: Epoch(epoch), time })?;
        let form = self.0.entry(seq).or_default();
        form.message = Some(message);
        form.present.changed = changed;
        match kind {
            b"e" => form.present.edited = Some(at),
            b"d" => form.present.gone = true,
            _ => return Err(Unreadable::Damaged),
        }
        Ok(())
    }

    fn reaction(&mut self, seq: u64, rest: &[u8]) -> Option<()> {
        let (emoji, rest) = rest.split_at(rest.iter().position(|byte| *byte == 0)?);
        let (person, since) = from_utf8(rest.get(1..)?).ok()?.split_at_checked(HEX)?;
        let person = Person(u64::from_str_radix(person, 16).ok()?);
        let (emoji, since) = (from_utf8(emoji).ok()?, since.parse().ok()?);
        let reactions = &mut self.0.entry(seq).or_default().present.reactions;
        match reactions.last_mut().filter(|reaction| &*reaction.emoji == emoji) {
            Some(reaction) => reaction.people.push((person, since)),
            None => reactions.push(Reaction { emoji: emoji.into(), people: vec![(person, since)] }),
        }
        Some(())
    }

    /// Takes what another read brought about other messages.
    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The messages before `low` that edits among `found` belong to: what the edits say is kept with them.
    pub(super) fn wanted(found: &Found, low: u64) -> Vec<u64> {
        let edits = found.iter().flatten().filter_map(|entry| edit(entry)).map(|amendment| amendment.seq);
        let mut wanted: Vec<_> = edits.filter(|seq| *seq < low).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// What was `found` of the history, newest first, as it is now: with the messages from `low` on that only this has.
    pub(super) fn apply(self, mut found: Found, low: u64) -> Found {
        for entry in found.iter_mut().flatten() {
            if edit(entry).is_some() {
                self.fill(Arc::make_mut(entry));
            } else if let Some(form) = self.0.get(&entry.seq) {
                Arc::make_mut(entry).present = Some(Box::new(form.present.clone()));
            }
        }
        let changed = self.0.into_iter().filter(|(seq, _)| *seq >= low);
        let changed = changed.filter_map(|(_, Form { message, present })| {
            message.map(|message| Arc::new(Entry { present: Some(Box::new(present)), ..message }))
        });
        merge(found, changed.collect())
    }

    /// An edit says what its message says now, unless another change followed.
    fn fill(&self, edit: &mut Entry) {
        let form = edit.amends.as_ref().and_then(|amendment| self.0.get(&amendment.seq));
        let newest = form.filter(|form| form.present.changed == edit.seq && !form.present.gone);
        match newest.and_then(|form| form.message.as_ref()) {
            Some(message) => edit.content = Content { body: message.content.body.clone(), verbatim: None },
            None => edit.present.get_or_insert_default().gone = true,
        }
    }
}

/// The amendment that an entry is, if it is an edit.
fn edit(entry: &Entry) -> Option<&Amendment> {
    entry.amends.as_ref().filter(|amendment| amendment.change == Change::Edit)
}

/// What the history has, newest first, with messages that have changed, oldest first. Where both have one, it changed between
/// two reads.
fn merge(found: Found, mut changed: Vec<Arc<Entry>>) -> Found {
    let mut all = Vec::with_capacity(found.len() + changed.len());
    for entry in found {
        if let Some(entry) = &entry {
            while let Some(newer) = changed.pop_if(|newer| newer.seq > entry.seq) {
                all.push(Some(newer));
            }
        }
        let seq = entry.as_ref().map(|entry| entry.seq);
        let instead = changed.pop_if(|newer| Some(newer.seq) == seq);
        all.push(instead.or(entry));
    }
    all.extend(changed.into_iter().rev().map(Some));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Role, amendments::nothing, model};

    fn seqs(found: &Found) -> Vec<Option<u64>> {
        found.iter().map(|entry| entry.as_ref().map(|entry| entry.seq)).collect()
    }

    fn changed(seq: u64, kind: &str, change: u64) -> Value {
        let stored = entry::encode_again(&model::entry(seq, 3));
        Value::Bytes([format!("{seq:016x}f{kind} 90 {change} 5 3 ").as_bytes(), &stored].concat().into())
    }

    fn reaction(seq: u64, emoji: &str, person: u64, since: u64) -> Value {
        Value::Bytes(format!("{seq:016x}r{emoji}\0{person:016x}{since}").into_bytes().into())
    }

    fn edit_of(target: u64, seq: u64) -> Arc<Entry> {
        let mut entry = model::entry(seq, 3);
        let edit = Arc::make_mut(&mut entry);
        edit.amends = Some(Amendment { seq: target, change: Change::Edit, by: Role::Member });
        edit.content = nothing();
        entry
    }

    #[test]
    fn a_page_has_what_the_history_has_and_what_was_changed() {
        let forms = Forms::read(vec![changed(2, "d", 9), changed(4, "e", 8), reaction(5, "👍", 7, 6)]).unwrap();
        let found = vec![Some(model::entry(6, 3)), None, Some(model::entry(5, 3)), Some(model::entry(3, 3))];
        let page = forms.apply(found, 2);
        assert_eq!(seqs(&page), [Some(6), None, Some(5), Some(4), Some(3), Some(2)]);
        let present = |at: usize| page[at].as_ref().unwrap().present.as_deref().unwrap();
        assert_eq!(present(2).reacted(Person(7), "👍"), Some(6));
        assert_eq!((present(3).edited, present(3).changed), (Some(90), 8));
        assert!(present(5).gone);
    }

    #[test]
    fn what_changed_between_two_reads_is_shown_once_and_as_it_is_now() {
        let forms = Forms::read(vec![changed(2, "d", 9)]).unwrap();
        let page = forms.apply(vec![Some(model::entry(2, 3)), Some(model::entry(1, 3))], 1);
        assert_eq!(seqs(&page), [Some(2), Some(1)]);
        assert!(page[0].as_ref().unwrap().is_gone());
    }

    #[test]
    fn only_the_newest_edit_says_what_its_message_says() {
        let found = vec![Some(edit_of(1, 9)), Some(edit_of(1, 8))];
        assert_eq!(Forms::wanted(&found, 8), [1]);
        let mut forms = Forms::default();
        forms.add(Forms::read(vec![changed(1, "e", 9)]).unwrap());
        let page = forms.apply(found, 8);
        assert_eq!(seqs(&page), [Some(9), Some(8)], "the message itself is not on the page");
        let (newest, older) = (page[0].as_ref().unwrap(), page[1].as_ref().unwrap());
        assert_eq!((newest.content.body.get(), newest.is_gone()), (r#"{"text":"1"}"#, false));
        assert!(older.is_gone());
    }

    #[test]
    fn reactions_are_in_the_order_in_which_they_came() {
        let forms =
            Forms::read(vec![reaction(1, "❤", 4, 9), reaction(1, "👍", 4, 8), reaction(1, "👍", 5, 7)]).unwrap();
        let page = forms.apply(vec![Some(model::entry(1, 3))], 1);
        let present = page[0].as_ref().unwrap().present.as_ref().unwrap();
        let shown: Vec<_> =
            present.reactions.iter().map(|reaction| (&*reaction.emoji, reaction.people.len())).collect();
        assert_eq!(shown, [("👍", 2), ("❤", 1)]);
    }

    #[test]
    fn damaged_members_are_left_out() {
        let members =
            ["", "x", "00000000000000zzf", "0000000000000001fe 1 2 3", "0000000000000001r👍", "0000000000000001?"];
        let forms = Forms::read(members.map(Value::from).into()).unwrap();
        assert_eq!(seqs(&forms.apply(Vec::new(), 1)), []);
    }
}
