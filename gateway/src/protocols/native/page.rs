//! A page of history as a frame. Decides how much of it fits, and which reactions are the reader's own.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{item::Item, reply::Reply};
use crate::rooms::{Author, Entry, Position, RoomName, present::Person};

/// Bytes of one history frame, beyond which older items are left for the next page. As much as a peer that does not read
/// may have waiting: 200 bytes of requests must not pin megabytes.
const PAGE_BYTES: usize = 64 * 1024;

/// A page of history on its way to the client.
pub(super) struct Page<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) room: &'a RoomName,
    pub(super) head: Position,
    pub(super) more: bool,
}

/// The newest items that fit one frame; what was left out is on the next page.
pub(super) fn history(page: Page<'_>, entries: &[Arc<Entry>], viewer: Option<&Author>) -> String {
    let left_out = entries.len() - fitting(entries, PAGE_BYTES);
    let viewer = viewer.map(|who| Person::of(&who.id));
    let items = entries[left_out..].iter().map(|entry| Item::for_person(entry, viewer)).collect();
    let Page { id, room, head: Position { epoch, seq }, more } = page;
    Reply::History { id, room: room.as_str(), epoch, seq, items, more: more || left_out > 0 }.text()
}

/// How many of the newest entries are shown together in `bytes`. The newest always is, so that paging continues.
pub(crate) fn fitting(entries: &[Arc<Entry>], bytes: usize) -> usize {
    let mut used = 0;
    let fits = |entry: &&Arc<Entry>| {
        let fits = used < bytes;
        used += entry.content.body.get().len();
        fits
    };
    entries.iter().rev().take_while(fits).count()
}
