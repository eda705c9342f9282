//! The ChatRoom API: types, schema, validation, and the contract between operator and gateway.

pub mod contract;
