//! A client of people with numbers.

use std::time::Duration;

use parlor_tests::{
    client::{Frame, PATIENCE, Socket},
    gateway::Gateway,
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{interval, timeout},
};

/// A person of stage C who is here, and says so twice per second as long as this lives: a silent client is cut after 7 s.
pub(crate) struct Person {
    pub(crate) id: u64,
    says: mpsc::Sender<String>,
    hears: mpsc::Receiver<Value>,
    pub(crate) shown: Vec<String>,
}

impl Person {
    pub(crate) async fn enter(gateway: &Gateway, id: u64) -> Self {
        let mut socket = Socket::dial(&gateway.url("/multiperson")).await.unwrap();
        socket.text(json!({"type": "INIT", "from_user_id": id, "message": "init"}).to_string()).await.unwrap();
        let ((says, said), (heard, hears)) = (mpsc::channel(16), mpsc::channel(1024));
        tokio::spawn(live(socket, said, heard));
        Self { id, says, hears, shown: Vec::new() }
    }

    /// Waits until INIT is over: nothing is read before.
    pub(crate) async fn entered(&mut self) {
        assert_eq!(self.frame().await["type"], "PONG");
    }

    pub(crate) async fn leave(mut self) -> Vec<String> {
        self.says.send(r#"{"type":"CLOSE"}"#.to_owned()).await.unwrap();
        while timeout(PATIENCE, self.hears.recv()).await.unwrap().is_some() {}
        self.shown
    }

    pub(crate) async fn frame(&mut self) -> Value {
        timeout(PATIENCE, self.hears.recv()).await.expect("nothing came in time").expect("the connection ended")
    }

    /// Says something, which is its number too.
    pub(crate) async fn send(&self, to: Value, temp: &str) {
        let mut message = json!({"type": "MESSAGE", "from_user_id": self.id.to_string(), "message_id": "-2",
            "message": temp, "send_time": 1, "temp_id": temp});
        message.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
        self.says.send(message.to_string()).await.unwrap();
    }

    /// Says something; the id that it got.
    pub(crate) async fn say(&mut self, to: Value, temp: &str) -> String {
        self.send(to, temp).await;
        let confirmed = self.frame().await;
        assert_eq!((&confirmed["type"], &confirmed["temp_id"]), (&json!("CONFIRM"), &json!(temp)));
        confirmed["message_id"].as_str().unwrap().to_owned()
    }

    /// Tells the server that a message has come.
    pub(crate) async fn confirm(&self, mut message: Value) {
        message["type"] = json!("CONFIRM");
        self.says.send(message.to_string()).await.unwrap();
    }

    /// The next message that was not shown before, and confirms it: one to a person that is said while they enter may come
    /// with what is kept as well as by itself.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            let message = self.frame().await;
            if message["type"] == "PONG" {
                // INIT is over.
                continue;
            }
            assert_eq!(message["type"], "MESSAGE", "{message}");
            let id = message["message_id"].as_str().unwrap().to_owned();
            if !self.shown.contains(&id) {
                self.shown.push(id);
                self.confirm(message.clone()).await;
                return message;
            }
        }
    }
}

async fn live(mut socket: Socket, mut said: mpsc::Receiver<String>, heard: mpsc::Sender<Value>) {
    let (mut beat, mut pongs) = (interval(Duration::from_millis(500)), 0);
    loop {
        let text = tokio::select! {
            _ = beat.tick() => r#"{"type":"PING"}"#.to_owned(),
            text = said.recv() => match text {
                Some(text) => text,
                None => return,
            },
            frame = socket.next() => {
                let Frame::Text(text) = frame else { return };
                let frame: Value = serde_json::from_str(&text).unwrap();
                // The first answers INIT, before what was kept; the second is the first answer to a PING, after it.
                pongs += u32::from(frame["type"] == "PONG");
                let passed_on = frame["type"] != "PONG" || pongs == 2;
                if passed_on && heard.send(frame).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if socket.text(text).await.is_err() {
            return;
        }
    }
}

/// Where a message goes that is for everyone in a block.
pub(crate) fn block(id: u64) -> Value {
    json!({"chat_type": "BLOCK", "block_id": id.to_string()})
}
