//! Refuses a ChatRoom that breaks its own rules (no client).
//!
//! The API server refuses such manifests already; this is for objects that an older definition let through. The steps that
//! follow take a [`ValidRoom`], which only this module makes. A generation that was found valid is not checked again:
//! compiling the rules costs more than the rest of a pass.

use std::ops::Deref;

use parlor_crds::{ChatRoom, ManifestError};

use super::pass_cache::PassCaches;
use crate::chat_room_name::ChatRoomName;

/// A ChatRoom that keeps its own rules.
#[derive(Clone, Copy, Debug)]
pub struct ValidRoom<'a>(&'a ChatRoom);

impl<'a> ValidRoom<'a> {
    /// Checks the ChatRoom.
    pub fn check(room: &'a ChatRoom) -> Result<Self, Box<ManifestError>> {
        parlor_crds::validate(room).map(|()| Self(room)).map_err(Box::new)
    }
}

impl Deref for ValidRoom<'_> {
    type Target = ChatRoom;

    fn deref(&self) -> &ChatRoom {
        self.0
    }
}

/// Checks the ChatRoom once per generation.
pub fn validate<'a>(
    caches: &PassCaches,
    room: &'a ChatRoom,
    name: &ChatRoomName,
) -> Result<ValidRoom<'a>, Box<ManifestError>> {
    let generation = room.metadata.generation;
    if generation.is_some() && caches.with(name, |cache| cache.valid_generation) == generation {
        return Ok(ValidRoom(room));
    }
    let valid = ValidRoom::check(room)?;
    caches.with(name, |cache| cache.valid_generation = generation);
    Ok(valid)
}
