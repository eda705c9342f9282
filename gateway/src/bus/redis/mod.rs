//! The bus of a fleet: Redis streams, one partition a hash tag.
