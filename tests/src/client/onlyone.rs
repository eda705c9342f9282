//! A client of OnlyOne on one connection, as its web client is: requests are numbered from 2, chat has no `type`.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Frame, Socket};

/// One connection. Pushes that come while a response is awaited are kept and read with [`OnlyOne::push`].
pub struct OnlyOne {
    pub socket: Socket,
    pushes: VecDeque<Value>,
    last_id: u64,
}

impl OnlyOne {
    /// Connects to `ws://host:port/path`.
    pub async fn connect(url: &str) -> Result<Self> {
        Ok(Self::over(Socket::dial(url).await?))
    }

    /// Speaks over a socket that is there.
    pub fn over(socket: Socket) -> Self {
        Self { socket, pushes: VecDeque::new(), last_id: 1 }
    }

    /// Sends a request, and returns the response to it.
    pub async fn ask(&mut self, route: &str, data: Value) -> Result<Value> {
        self.last_id += 1;
        let request = json!({"requestId": self.last_id, "type": "request", "route": route, "data": data});
        self.socket.text(request.to_string()).await?;
        loop {
            let frame = self.frame().await?;
            if frame["type"] == "response" && frame["requestId"] == self.last_id {
                return Ok(frame);
            }
            self.pushes.push_back(frame);
        }
    }

    /// Joins a room and returns the own user.
    pub async fn join(&mut self, room: &str) -> Result<Value> {
        let response = self.ask("roomHandler.joinRoom", json!({"room_id": room})).await?;
        if response["code"] != 0 {
            bail!("joining was answered with {response}");
        }
        Ok(response["data"]["user"].clone())
    }

    /// Chats without waiting for anything, as the web client does.
    pub async fn chat(&mut self, room: &str, text: &str) -> Result<()> {
        let data = json!({"room_id": room, "chat_message": {"type": "text", "content": text}});
        self.socket.text(json!({"route": "chatHandler.chat", "data": data}).to_string()).await
    }

    /// The next push of this route; others are skipped.
    pub async fn push(&mut self, route: &str) -> Result<Value> {
        loop {
            let frame = match self.pushes.pop_front() {
                Some(frame) => frame,
                None => self.frame().await.with_context(|| format!("wait for {route}"))?,
            };
            if frame["route"] == route {
                return Ok(frame["data"].clone());
            }
        }
    }

    /// The texts of the next `count` chats.
    pub async fn chats(&mut self, count: usize) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let chat = self.push("room.chat").await.with_context(|| format!("after {} of {count}", seen.len()))?;
            seen.push(chat["chat_message"]["content"].as_str().unwrap_or_default().to_owned());
        }
        Ok(seen)
    }

    async fn frame(&mut self) -> Result<Value> {
        match self.socket.soon().await? {
            Frame::Text(text) => serde_json::from_str(&text).with_context(|| format!("read {text}")),
            other => bail!("a frame was expected, {other:?} came"),
        }
    }
}
