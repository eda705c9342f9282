//! Posts that name the one before them, in `follows`: each is stored after it, or not at all.
//!
//! Decides which of them goes to the bus now, which waits for the one before, and which is refused because that one was.
//! So a client can have several posts of a room under way and keep their order, whatever fails. Never reads a post.
//! Called by the session alone.

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use crate::{fanout::session::NewPost, rooms::RoomName};

/// Posts of one connection that wait for the one before them, at most: clients learn it when they join.
pub(super) const POSTS: usize = 16;
/// Bytes of their bodies, at most: as much as a page of history that a peer does not read.
const BYTES: usize = 64 * 1024;

/// What becomes of a post.
#[derive(Debug)]
pub(super) enum Turn {
    Now(NewPost),
    /// Kept until the one before it is stored.
    Waits,
    /// The one before it was refused, or too much waits.
    Refused,
}

#[derive(Debug)]
struct Waiting {
    follows: Arc<str>,
    post: NewPost,
}

/// The order of one connection's posts.
#[derive(Debug, Default)]
pub(super) struct PostOrder {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// The key of the last post that was refused, by room: at most the rooms of the connection.
    refused: SmallVec<[(RoomName, Arc<str>); 1]>,
}

impl PostOrder {
    /// Takes a post. `under_way` tells whether the one that it follows is not answered yet.
    pub(super) fn take(&mut self, post: NewPost, follows: Option<Arc<str>>, under_way: bool) -> Turn {
        let Some(follows) = follows else {
            self.forget(&post.room);
            return Turn::Now(post);
        };
        let refused = self.refused.iter().any(|(room, key)| *room == post.room && *key == follows);
        if !refused && !under_way {
            return Turn::Now(post);
        }
        let size = size(&post);
        if refused || self.waiting.len() >= POSTS || self.bytes + size > BYTES {
            self.refuse(&post.room, post.key.as_ref());
            return Turn::Refused;
        }
        self.bytes += size;
        self.waiting.push_back(Waiting { follows, post });
        Turn::Waits
    }

    /// A post was stored: those that waited for it are next.
    pub(super) fn stored(&mut self, room: &RoomName, key: &Arc<str>) -> Vec<NewPost> {
        std::iter::from_fn(|| self.next(room, key)).collect()
    }

    /// A post was refused: the tags of those that waited for it, directly or not, which are refused with it.
    pub(super) fn failed(&mut self, room: &RoomName, key: &Arc<str>) -> Vec<u64> {
        let (mut tags, mut last) = (Vec::new(), Arc::clone(key));
        let mut keys = vec![Arc::clone(key)];
        while let Some(key) = keys.pop() {
            while let Some(post) = self.next(room, &key) {
                tags.push(post.tag);
                if let Some(key) = post.key {
                    last = Arc::clone(&key);
                    keys.push(key);
                }
            }
        }
        self.refuse(room, Some(&last));
        tags
    }

    /// The connection left the room.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.refused.retain(|(other, _)| other != room);
    }

    fn refuse(&mut self, room: &RoomName, key: Option<&Arc<str>>) {
        self.forget(room);
        self.refused.extend(key.map(|key| (room.clone(), Arc::clone(key))));
    }

    fn next(&mut self, room: &RoomName, key: &Arc<str>) -> Option<NewPost> {
        let at = self.waiting.iter().position(|one| one.post.room == *room && one.follows == *key)?;
        let Waiting { post, .. } = self.waiting.remove(at)?;
        self.bytes -= size(&post);
        Some(post)
    }
}

fn size(post: &NewPost) -> usize {
    post.content.body.get().len()
}
