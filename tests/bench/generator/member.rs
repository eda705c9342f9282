//! One connection of the load generator: what it is in, what it was shown, and what is wrong with that.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::{
    dialect::{Endpoint, Position},
    text::Sent,
    wire,
};

/// Connections from one address of 127.0.0.0/8: few enough for its ports, with those that still wait to be closed.
const PER_SOURCE: usize = 4000;

/// A member of one room or of many.
pub(super) struct Member {
    pub(super) endpoint: Rc<Endpoint>,
    /// None after a cut.
    pub(super) stream: Option<TcpStream>,
    /// The 101 has come.
    pub(super) open: bool,
    /// Rooms that it has not heard from yet.
    pub(super) joining: usize,
    pub(super) rooms: Vec<u32>,
    /// The beginning of a frame that is not whole yet.
    pub(super) rest: Vec<u8>,
    /// Messages.
    pub(super) delivered: u64,
    /// Of a member that is checked in full.
    pub(super) checked: Option<Checked>,
    /// Of one that can resume after a cut.
    pub(super) position: Option<Position>,
}

/// The next count that each lane owes this member.
#[derive(Default)]
pub(super) struct Checked(Vec<(u32, u64)>);

/// How a message relates to those before it in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    /// So many were left out.
    Skipped(u64),
    /// It, or a later one, was there already.
    Again,
}

impl Checked {
    pub(super) fn take(&mut self, sent: Sent) -> Order {
        let next = match self.0.iter_mut().find(|(lane, _)| *lane == sent.lane) {
            Some((_, next)) => next,
            None => {
                self.0.push((sent.lane, 0));
                let Some((_, next)) = self.0.last_mut() else { return Order::Next };
                next
            }
        };
        if sent.count < *next {
            return Order::Again;
        }
        let skipped = sent.count - *next;
        *next = sent.count + 1;
        if skipped == 0 { Order::Next } else { Order::Skipped(skipped) }
    }
}

/// Connects, and sends the request to upgrade, without waiting for the answer.
pub(super) fn dial(endpoint: &Endpoint) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("make a socket")?;
    socket.bind(&SocketAddr::from((source(), 0)).into()).context("bind a source address")?;
    // Bounds the connect, too.
    socket.set_write_timeout(Some(Duration::from_secs(10))).context("set a deadline")?;
    socket.connect(&endpoint.address.into()).context("connect")?;
    socket.set_tcp_nodelay(true).context("set TCP_NODELAY")?;
    // It ends with a reset: some rounds of 19,000 sockets in TIME_WAIT fill the kernel's table of them, and handshakes stall.
    socket.set_linger(Some(Duration::ZERO)).context("set SO_LINGER")?;
    let mut stream = std::net::TcpStream::from(socket);
    let request = wire::upgrade(endpoint.path, endpoint.inflates, endpoint.bearer.as_deref());
    stream.write_all(request.as_bytes()).context("ask for the upgrade")?;
    stream.set_nonblocking(true).context("unblock")?;
    Ok(TcpStream::from_std(stream))
}

fn source() -> Ipv4Addr {
    static DIALLED: AtomicUsize = AtomicUsize::new(0);
    let nth = DIALLED.fetch_add(1, Ordering::Relaxed) / PER_SOURCE;
    Ipv4Addr::new(127, 1, (nth >> 8) as u8, nth as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repetitions_show_lane_by_lane() {
        let mut checked = Checked::default();
        let mut take = |lane, count| checked.take(Sent { lane, count, due: 0 });
        assert_eq!([take(1, 0), take(2, 0), take(1, 1)], [Order::Next; 3]);
        assert_eq!(take(1, 4), Order::Skipped(2));
        assert_eq!([take(1, 4), take(1, 2)], [Order::Again; 2]);
        assert_eq!(take(3, 1), Order::Skipped(1));
    }
}
