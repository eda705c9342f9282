//! One connection to a Redis server: a command out, its answer in.
//!
//! Decides which answers count and how much of one is read; redis-protocol knows the wire. Knows no address and no deadline;
//! called by `client`.

use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};
use redis_protocol::resp2::{decode, encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest answer that is read: `CLUSTER NODES` writes under 200 bytes for each server and slot range.
const MAX_ANSWER: usize = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The server refused the command, and why.
    #[error("{0}")]
    Refused(String),
    /// What came is not RESP.
    #[error(transparent)]
    Protocol(#[from] RedisProtocolError),
    /// What came is neither a status nor a string of at most 4 MiB.
    #[error("the answer is {0}")]
    Unexpected(&'static str),
}

/// A connection over any stream of bytes.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// What came and was not read yet.
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Speaks over `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends one command and reads its answer, a status or a string.
    pub async fn ask(&mut self, words: &[&str]) -> Result<String, AskError> {
        let words = words.iter().map(|word| OwnedFrame::BulkString(word.as_bytes().to_vec())).collect();
        let command = OwnedFrame::Array(words);
        let mut bytes = vec![0; command.encode_len(false)];
        encode::encode(&mut bytes, &command, false)?;
        self.stream.write_all(&bytes).await?;
        match self.answer().await? {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
                String::from_utf8(bytes).map_err(|_| AskError::Unexpected("not UTF-8"))
            }
            OwnedFrame::Error(reason) => Err(AskError::Refused(reason)),
            _ => Err(AskError::Unexpected("neither a status nor a string")),
        }
    }

    async fn answer(&mut self) -> Result<OwnedFrame, AskError> {
        loop {
            // Lists could be nested deeper than any stack; no command asked here answers with one.
            if self.unread.first().is_some_and(|kind| !matches!(kind, b'+' | b'-' | b'$')) {
                return Err(AskError::Unexpected("neither a status nor a string"));
            }
            if let Some((frame, length)) = decode::decode(&self.unread)? {
                let answer: Vec<u8> = self.unread.drain(..length).collect();
                // The library takes any two bytes for the end of a string.
                let ends = answer.ends_with(b"\r\n");
                return ends.then_some(frame).ok_or(AskError::Unexpected("a string of another length than it says"));
            }
            if self.unread.len() > MAX_ANSWER {
                return Err(AskError::Unexpected("longer than 4 MiB"));
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
