//! How one entry of a room looks: a message in its present form, or an amendment.

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::rooms::{
    Author, Change, Entry,
    present::{self, Present, Reaction},
};

/// Another person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Person<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> From<&'a Author> for Person<'a> {
    fn from(author: &'a Author) -> Self {
        Self { id: &author.id, name: &author.name }
    }
}

/// People, in their order.
pub(crate) fn people(authors: &[Author]) -> Vec<Person<'_>> {
    authors.iter().map(Person::from).collect()
}

/// An entry, for one reader or for all.
pub(crate) struct Item<'a> {
    entry: &'a Entry,
    viewer: Option<present::Person>,
}

impl<'a> Item<'a> {
    /// As one person is shown it, with which reactions are theirs, or as everyone is.
    pub(crate) fn for_person(entry: &'a Entry, viewer: Option<present::Person>) -> Self {
        Self { entry, viewer }
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Item").field(&self.entry.seq).finish()
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { entry, viewer } = self;
        let mut item = out.serialize_struct("Item", 9)?;
        item.serialize_field("seq", &entry.seq)?;
        item.serialize_field("time", &entry.time)?;
        item.serialize_field("from", &Person::from(&entry.from))?;
        if let Some(amendment) = &entry.amends {
            item.serialize_field("amends", &amendment.seq)?;
            match &amendment.change {
                Change::Edit => {
                    item.serialize_field("kind", "edit")?;
                    if !entry.is_gone() {
                        item.serialize_field::<RawValue>("body", &entry.content.body)?;
                    }
                }
                Change::Delete => item.serialize_field("kind", "delete")?,
                Change::React { emoji, remove } => {
                    item.serialize_field("kind", "react")?;
                    item.serialize_field("emoji", emoji)?;
                    item.serialize_field("remove", remove)?;
                }
            }
            return item.end();
        }
        if entry.is_gone() {
            item.serialize_field("deleted", &true)?;
            return item.end();
        }
        item.serialize_field::<RawValue>("body", &entry.content.body)?;
        if let Some(present) = &entry.present {
            let Present { edited, gone: _, changed: _, reactions } = &**present;
            if let Some(edited) = edited {
                item.serialize_field("edited", edited)?;
            }
            if !reactions.is_empty() {
                item.serialize_field("reactions", &Reactions { all: reactions, viewer: *viewer })?;
            }
        }
        item.end()
    }
}

/// Reactions by emoji.
struct Reactions<'a> {
    all: &'a [Reaction],
    viewer: Option<present::Person>,
}

#[derive(Serialize)]
struct Counted {
    count: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    you: bool,
}

impl Serialize for Reactions<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.all.len()))?;
        for Reaction { emoji, people } in self.all {
            let you = self.viewer.is_some_and(|viewer| people.iter().any(|(person, _)| *person == viewer));
            map.serialize_entry(emoji, &Counted { count: people.len(), you })?;
        }
        map.end()
    }
}
