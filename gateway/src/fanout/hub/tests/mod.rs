//! The hub over the memory bus, with scripted reactors and a clock that moves only when everybody waits.

mod chaos;
mod delivery;
mod fake;
mod faults;
mod gone;
mod moderation;
mod new_rooms;
mod people;
mod resume;
mod world;
