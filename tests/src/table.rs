//! Conformance tables: what clients send and what they must be shown, one line each, over real sockets.
//!
//! ```text
//! a > {"op":"ping","id":1}          client a sends
//! a < {"op":"pong","id":1}          the next frame of a contains this
//! a <~ {"op":"posted","seq":"$n"}   as <, but others may come before it; they stay to be read
//! a x 1009                          a is closed with this code
//! ```
//! Objects may hold more than what is written, arrays may not. `"*"` is anything, `"$name"` is anything the first time
//! and the same from then on, in what is sent too. Each client has a connection of its own, made when first named.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::client::{Frame, Socket};

/// Frames that may come at any time and are skipped when they are not expected.
pub type Background = fn(&Value) -> bool;

/// Plays a table. `url` names each client's endpoint; `ROOM` in the lines becomes `room`.
pub async fn play(table: &str, room: &str, url: impl Fn(&str) -> String, background: Background) -> Result<()> {
    let mut play = Play { clients: HashMap::new(), variables: HashMap::new(), background };
    for (i, line) in table.lines().enumerate() {
        let line = line.trim().replace("ROOM", room);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        play.line(&line, &url).await.with_context(|| format!("line {}: {line}", i + 1))?;
    }
    play.nothing_is_left()
}

struct Client {
    socket: Socket,
    frames: VecDeque<Value>,
}

struct Play {
    clients: HashMap<String, Client>,
    variables: HashMap<String, Value>,
    background: Background,
}

impl Play {
    async fn line(&mut self, line: &str, url: &impl Fn(&str) -> String) -> Result<()> {
        let (name, rest) = line.split_once(' ').context("a line is: client, sign, frame")?;
        let (sign, frame) = rest.trim().split_once(' ').context("a line is: client, sign, frame")?;
        if !self.clients.contains_key(name) {
            let socket = Socket::dial(&url(name)).await?;
            self.clients.insert(name.to_owned(), Client { socket, frames: VecDeque::new() });
        }
        match sign {
            ">" => self.send(name, frame).await,
            "<" => self.expect(name, &pattern(frame)?, false).await,
            "<~" => self.expect(name, &pattern(frame)?, true).await,
            "x" => {
                let wanted: u16 = frame.trim().parse().context("a close code is a number")?;
                let code = self.client(name)?.socket.close_code().await?;
                ensure!(code == wanted, "closed with {code}");
                self.clients.remove(name);
                Ok(())
            }
            _ => bail!("{sign} is none of >, <, <~ and x"),
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client> {
        self.clients.get_mut(name).context("no such client")
    }

    async fn send(&mut self, name: &str, frame: &str) -> Result<()> {
        let mut text = frame.to_owned();
        for (variable, value) in &self.variables {
            text = text.replace(&format!("\"${variable}\""), &value.to_string());
        }
        let client = self.client(name)?;
        match text.strip_prefix("BINARY ") {
            Some(bytes) => client.socket.binary(bytes.as_bytes().to_vec()).await,
            None => client.socket.text(text).await,
        }
    }

    async fn expect(&mut self, name: &str, pattern: &Value, anywhere: bool) -> Result<()> {
        let mut seen = 0;
        loop {
            let (background, mut variables) = (self.background, self.variables.clone());
            let client = self.client(name)?;
            if seen == client.frames.len() {
                let frame = client.socket.soon().await.with_context(|| format!("before it: {:?}", client.frames))?;
                let Frame::Text(text) = frame else { bail!("{frame:?} came") };
                client.frames.push_back(serde_json::from_str(&text).with_context(|| format!("read {text}"))?);
            }
            let found = matches(pattern, &client.frames[seen], &mut variables);
            if found {
                client.frames.remove(seen);
                self.variables = variables;
                return Ok(());
            }
            ensure!(anywhere || background(&client.frames[seen]), "{} came", client.frames[seen]);
            seen += 1;
        }
    }

    fn nothing_is_left(&self) -> Result<()> {
        for (name, client) in &self.clients {
            let left: Vec<_> = client.frames.iter().filter(|frame| !(self.background)(frame)).collect();
            ensure!(left.is_empty(), "{name} was shown more than expected: {left:?}");
        }
        Ok(())
    }
}

fn pattern(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("a pattern is JSON")
}

fn matches(pattern: &Value, value: &Value, variables: &mut HashMap<String, Value>) -> bool {
    match (pattern, value) {
        (Value::String(text), _) if text == "*" => true,
        (Value::String(text), _) if text.starts_with('$') => {
            variables.entry(text[1..].to_owned()).or_insert_with(|| value.clone()) == value
        }
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| matches(wanted, found, variables)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| matches(w, f, variables))
        }
        _ => pattern == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(wanted: &Value, found: &Value) -> bool {
        matches(wanted, found, &mut HashMap::new())
    }

    #[test]
    fn objects_may_hold_more_and_arrays_may_not() {
        assert!(fits(&json!({"a": 1}), &json!({"b": 2, "a": 1})));
        assert!(!fits(&json!({"a": 1, "b": 2}), &json!({"a": 1})));
        assert!(!fits(&json!([1]), &json!([1, 2])));
    }

    #[test]
    fn a_variable_is_the_same_everywhere() {
        assert!(fits(&json!(["$x", "$x", "$y"]), &json!([1, 1, 2])));
        assert!(!fits(&json!(["$x", "$x"]), &json!([1, 2])));
        assert!(fits(&json!("*"), &Value::Null));
    }
}
