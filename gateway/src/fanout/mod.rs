//! The delivery path: connections on reactor threads, and the hub that feeds them from the bus.
//!
//! ```text
//! http ──socket──► reactor ──ToHub──► hub (one actor for each partition) ──► bus
//!                     ▲                │
//!                     └───ToReactor────┘   sealed chunks, answers
//! ```
//! Decides when bytes are written and who is too slow; never looks into a payload (sessions and encodings do).

pub mod address;
pub mod asker;
pub mod codec;
pub mod encoding;
pub mod hub;
pub mod messages;
pub mod moderating;
pub mod poster;
pub mod presence;
pub mod reactor;
pub mod recent;
pub mod session;
