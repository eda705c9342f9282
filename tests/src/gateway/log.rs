//! What a gateway wrote: its last lines, and where it says it listens.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

/// Lines that are kept for when something goes wrong.
const KEPT: usize = 200;
/// What listeners are called, longer names before their beginnings.
const NAMES: [&str; 9] =
    ["shared", "admin", "api", "native", "onlyone", "relay", "match", "multiperson-http", "multiperson"];

/// Grows as the process writes; clones share it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    lines: VecDeque<String>,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Log {
    /// Reads a pipe to its end on a thread of its own.
    pub(super) fn follow(&self, pipe: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| log.line(line));
        });
    }

    /// Where it listens, by name, as far as it has said.
    pub(super) fn listeners(&self) -> BTreeMap<String, SocketAddr> {
        self.written().listeners.clone()
    }

    /// The last lines.
    pub(super) fn text(&self) -> String {
        self.written().lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn line(&self, line: String) {
        let mut written = self.written();
        if let Some((name, address)) = listener(&line) {
            written.listeners.entry(name).or_insert(address);
        }
        if written.lines.len() == KEPT {
            written.lines.pop_front();
        }
        written.lines.push_back(line);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock()
    }
}

/// A line that names a listener and its address.
fn listener(line: &str) -> Option<(String, SocketAddr)> {
    let words = || line.split(|c: char| c.is_whitespace() || "\"'=,/()".contains(c)).filter(|w| !w.is_empty());
    let address = words().find_map(|word| word.parse().ok())?;
    let name = NAMES.iter().find(|name| words().any(|word| word.trim_end_matches(':') == **name))?;
    Some(((*name).to_owned(), address))
}
