//! The configuration file of every managed Redis server.
//!
//! A function of the memory that a server may use, and of nothing else. A change of this text restarts the servers one by one,
//! because its digest is part of their pod template.

/// Name of the file in its ConfigMap.
pub const FILE: &str = "redis.conf";
/// Directory in which the server finds [`PASSWORD_FILE`].
pub const SECRET_DIR: &str = "/etc/redis-secret";
/// Name of the file that sets the password, which is in a Secret and not here.
pub const PASSWORD_FILE: &str = "password.conf";

/// What every server runs with; addresses and the data directory come from the command line.
///
/// * Node timeout 3 s: a dead primary is replaced within about 5 s.
/// * Replication timeout 10 s: a replica notices a dead link soon, and a first copy of many gigabytes still fits, because data
///   flows all the while.
/// * No full coverage: a lost shard must not silence the others.
/// * No automatic replica migration: the operator alone decides who copies whom.
/// * Validity factor 1 with a ping every second: a replica that was left behind for longer than 4 s is not elected.
/// * No eviction: a full server refuses messages rather than losing others.
const BASE: &str = "\
port 6379
protected-mode no
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 3000
cluster-require-full-coverage no
cluster-allow-replica-migration no
cluster-replica-validity-factor 1
repl-ping-replica-period 1
repl-timeout 10
repl-diskless-sync-delay 0
appendonly yes
appendfsync everysec
save \"\"
maxmemory-policy noeviction
";

/// The largest backlog: it lets a replica that was gone for a while continue instead of copying everything.
const MAX_BACKLOG: u64 = 64 << 20;

/// The configuration of a server whose container is killed when it uses more than `memory` bytes.
///
/// Data and backlog may use 70 % of them. The rest is for what Redis does not count: what a fork copies while the log is
/// rewritten, buffers of replicas that copy everything, fragmentation. A server that restarts therefore always fits.
pub fn conf(memory: u64) -> String {
    let backlog = (memory / 8).min(MAX_BACKLOG);
    let replica_buffer = memory / 8;
    format!(
        "{BASE}maxmemory {}\nrepl-backlog-size {backlog}\nclient-output-buffer-limit replica {replica_buffer} 0 0\n",
        memory / 10 * 7
    )
}

/// Directory in which the server finds its certificate.
pub const TLS_DIR: &str = "/etc/redis-tls";
/// Files in it.
pub const CERTIFICATE: &str = "tls.crt";
/// The key of the certificate.
pub const CERTIFICATE_KEY: &str = "tls.key";
/// Whom servers trust.
pub const AUTHORITY: &str = "ca.crt";

/// The lines of [`FILE`] that make everybody speak TLS. Clients prove themselves by the password; servers, which present their
/// certificate on the cluster bus, by that.
pub fn tls() -> String {
    format!(
        "port 0\ntls-port 6379\ntls-cluster yes\ntls-replication yes\ntls-auth-clients optional\n\
         tls-cert-file {TLS_DIR}/{CERTIFICATE}\ntls-key-file {TLS_DIR}/{CERTIFICATE_KEY}\n\
         tls-ca-cert-file {TLS_DIR}/{AUTHORITY}\n"
    )
}

/// The line of [`FILE`] that reads the password.
pub fn include() -> String {
    format!("include {SECRET_DIR}/{PASSWORD_FILE}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(conf: &str, name: &str) -> String {
        let line = conf.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    }

    #[test]
    fn data_never_fills_the_whole_memory_of_the_container() {
        for memory in [48 << 20, 256 << 20, 1 << 30, 64 << 30_u64] {
            let conf = conf(memory);
            let max: u64 = setting(&conf, "maxmemory ").parse().unwrap();
            let backlog: u64 = setting(&conf, "repl-backlog-size ").parse().unwrap();
            assert!(max <= memory * 3 / 4 && max > memory / 2, "{max} of {memory}");
            assert!(backlog <= memory / 8 && backlog <= 64 << 20);
        }
    }
}
