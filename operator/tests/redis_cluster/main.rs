//! The planner and its client against real `redis-server` processes, each on a loopback address of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod clients;
mod healing;
mod pods;
mod resharding;
mod rotation;
mod tls;
