//! A client of the native protocol on one connection.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Frame, Socket};

/// One connection. Pushes that come while an answer is awaited are kept and read with [`Native::push`].
pub struct Native {
    pub socket: Socket,
    pushes: VecDeque<Value>,
    last_id: u64,
}

/// What `joined` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub epoch: String,
    pub seq: u64,
    pub token: String,
    pub members: u64,
    pub recovered: bool,
}

impl Native {
    /// Connects to `ws://host:port/path`.
    pub async fn connect(url: &str) -> Result<Self> {
        Ok(Self::over(Socket::dial(url).await?))
    }

    /// Speaks over a socket that is there.
    pub fn over(socket: Socket) -> Self {
        Self { socket, pushes: VecDeque::new(), last_id: 0 }
    }

    /// Sends a request with a new `id`, and returns its answer: the frame with that `id`.
    pub async fn ask(&mut self, mut request: Value) -> Result<Value> {
        self.last_id += 1;
        request["id"] = self.last_id.into();
        self.socket.text(request.to_string()).await?;
        loop {
            let frame = self.frame().await?;
            if frame.get("id").and_then(Value::as_u64) == Some(self.last_id) {
                return Ok(frame);
            }
            self.pushes.push_back(frame);
        }
    }

    /// As [`Native::ask`], and the answer must have this `op`.
    pub async fn ask_for(&mut self, request: Value, op: &str) -> Result<Value> {
        let answer = self.ask(request.clone()).await?;
        ensure!(answer["op"] == op, "{request} was answered with {answer}");
        Ok(answer)
    }

    /// Joins a room from now on.
    pub async fn join(&mut self, room: &str, name: &str) -> Result<Joined> {
        joined(&self.ask_for(json!({"op": "join", "room": room, "name": name}), "joined").await?)
    }

    /// Joins a room as who held `token` before, and gets what came after `seq`.
    pub async fn resume(&mut self, room: &str, name: &str, from: &Joined, after: u64) -> Result<Joined> {
        let request = json!({
            "op": "join", "room": room, "name": name, "epoch": from.epoch, "after": after, "token": from.token
        });
        joined(&self.ask_for(request, "joined").await?)
    }

    /// Posts `{"text": …}` and returns its seq.
    pub async fn post(&mut self, room: &str, key: &str, text: &str) -> Result<u64> {
        let request = json!({"op": "post", "room": room, "key": key, "body": {"text": text}});
        self.ask_for(request, "posted").await?["seq"].as_u64().context("posted without a seq")
    }

    /// The next push of this `op`; others are skipped.
    pub async fn push(&mut self, op: &str) -> Result<Value> {
        loop {
            let frame = match self.pushes.pop_front() {
                Some(frame) => frame,
                None => self.frame().await.with_context(|| format!("wait for {op}"))?,
            };
            if frame["op"] == op {
                return Ok(frame);
            }
        }
    }

    /// The next `count` messages as (seq, text), in the order in which they came.
    pub async fn messages(&mut self, count: usize) -> Result<Vec<(u64, String)>> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let frame = self.push("messages").await.with_context(|| format!("after {} of {count}", seen.len()))?;
            for item in frame["items"].as_array().context("messages without items")? {
                let seq = item["seq"].as_u64().context("an item without a seq")?;
                seen.push((seq, item["body"]["text"].as_str().unwrap_or_default().to_owned()));
            }
        }
        ensure!(seen.len() == count, "{} messages came instead of {count}", seen.len());
        Ok(seen)
    }

    async fn frame(&mut self) -> Result<Value> {
        match self.socket.soon().await? {
            Frame::Text(text) => serde_json::from_str(&text).with_context(|| format!("read {text}")),
            other => bail!("a frame was expected, {other:?} came"),
        }
    }
}

fn joined(answer: &Value) -> Result<Joined> {
    let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("incomplete: {answer}"));
    let number = |name: &str| answer[name].as_u64().with_context(|| format!("incomplete: {answer}"));
    Ok(Joined {
        epoch: text(&answer["epoch"])?,
        seq: number("seq")?,
        token: text(&answer["you"]["token"])?,
        members: number("members")?,
        recovered: answer["recovered"].as_bool().with_context(|| format!("incomplete: {answer}"))?,
    })
}
