//! The wire of one Redis server: a command out, its answer in.
//!
//! Decides what is an answer, and how much of one is read. Knows no address and no deadline; called by `client`.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest answer that is read: `CLUSTER NODES` writes under 200 bytes a server and slot range.
const MAX_ANSWER: usize = 4 << 20;
/// Ends every line and string.
const END: &str = "\r\n";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RespError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The server refused the command, and why.
    #[error("{0}")]
    Refused(String),
    /// What came is no answer.
    #[error("{0}")]
    Protocol(String),
}

/// Sends one command and reads its answer, a status or a string.
pub async fn ask<S: AsyncBufRead + AsyncWrite + Unpin>(server: &mut S, words: &[&str]) -> Result<String, RespError> {
    let mut request = format!("*{}{END}", words.len());
    for word in words {
        request.push_str(&format!("${}{END}{word}{END}", word.len()));
    }
    server.write_all(request.as_bytes()).await?;
    let head = line(server).await?;
    match head.split_at_checked(1) {
        Some(("+", status)) => Ok(status.to_owned()),
        Some(("-", reason)) => Err(RespError::Refused(reason.to_owned())),
        Some(("$", length)) => string(server, length).await,
        _ => Err(RespError::Protocol(format!("unexpected `{head}`"))),
    }
}

async fn line<S: AsyncBufRead + Unpin>(server: &mut S) -> Result<String, RespError> {
    let mut line = String::new();
    server.take(MAX_ANSWER as u64).read_line(&mut line).await?;
    match line.strip_suffix(END) {
        Some(text) => Ok(text.to_owned()),
        None => Err(RespError::Protocol("the connection ended".into())),
    }
}

async fn string<S: AsyncBufRead + Unpin>(server: &mut S, length: &str) -> Result<String, RespError> {
    let length: usize = length.parse().map_err(|_| RespError::Protocol(format!("a length of `{length}`")))?;
    if length > MAX_ANSWER {
        return Err(RespError::Protocol(format!("an answer of {length} bytes")));
    }
    let mut bytes = vec![0; length + END.len()];
    server.read_exact(&mut bytes).await?;
    if bytes.split_off(length) != END.as_bytes() {
        return Err(RespError::Protocol(format!("a string that does not end after {length} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| RespError::Protocol("bytes that are no text".into()))
}
