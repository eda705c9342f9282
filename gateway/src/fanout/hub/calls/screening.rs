//! Posts that a filter from outside is asked about before they are appended.
//!
//! Decides their order: a connection's posts are asked about one after the other, and leave in the order in which they came;
//! those of others do not wait for them. Never decides what is refused.

use std::collections::{HashMap, VecDeque};

use super::{
    super::call::{BusAccess, BusCall, Failure},
    append::PostSender,
};
use crate::{
    fanout::messages::ConnectionId,
    moderation::Refusal,
    rooms::{Post, Unavailable},
};

/// Posts of a partition that wait for an answer about them or about one before them.
const WAITING: usize = 1024;

/// The posts that are not through yet.
#[derive(Debug, Default)]
pub(crate) struct Screening {
    /// Behind the one that is asked about.
    behind: HashMap<ConnectionId, VecDeque<(PostSender, Post)>>,
    waiting: usize,
}

/// A question about a post.
pub(crate) struct ScreenCall {
    sender: PostSender,
    post: Post,
}

/// What is to become of it.
pub(crate) struct ScreenDone {
    sender: PostSender,
    result: Result<Post, Refusal>,
}

/// What follows from an answer.
pub(crate) struct Screened {
    pub(crate) sender: PostSender,
    pub(crate) result: Result<Post, Refusal>,
    /// About the next post of the connection.
    pub(crate) next: Option<ScreenCall>,
}

impl Screening {
    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes a post; answers the question to ask now, if it is this one's turn. Gives the sender back when too many wait.
    pub(crate) fn offer(&mut self, sender: PostSender, post: Post) -> Result<Option<ScreenCall>, PostSender> {
        if self.waiting >= WAITING {
            return Err(sender);
        }
        self.waiting += 1;
        match self.behind.get_mut(&sender.to) {
            Some(behind) => {
                behind.push_back((sender, post));
                Ok(None)
            }
            None => {
                self.behind.insert(sender.to, VecDeque::new());
                Ok(Some(ScreenCall { sender, post }))
            }
        }
    }

    /// Takes an answer.
    pub(crate) fn done(&mut self, ScreenDone { sender, result }: ScreenDone) -> Screened {
        self.waiting -= 1;
        let next = self.behind.get_mut(&sender.to).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.behind.remove(&sender.to);
        }
        Screened { sender, result, next: next.map(|(sender, post)| ScreenCall { sender, post }) }
    }
}

impl BusCall for ScreenCall {
    type Done = ScreenDone;

    async fn run(self, BusAccess { moderator, .. }: &BusAccess) -> ScreenDone {
        let Self { sender, post } = self;
        ScreenDone { sender, result: moderator.moderation().screen(post).await }
    }
}

impl Failure for ScreenDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        fanout::messages::ReactorId,
        rooms::{Author, Content, Origin, ProtocolId, RoomName},
    };

    fn sender(slot: u32, tag: u64) -> PostSender {
        PostSender {
            to: ConnectionId { reactor: ReactorId(0), slot, generation: 1 },
            tag,
            if_gone: None,
            outside: None,
        }
    }

    fn post() -> Post {
        Post {
            room: RoomName::new("lobby").unwrap(),
            from: Author { id: "u1".into(), name: "ada".into(), extra: None },
            protocol: ProtocolId::ALL[0],
            key: "k".into(),
            content: Content { body: RawValue::from_string("{}".into()).unwrap(), verbatim: None },
            amends: None,
            durable: false,
            origin: Origin::default(),
        }
    }

    fn answer(ScreenCall { sender, post }: ScreenCall) -> ScreenDone {
        ScreenDone { sender, result: Ok(post) }
    }

    #[test]
    fn posts_of_a_connection_are_asked_about_one_by_one_and_those_of_others_do_not_wait() {
        let mut screening = Screening::default();
        let first = screening.offer(sender(1, 1), post()).unwrap().expect("its turn");
        assert!(screening.offer(sender(1, 2), post()).unwrap().is_none());
        assert!(screening.offer(sender(1, 3), post()).unwrap().is_none());
        let other = screening.offer(sender(2, 1), post()).unwrap().expect("nobody before it");
        assert!(screening.done(answer(other)).next.is_none());
        let mut tags = Vec::new();
        let mut next = Some(first);
        while let Some(call) = next {
            let screened = screening.done(answer(call));
            tags.push(screened.sender.tag);
            next = screened.next;
        }
        assert_eq!(tags, [1, 2, 3]);
        assert!(screening.is_empty() && screening.behind.is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let mut screening = Screening::default();
        for tag in 0..WAITING as u64 {
            assert!(screening.offer(sender(1, tag), post()).is_ok());
        }
        assert!(screening.offer(sender(2, 0), post()).is_err());
    }
}
