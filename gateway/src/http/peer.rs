//! A connection that was accepted, together with what was read of it already.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::http::{
    client::Ends,
    proxies::{self, Header, Unfit},
};

/// A peer, and what it has said that nobody has dealt with. Reading begins with that.
#[derive(Debug)]
pub struct Peer<S = mio::net::TcpStream> {
    pub(super) stream: S,
    pub(super) said: Bytes,
    pub(super) ends: Ends,
}

impl Peer {
    /// Reads once, through `buffer`, what is there already.
    pub(super) fn greet(mut stream: mio::net::TcpStream, ends: Ends, buffer: &mut [u8]) -> Self {
        // The next reader finds out why nothing came.
        let length = stream.read(buffer).unwrap_or(0);
        Self { stream, said: Bytes::copy_from_slice(&buffer[..length]), ends }
    }

    /// Writes what fits into the socket.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Gives the socket to the runtime, within which this is called.
    pub(super) fn watched(self) -> io::Result<Peer<tokio::net::TcpStream>> {
        let Self { stream, said, ends } = self;
        Ok(Peer { stream: tokio::net::TcpStream::from_std(stream.into())?, said, ends })
    }
}

impl<S> Peer<S> {
    /// Takes what a load balancer has said about its peer, if it is there: from now on that is whom this connection counts
    /// for.
    pub(super) fn introduced(&mut self) -> Result<bool, Unfit> {
        let Header::Whole { client, length } = proxies::read(&self.said)? else { return Ok(false) };
        self.said.advance(length);
        if let Some(client) = client {
            self.ends.remote = client;
        }
        Ok(true)
    }
}

impl Peer<tokio::net::TcpStream> {
    /// Reads more of what the peer says; 0 at its end.
    pub(super) async fn hear(&mut self) -> io::Result<usize> {
        let mut said = BytesMut::from(&self.said[..]);
        let length = self.stream.read_buf(&mut said).await?;
        self.said = said.freeze();
        Ok(length)
    }

    /// Takes the socket away from the runtime.
    pub(super) fn unwatched(self) -> io::Result<Peer> {
        let Self { stream, said, ends } = self;
        Ok(Peer { stream: mio::net::TcpStream::from_std(stream.into_std()?), said, ends })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peer<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.said.len().min(buffer.remaining());
        buffer.put_slice(&self.said[..length]);
        self.said.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peer<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_comes_first_however_it_is_read() {
        for piece in 1..8 {
            let ends = Ends { remote: Ipv4Addr::LOCALHOST.into(), local: (Ipv4Addr::LOCALHOST, 1).into() };
            let mut peer = Peer { said: Bytes::from_static(b"first"), stream: &b", then"[..], ends };
            let (mut all, mut buffer) = (Vec::new(), vec![0; piece]);
            loop {
                match peer.read(&mut buffer).await.unwrap() {
                    0 => break,
                    length => all.extend_from_slice(&buffer[..length]),
                }
            }
            assert_eq!(all, b"first, then", "{piece} bytes at a time");
        }
    }
}
