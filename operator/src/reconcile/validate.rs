//! Refuses a ChatRoom that breaks its own rules (no client).
//!
//! The API server refuses such manifests already; this is for objects that an older definition let through. A generation
//! that was found valid is not checked again: compiling the rules costs more than the rest of a pass.

use crate::memory::{Memories, RoomKey};
use parlor_crds::{ChatRoom, ManifestError};

/// Checks the ChatRoom once per generation.
pub fn validate(memories: &Memories, room: &ChatRoom, key: &RoomKey) -> Result<(), ManifestError> {
    let generation = room.metadata.generation;
    let known = memories.with(key, |memory| memory.valid_generation);
    if generation.is_some() && known == generation {
        return Ok(());
    }
    parlor_crds::validate(room)?;
    memories.with(key, |memory| memory.valid_generation = generation);
    Ok(())
}
