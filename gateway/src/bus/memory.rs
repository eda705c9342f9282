//! The bus of a single gateway: the same semantics as Redis, in memory.
