//! What sessions of both dialects want of the directory.

use crate::{
    directory::{self, people::Query},
    fanout::session::{Ask, Effect, Effects},
};

pub(super) fn ask(query: Query, out: &mut Effects) {
    out.push(Effect::Ask(Ask::Directory(directory::Query::People(query))));
}

pub(super) fn tell(query: Query, out: &mut Effects) {
    out.push(Effect::Tell(directory::Query::People(query)));
}
