//! The floor: one thread that writes a message to each of many sockets, one send() each, and does nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token};

use crate::machine::{SERVER_CORE, pin, thread_cpu};

/// CPU time of one bare send() of `bytes` to each of `sockets` sockets in turn, `rounds` a second, for `duration`; the
/// calling thread reads.
pub(crate) fn send_cost(sockets: usize, bytes: usize, rounds: f64, duration: Duration) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let address = listener.local_addr().context("read the address")?;
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..sockets {
        let writer = TcpStream::connect(address).context("connect")?;
        writer.set_nodelay(true).context("set TCP_NODELAY")?;
        writers.push(writer);
        let (reader, _) = listener.accept().context("accept")?;
        reader.set_nonblocking(true).context("unblock")?;
        readers.push(mio::net::TcpStream::from_std(reader));
    }
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    let sender = std::thread::spawn(move || {
        let cost = send(&mut writers, bytes, rounds, duration);
        told.store(true, Ordering::Release);
        cost
    });
    read(&mut readers, &done)?;
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
}

fn send(writers: &mut [TcpStream], bytes: usize, rounds: f64, duration: Duration) -> Result<Duration> {
    pin(SERVER_CORE)?;
    let message = vec![b'x'; bytes];
    let (start, mut sent) = (Instant::now(), 0_u32);
    let mut busy = Duration::ZERO;
    while start.elapsed() < duration {
        let before = thread_cpu();
        for writer in &mut *writers {
            writer.write_all(&message).context("send")?;
        }
        busy += thread_cpu() - before;
        sent += 1;
        let next = start + Duration::from_secs_f64(f64::from(sent) / rounds);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(busy / (sent * writers.len() as u32).max(1))
}

fn read(readers: &mut [mio::net::TcpStream], done: &AtomicBool) -> Result<()> {
    let mut poll = Poll::new().context("make a poll")?;
    for (i, reader) in readers.iter_mut().enumerate() {
        poll.registry().register(reader, Token(i), Interest::READABLE).context("register")?;
    }
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
    while !done.load(Ordering::Acquire) {
        poll.poll(&mut events, Some(Duration::from_millis(10))).context("poll")?;
        for event in &events {
            loop {
                match readers[event.token().0].read(&mut buffer) {
                    Ok(read) if read == buffer.len() => {}
                    Ok(_) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("read"),
                }
            }
        }
    }
    Ok(())
}
