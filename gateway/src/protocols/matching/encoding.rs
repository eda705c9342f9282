//! How entries of an inbox look: the frames that were posted, as they are.

use std::sync::Arc;

use crate::{
    fanout::encoding::{ChunkWriter, Encoding},
    protocols::json,
    rooms::{Entry, Epoch, ProtocolId, RoomName, Signal},
};

#[derive(Debug)]
pub(super) struct InboxEncoding;

impl Encoding for InboxEncoding {
    fn entries(&self, _: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        for entry in entries.iter().filter(|entry| entry.protocol == ProtocolId::Match) {
            // Nothing else is ever posted; a store that was tampered with must not cost its readers their connections.
            if let Some(frame) = entry.content.verbatim.as_deref().filter(|frame| json::is_json(frame)) {
                out.text(frame);
                // The session notes what its client was written.
                out.notice();
            }
        }
    }

    fn signal(&self, _: &RoomName, _: &Signal, _: &mut ChunkWriter) {}
}
