//! What the operator reads from Redis servers: answers off the wire, and the table of a cluster's nodes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::FutureExt;
use parlor_operator::redis::{connection::Connection, view::View};
use tokio::io::{AsyncRead, ReadBuf, join, sink};

use crate::seed::split;

/// One answer, however it arrives; what is read of it was sent.
pub(crate) fn answer(data: &[u8]) {
    let whole = read(data, usize::MAX);
    for size in [1, 5] {
        assert_eq!(read(data, size), whole, "in pieces of {size}");
    }
    if let Ok(text) = whole {
        let framed = |sent: String| data.windows(sent.len()).any(|window| window == sent.as_bytes());
        assert!(framed(format!("+{text}\r\n")) || framed(format!("\r\n{text}\r\n")), "{text:?} was not sent");
    }
}

/// The answer when it arrives in pieces of `size` bytes, or what was wrong with it.
fn read(data: &[u8], size: usize) -> Result<String, String> {
    let mut server = Connection::new(join(Pieces { rest: data, size }, sink()));
    let answer = server.ask(&["CLUSTER", "NODES"]).now_or_never();
    answer.expect("nothing waits: all bytes are there").map_err(|error| error.to_string())
}

/// A stream that brings a few bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.size.min(into.remaining()).min(self.rest.len()));
        into.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// `CLUSTER NODES`, an empty line, `INFO replication`: a table is read or refused as a whole.
pub(crate) fn nodes(data: &[u8]) {
    let (table, replication) = split(data, b"\n\n");
    let table = String::from_utf8_lossy(table);
    let Ok(view) = View::parse(&table, &String::from_utf8_lossy(replication)) else { return };
    assert!(view.myself().flags.myself);
    assert_eq!(view.topology.nodes.len(), table.lines().filter(|line| !line.trim().is_empty()).count());
    for node in &view.topology.nodes {
        let ranges = node.slots.ranges();
        let counted: usize = ranges.iter().map(|range| range.iter().count()).sum();
        assert_eq!(counted, usize::from(node.slots.len()));
    }
}
