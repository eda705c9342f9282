//! The rows of the benchmark, one file each or a group that shares its servers.

mod deflate;
mod encodings;
mod fleet;
mod handshakes;
mod hostile;
mod idle;
mod latency;
mod many_rooms;
mod members;
mod moderation;
mod pace;
mod publishing;
mod resume;
mod rivals;
mod sign_in;
mod standing_rooms;
mod throughput;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Result;
use parlor_tests::redis::RedisCluster;

use crate::{generator::Load, results::Section, sample::Sample, scale::Scale, server::Server};

/// What a message says, in bytes.
const BYTES: usize = 100;
/// What a bare sender writes for it: as much as Parlor, whose frame names the sender.
const FRAME_BYTES: usize = BYTES + 140;
/// One protocol, no limit in the way.
const SPEC: &str = "
protocols: {native: {}}
replicas: 2
limits: {connectionsPerGateway: 20000, messagesPerSecond: 1000000, roomsPerConnection: 100, rooms: 200000, newRoomsPerMinute: 1000000}
";

/// One row: the numbers of the targets that it answers, and how it is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) numbers: &'static [&'static str],
    pub(crate) measure: fn(&Bench) -> Result<Section>,
}

impl Row {
    /// True when it is meant by that number or name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name || self.numbers.contains(&name)
    }
}

pub(crate) const ROWS: [Row; 17] = [
    Row { name: "throughput", numbers: &["1"], measure: throughput::measure },
    Row { name: "pace", numbers: &["2"], measure: pace::measure },
    Row { name: "rivals", numbers: &["3", "4"], measure: rivals::measure },
    Row { name: "idle", numbers: &["5"], measure: idle::measure },
    Row { name: "latency", numbers: &["6"], measure: latency::measure },
    Row { name: "many-rooms", numbers: &["7"], measure: many_rooms::measure },
    Row { name: "members", numbers: &["8"], measure: members::measure },
    Row { name: "handshakes", numbers: &["9"], measure: handshakes::measure },
    Row { name: "resume", numbers: &["10"], measure: resume::measure },
    Row { name: "encodings", numbers: &["11"], measure: encodings::measure },
    Row { name: "deflate", numbers: &["12"], measure: deflate::measure },
    Row { name: "publishing", numbers: &["13"], measure: publishing::measure },
    Row { name: "sign-in", numbers: &["14"], measure: sign_in::measure },
    Row { name: "moderation", numbers: &["15"], measure: moderation::measure },
    Row { name: "standing-rooms", numbers: &["16"], measure: standing_rooms::measure },
    Row { name: "fleet", numbers: &["17"], measure: fleet::measure },
    Row { name: "hostile", numbers: &["18"], measure: hostile::measure },
];

/// What all rows share.
pub(crate) struct Bench {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) redis: RedisCluster,
    pub(crate) scale: Scale,
}

impl Bench {
    fn parlor(&self, spec: &str) -> Result<Server> {
        Server::parlor(&self.runtime, &self.redis, spec)
    }
}

/// A room that nobody has spoken in.
fn new_room() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("bench{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// Share of a core that a server uses while nothing is posted.
fn idle(load: &mut Load, server: &Server, duration: Duration) -> Result<f64> {
    Ok(Sample::take(load, server, 0.0, duration)?.load())
}

/// Microseconds of CPU of one bare send() at that many rounds a second.
fn send_cost(load: &mut Load, bare: &mut Server, rate: f64, duration: Duration) -> Result<f64> {
    let (nanos, number) = bare.sends()?;
    load.run(rate, duration)?;
    load.settle()?;
    let (nanos_after, number_after) = bare.sends()?;
    Ok((nanos_after - nanos).as_secs_f64() * 1e6 / (number_after - number).max(1) as f64)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
