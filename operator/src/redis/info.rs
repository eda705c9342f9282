//! Reads what a server answers to `INFO replication memory persistence`.
//!
//! Decides nothing. A field that is missing reads as zero or as "no": every version from Redis 7.0 writes those read here.

use std::time::Duration;

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Its part in replication.
    pub replication: Replication,
    /// Its memory.
    pub memory: Memory,
    /// Whether it reads its data from disk after a start, and so answers no command yet.
    pub loading: bool,
    /// Writing to its disk fails, so it refuses writes.
    pub disk_failed: bool,
}

/// A server's own part in replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// A replica whose link to its primary works and whose first copy is done; true for a primary.
    pub in_sync: bool,
    /// Bytes of the replication stream it has.
    pub offset: u64,
    /// A replica: the address that it copies from.
    pub primary_ip: Option<String>,
    /// A replica: its first copy is being transferred.
    pub copying: bool,
    /// A replica: since when its link to its primary has been down.
    pub link_down: Option<Duration>,
    /// A primary: addresses of the replicas that are connected to it, their first copy done or not.
    pub replica_ips: Vec<String>,
}

/// A server's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use.
    pub used: u64,
    /// From here on it refuses writes; 0: never.
    pub max: u64,
}

impl Memory {
    /// Share of the bound that is in use, in per cent; 0 without a bound.
    pub fn percent(self) -> u64 {
        self.used.saturating_mul(100).checked_div(self.max).unwrap_or(0)
    }
}

impl Info {
    /// Reads the answer.
    pub fn parse(text: &str) -> Self {
        let fields = Fields(text);
        Self {
            replication: fields.replication(),
            memory: Memory { used: fields.number("used_memory"), max: fields.number("maxmemory") },
            loading: fields.text("loading") == "1",
            disk_failed: ["aof_last_write_status", "aof_last_bgrewrite_status"]
                .iter()
                .any(|field| fields.text(field) == "err"),
        }
    }
}

/// Lines of `name:value`.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn text(&self, name: &str) -> &'a str {
        let value = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
        self.0.lines().find_map(value).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    fn replication(&self) -> Replication {
        if self.text("role") != "slave" {
            return Replication {
                in_sync: true,
                offset: self.number("master_repl_offset"),
                replica_ips: self.replica_ips(),
                ..Replication::default()
            };
        }
        let copying = self.text("master_sync_in_progress") == "1";
        let link_is_up = self.text("master_link_status") == "up";
        let down_for = self.text("master_link_down_since_seconds").parse().map(Duration::from_secs);
        Replication {
            in_sync: link_is_up && !copying,
            offset: self.number("slave_repl_offset"),
            primary_ip: Some(self.text("master_host").to_owned()).filter(|host| !host.is_empty()),
            copying,
            link_down: down_for.ok().filter(|_| !link_is_up),
            replica_ips: Vec::new(),
        }
    }

    /// `slave0:ip=10.0.0.4,port=6379,state=online,…`
    fn replica_ips(&self) -> Vec<String> {
        let lines = self.0.lines().filter(|line| line.strip_prefix("slave").is_some_and(begins_with_a_digit));
        let ip = |line: &str| line.split_once(":ip=")?.1.split(',').next().map(str::to_owned);
        lines.filter_map(ip).collect()
    }
}

fn begins_with_a_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(link: &str, copying: &str) -> Replication {
        Info::parse(&format!(
            "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_link_status:{link}\r\n\
             master_sync_in_progress:{copying}\r\nslave_repl_offset:7\r\nmaster_link_down_since_seconds:21\r\n"
        ))
        .replication
    }

    #[test]
    fn a_replica_is_in_sync_only_with_its_link_up_and_its_first_copy_done() {
        assert!(replica("up", "0").in_sync);
        assert!(!replica("down", "0").in_sync);
        assert!(!replica("up", "1").in_sync);
    }

    #[test]
    fn a_replica_says_where_it_copies_from_and_since_when_it_cannot() {
        let down = replica("down", "0");
        assert_eq!((down.primary_ip.as_deref(), down.link_down), (Some("10.0.0.1"), Some(Duration::from_secs(21))));
        assert_eq!(replica("up", "0").link_down, None);
    }

    #[test]
    fn a_primary_says_who_copies_it() {
        let info = Info::parse(
            "role:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.4,port=6379,state=online,offset=1,lag=0\r\n\
             slave1:ip=fd00::5,port=6379,state=wait_bgsave\r\nmaster_repl_offset:42\r\nslave_read_only:1\r\n",
        );
        assert_eq!(info.replication.replica_ips, ["10.0.0.4", "fd00::5"]);
        assert_eq!((info.replication.in_sync, info.replication.offset), (true, 42));
    }

    #[test]
    fn a_full_server_and_a_failed_disk_are_seen() {
        let info = Info::parse("used_memory:950\r\nmaxmemory:1000\r\naof_last_write_status:err\r\nloading:0\r\n");
        assert_eq!((info.memory.percent(), info.disk_failed, info.loading), (95, true, false));
        assert_eq!(Info::parse("used_memory:950\r\nmaxmemory:0\r\n").memory.percent(), 0);
    }
}
