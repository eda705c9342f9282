//! The accept loop, upgrades, HTTP endpoints, the admin port and the web page.

pub mod web;
