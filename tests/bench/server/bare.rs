//! The floor: a process that does what no server can do without. It reads a message and writes it to each of its
//! sockets, one send() each.

use std::{
    io::{BufRead, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::{
    generator::wire::{self, CLOSE, TEXT, parse, unmasked},
    machine::thread_cpu,
};

const LISTENER: Token = Token(usize::MAX);

/// CPU time in send(), and how many there were.
#[derive(Default)]
struct Sends {
    nanos: AtomicU64,
    number: AtomicU64,
}

struct Socket {
    stream: TcpStream,
    open: bool,
    rest: Vec<u8>,
}

/// Serves until standard input ends; answers each line of it with nanoseconds and number of sends.
pub(crate) fn serve() -> Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("listen")?;
    let mut poll = Poll::new().context("make a poll")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).context("register")?;
    println!("listening {}", listener.local_addr().context("read the address")?.port());
    let sends = Arc::new(Sends::default());
    let told = Arc::clone(&sends);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            println!("{} {}", told.nanos.load(Ordering::Relaxed), told.number.load(Ordering::Relaxed));
        }
        std::process::exit(0);
    });
    let (mut events, mut sockets, mut buffer) = (Events::with_capacity(1024), Vec::new(), vec![0; 64 * 1024]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.context("poll")?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut sockets)?;
                continue;
            }
            for message in receive(&mut sockets, event.token().0, &mut buffer) {
                fan_out(&mut sockets, &unmasked(TEXT, &message), &sends)?;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, sockets: &mut Vec<Option<Socket>>) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        };
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        poll.registry().register(&mut stream, Token(sockets.len()), Interest::READABLE).context("register")?;
        sockets.push(Some(Socket { stream, open: false, rest: Vec::new() }));
    }
}

/// The messages that a socket has for us; one that ends is dropped.
fn receive(sockets: &mut [Option<Socket>], index: usize, buffer: &mut [u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let Some(Some(socket)) = sockets.get_mut(index) else { return messages };
    loop {
        match socket.stream.read(buffer) {
            Ok(read @ 1..) => socket.rest.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(0) | Err(_) => {
                sockets[index] = None;
                return messages;
            }
        }
    }
    if !socket.open {
        let Some(end) = wire::head(&socket.rest) else { return messages };
        socket.rest.drain(..end);
        socket.open = true;
        if socket.stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err() {
            sockets[index] = None;
            return messages;
        }
    }
    let mut at = 0;
    while let Some(frame) = parse(&socket.rest[at..]) {
        if frame.opcode != CLOSE {
            messages.push(frame.payload.to_vec());
        }
        at += frame.length;
    }
    socket.rest.drain(..at);
    messages
}

fn fan_out(sockets: &mut [Option<Socket>], frame: &[u8], sends: &Sends) -> Result<()> {
    let before = thread_cpu();
    let mut number = 0;
    for socket in sockets.iter_mut().flatten() {
        // It is never asked for so much that a socket would be full.
        socket.stream.write_all(frame).context("send")?;
        number += 1;
    }
    let took: Duration = thread_cpu() - before;
    sends.nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    sends.number.fetch_add(number, Ordering::Relaxed);
    Ok(())
}
