//! Commands to a server and its replies, in RESP2.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// A reply, as far as tests need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(i64),
    List(Vec<Reply>),
    Nil,
}

impl Reply {
    /// The text, or nothing.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

fn reply(input: &mut impl BufRead) -> Result<Reply> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).context("the server closed the connection")?;
    Ok(match kind {
        "+" => Reply::Text(rest.into()),
        "-" => bail!("redis says {rest}"),
        ":" => Reply::Number(rest.parse()?),
        "$" if rest == "-1" => Reply::Nil,
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            input.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Text(String::from_utf8_lossy(&bytes).into())
        }
        "*" if rest == "-1" => Reply::Nil,
        "*" => Reply::List((0..rest.parse::<usize>()?).map(|_| reply(input)).collect::<Result<_>>()?),
        other => bail!("{other:?} begins no reply"),
    })
}

/// A connection to a server. Replies come in the order of the commands, and within five seconds.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a command.
    pub fn send(&mut self, words: &[&str]) -> Result<()> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        Ok(self.0.get_mut().write_all(text.as_bytes())?)
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply> {
        reply(&mut self.0)
    }
}
