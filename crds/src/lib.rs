//! The ChatRoom API: types, schema, validation, and the contract between operator and gateway.
//!
//! The Rust types in [`chatroom`] are the one source: `chatroom.yaml`, the checks that the API server makes, and the
//! checks that a gateway makes on a file ([`load`]) all come from them.

pub mod chatroom;
mod check;
pub mod contract;
pub mod manifest;
mod requests;
pub mod schema;
mod violation;

pub use chatroom::{ChatRoom, ChatRoomSpec, ChatRoomStatus, Period};
pub use manifest::{ManifestError, load, validate, validate_update};
pub use schema::crd;
pub use violation::Violation;
