//! Moderation: who may not post, join or come in, and which rooms are slow or read-only. In force on every gateway and in
//! every protocol.
//!
//! Decides whether a post, a join or an upgrade is refused ([`rules`]), and what a message may say ([`words`],
//! [`webhook`]). Keeps what moderators do for the whole ChatRoom
//! ([`store`]), and follows what they do elsewhere ([`keeper`]). Never writes to a socket, and never reads a token: who is a
//! moderator is known by the session or endpoint that asks. Called by the reactors, by the hub and by HTTP.
//!
//! A person is the id that messages show. What is in force holds in one room; a banned address may come nowhere. Ends are
//! the Redis server's time, which a gateway knows from its last read and its own elapsed time.

mod action;
pub mod files;
mod in_force;
pub mod keeper;
pub mod memory;
mod moderator;
pub mod record;
pub mod redis;
mod rules;
mod slow;
pub mod store;
pub mod webhook;
mod words;

pub use self::{
    action::{Act, Action, LONGEST, SLOWEST},
    files::{FileError, Files},
    in_force::{Filters, Moderation},
    moderator::{Actions, Moderator, Refused},
    record::Record,
    rules::{Change, Kind, News, NewsCode, Refusal, Table, Who},
    webhook::{Webhook, WebhookSettings},
    words::{Words, WordsError},
};
