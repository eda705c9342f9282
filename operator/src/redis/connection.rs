//! One connection to a Redis server: commands out, their answers in.
//!
//! Decides which answers count and how much of one is read; redis-protocol knows the wire. Knows no address and no deadline;
//! called by `client` and `handing`.

use redis_protocol::{
    error::RedisProtocolError,
    resp2::{
        decode, encode,
        types::{OwnedFrame, Resp2Frame},
    },
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest answer that is read: `CLUSTER NODES` writes under 200 bytes for each server and slot range.
const MAX_ANSWER: usize = 4 << 20;
/// Most items of a list that is read.
const MAX_ITEMS: usize = 4096;
/// Kinds of answers that hold no others. Lists could be nested deeper than any stack.
const FLAT: [u8; 4] = [b'+', b'-', b'$', b':'];

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
    /// What came is another answer than the command has, or longer than 4 MiB.
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
        self.send(&[words]).await?;
        match self.flat().await? {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
                String::from_utf8(bytes).map_err(|_| AskError::Unexpected("not UTF-8"))
            }
            OwnedFrame::Error(reason) => Err(AskError::Refused(reason)),
            _ => Err(AskError::Unexpected("neither a status nor a string")),
        }
    }

    /// Sends commands one behind the other and reads all their answers; the first refusal is the result.
    pub async fn order(&mut self, commands: &[Vec<String>]) -> Result<(), AskError> {
        self.send(commands).await?;
        let mut refused = None;
        for _ in commands {
            if let OwnedFrame::Error(reason) = self.flat().await? {
                refused.get_or_insert(reason);
            }
        }
        refused.map_or(Ok(()), |reason| Err(AskError::Refused(reason)))
    }

    /// Sends commands one behind the other whose answers are numbers, and reads those.
    pub async fn numbers(&mut self, commands: &[Vec<String>]) -> Result<Vec<u64>, AskError> {
        self.send(commands).await?;
        let (mut numbers, mut refused) = (Vec::with_capacity(commands.len()), None);
        for _ in commands {
            match self.flat().await? {
                OwnedFrame::Integer(number) => {
                    numbers.push(u64::try_from(number).map_err(|_| AskError::Unexpected("a negative number"))?);
                }
                OwnedFrame::Error(reason) => drop(refused.get_or_insert(reason)),
                _ => return Err(AskError::Unexpected("no number")),
            }
        }
        refused.map_or(Ok(numbers), |reason| Err(AskError::Refused(reason)))
    }

    /// Sends one command whose answer is a list of strings.
    pub async fn list(&mut self, words: &[&str]) -> Result<Vec<Vec<u8>>, AskError> {
        self.send(&[words]).await?;
        let Some(items) = self.list_head().await? else {
            return match self.flat().await? {
                OwnedFrame::Error(reason) => Err(AskError::Refused(reason)),
                _ => Err(AskError::Unexpected("no list")),
            };
        };
        let mut list = Vec::with_capacity(items);
        for _ in 0..items {
            match self.flat().await? {
                OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => list.push(bytes),
                _ => return Err(AskError::Unexpected("a list of something else than strings")),
            }
        }
        Ok(list)
    }

    /// Sends one command of any bytes and reads its answer, a status.
    pub async fn ask_bytes(&mut self, words: &[&[u8]]) -> Result<(), AskError> {
        self.send(&[words]).await?;
        match self.flat().await? {
            OwnedFrame::Error(reason) => Err(AskError::Refused(reason)),
            _ => Ok(()),
        }
    }

    async fn send<W: AsRef<[u8]>>(&mut self, commands: &[impl AsRef<[W]>]) -> Result<(), AskError> {
        let mut bytes = Vec::new();
        for words in commands {
            let words = words.as_ref().iter().map(|word| OwnedFrame::BulkString(word.as_ref().to_vec())).collect();
            let command = OwnedFrame::Array(words);
            let at = bytes.len();
            bytes.resize(at + command.encode_len(false), 0);
            encode::encode(&mut bytes[at..], &command, false)?;
        }
        Ok(self.stream.write_all(&bytes).await?)
    }

    /// The next answer, which holds no others.
    async fn flat(&mut self) -> Result<OwnedFrame, AskError> {
        loop {
            if self.unread.first().is_some_and(|kind| !FLAT.contains(kind)) {
                return Err(AskError::Unexpected("neither a status nor a string"));
            }
            if let Some((frame, length)) = decode::decode(&self.unread)? {
                let answer: Vec<u8> = self.unread.drain(..length).collect();
                // The library takes any two bytes for the end of a string.
                let ends = answer.ends_with(b"\r\n");
                return ends.then_some(frame).ok_or(AskError::Unexpected("a string of another length than it says"));
            }
            self.read_more().await?;
        }
    }

    /// How many items the list has that comes next; `None` if no list comes.
    async fn list_head(&mut self) -> Result<Option<usize>, AskError> {
        loop {
            if self.unread.first().is_some_and(|kind| *kind != b'*') {
                return Ok(None);
            }
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                let items = str::from_utf8(&line[1..end]).ok().and_then(|text| text.parse().ok());
                let fits = items.filter(|items| *items <= MAX_ITEMS);
                return fits.map(Some).ok_or(AskError::Unexpected("a list of no or too many items"));
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), AskError> {
        if self.unread.len() > MAX_ANSWER {
            return Err(AskError::Unexpected("longer than 4 MiB"));
        }
        if self.stream.read_buf(&mut self.unread).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{join, sink};

    use super::*;

    fn server(answers: &'static [u8]) -> Connection<impl AsyncRead + AsyncWrite + Unpin> {
        Connection::new(join(answers, sink()))
    }

    #[tokio::test]
    async fn answers_of_commands_sent_together_are_read_one_by_one() {
        let commands = vec![vec!["CLUSTER".to_owned()]; 3];
        assert!(server(b"+OK\r\n:1\r\n$1\r\na\r\n").order(&commands).await.is_ok());
        let refused = server(b"+OK\r\n-ERR no\r\n+OK\r\n").order(&commands).await.unwrap_err();
        assert_eq!(refused.to_string(), "ERR no");
        assert_eq!(server(b":1\r\n:0\r\n:7\r\n").numbers(&commands).await.unwrap(), [1, 0, 7]);
    }

    #[tokio::test]
    async fn a_list_of_strings_is_read_and_any_other_list_refused() {
        let list = server(b"*2\r\n$1\r\na\r\n$0\r\n\r\n").list(&["KEYS"]).await.unwrap();
        assert_eq!(list, [b"a".to_vec(), Vec::new()]);
        for answer in [&b"*1\r\n*1\r\n:1\r\n"[..], b"*-1\r\n", b"*9999999\r\n", b"+OK\r\n", b"-ERR no\r\n", b"*1\r\n"] {
            server(answer).list(&["KEYS"]).await.unwrap_err();
        }
    }
}
