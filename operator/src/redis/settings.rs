//! The configuration file of every managed Redis server.
//!
//! One constant text, the same for all ChatRooms, so that nothing but the image or the storage ever restarts a server.

/// Name of the file in its ConfigMap.
pub const FILE: &str = "redis.conf";

/// What every server runs with; addresses and the data directory come from the command line.
///
/// * Node timeout 3 s: a dead primary is replaced within about 5 s.
/// * No full coverage: a lost shard must not silence the others.
/// * No automatic replica migration: the operator alone decides who copies whom.
/// * Validity factor 1 with a ping every second: a replica that was left behind for longer than 4 s is not elected.
/// * The backlog of 64 MiB lets a replica that was away for a while continue instead of copying everything.
pub const CONF: &str = "\
port 6379
protected-mode no
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 3000
cluster-require-full-coverage no
cluster-allow-replica-migration no
cluster-replica-validity-factor 1
repl-ping-replica-period 1
repl-backlog-size 64mb
repl-diskless-sync-delay 0
appendonly yes
appendfsync everysec
save \"\"
maxmemory-policy noeviction
";
