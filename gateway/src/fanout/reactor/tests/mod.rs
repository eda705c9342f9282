//! Real sockets and reactor threads, with a scripted session and a hub played by the test.

mod delivery;
mod life;
mod limits;
mod moderation;
mod rig;
mod soak;
