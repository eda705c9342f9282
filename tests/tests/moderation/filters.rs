//! What messages may say: the list of words and the webhook, over real gateways and their protocols.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use parlor_gateway::moderation::webhook::signature;
use parlor_tests::{
    client::{native::Native, onlyone::OnlyOne},
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

const KEY: &str = "the key of the webhook";

/// Posts a text, and answers `posted` or the code and the message of its error.
async fn post(person: &mut Native, text: &str) -> Result<String> {
    let answer = person.ask(json!({"op": "post", "room": "lobby", "body": {"text": text}})).await?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    Ok(if answer["op"] == "posted" { "posted".to_owned() } else { format!("{}: {}", text("code"), text("message")) })
}

#[tokio::test]
async fn a_message_with_a_listed_word_is_refused_in_every_protocol_until_the_list_changes() -> Result<()> {
    let spec = "
protocols: {native: {}, onlyone: {rooms: [lobby]}}
moderation: {words: {configMapRef: {name: words, key: list}}}
replicas: 1
redis: {memory: {}}
";
    let gateway = Gateway::start(&Setup::spec(spec).secret("words/list", "# no\nsecret\n坏话\n")).await?;
    let mut ada = Native::connect(&gateway.url("/chat")).await?;
    ada.join("lobby", "ada").await?;
    for refused in ["a SECRET", "ｓｅｃｒｅｔ", "这是坏话"] {
        let told = post(&mut ada, refused).await?;
        ensure!(told == "refused: the message has a word that is not wanted here", "{refused}: {told}");
    }
    ensure!(post(&mut ada, "secretary").await? == "posted");
    let mut bob = OnlyOne::connect(&gateway.url("/onlyone")).await?;
    let said = json!({"room_id": "lobby", "chat_message": {"type": "text", "content": "my secret"}});
    let told = bob.ask("chatHandler.chat", said).await?;
    ensure!(told["code"] == 500, "{told}");
    gateway.remount("words/list", "other\n")?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while post(&mut ada, "a secret").await? != "posted" {
        ensure!(Instant::now() < deadline, "the new list was not read\n{}", gateway.log());
        sleep(Duration::from_millis(200)).await;
    }
    ensure!(post(&mut ada, "the OTHER").await?.starts_with("refused"));
    Ok(())
}

#[tokio::test]
async fn a_list_that_cannot_be_read_ends_the_start_and_names_the_field() -> Result<()> {
    let spec = "moderation: {words: {configMapRef: {name: words, key: list}}}\nreplicas: 1\nredis: {memory: {}}";
    let (code, said) = parlor_tests::gateway::refusal(&Setup::spec(spec).secret("other/key", "x")).await?;
    ensure!(code == 64 && said.contains("spec.moderation.words.configMapRef: failed to read"), "{code}: {said}");
    Ok(())
}

/// A web service that judges messages by their text.
struct Service {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Ok(Self { address, asked })
    }

    fn spec(&self, on_failure: &str) -> String {
        format!(
            "
protocols: {{native: {{}}, onlyone: {{rooms: [lobby]}}}}
moderation: {{webhook: {{url: 'http://{}/judge', secretRef: {{name: hook, key: key}}, timeout: 500ms, onFailure: {on_failure}}}}}
replicas: 1
redis: {{memory: {{}}}}
",
            self.address
        )
    }

    async fn gateway(&self, on_failure: &str) -> Result<Gateway> {
        Gateway::start(&Setup::spec(&self.spec(on_failure)).secret("hook/key", KEY)).await
    }
}

/// Answers the questions of one connection.
async fn serve(stream: TcpStream, asked: Arc<Mutex<Vec<Value>>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut timestamp, mut signed) = (0, String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "parlor-timestamp" => timestamp = value.to_owned(),
                "parlor-signature" => signed = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let question: Value = serde_json::from_slice(&body)?;
        let text = question["body"]["text"].as_str().unwrap_or_default().to_owned();
        let right = signed == signature(KEY.as_bytes(), &timestamp, &body);
        asked.lock().push(question);
        let (status, answer) = match text.as_str() {
            _ if !right => (403, json!({})),
            "slow" => {
                sleep(Duration::from_millis(200)).await;
                (200, json!({"action": "allow"}))
            }
            "hang" => {
                sleep(Duration::from_secs(3)).await;
                (200, json!({"action": "refuse"}))
            }
            "bad" => (200, json!({"action": "refuse", "reason": "no bad words"})),
            "swap" => (200, json!({"action": "rewrite", "body": {"text": "swapped"}})),
            "broken" => (500, json!({})),
            _ => (200, json!({"action": "allow"})),
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(head.as_bytes()).await?;
    }
}

#[tokio::test]
async fn the_webhook_allows_refuses_and_rewrites_and_keeps_the_order() -> Result<()> {
    let service = Service::start().await?;
    let gateway = service.gateway("Allow").await?;
    let mut ada = Native::connect(&gateway.url("/chat")).await?;
    ada.join("lobby", "ada").await?;
    let mut bob = OnlyOne::connect(&gateway.url("/onlyone")).await?;
    bob.join("lobby").await?;
    ensure!(post(&mut ada, "fine").await? == "posted");
    ensure!(post(&mut ada, "bad").await? == "refused: no bad words");
    ensure!(post(&mut ada, "swap").await? == "posted");
    for text in ["slow", "quick", "quicker"] {
        ada.socket.text(json!({"op": "post", "room": "lobby", "body": {"text": text}}).to_string()).await?;
    }
    let seen: Vec<_> = ada.messages(5).await?.into_iter().map(|(_, text)| text).collect();
    ensure!(seen == ["fine", "swapped", "slow", "quick", "quicker"], "{seen:?}");
    let question = service.asked.lock().first().cloned().context("nobody was asked")?;
    ensure!(question["room"] == "lobby" && question["chatroom"] == "default/test", "{question}");
    ensure!(question["from"]["name"] == "ada" && question["protocol"] == "native", "{question}");
    // What came from elsewhere is asked about too, and its own readers are shown what it became.
    bob.chat("lobby", "swap").await?;
    let seen = ada.messages(1).await?;
    ensure!(seen[0].1 == "swapped", "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_fails_lets_messages_pass_or_refuses_them_as_the_chatroom_says() -> Result<()> {
    let service = Service::start().await?;
    for (on_failure, told) in [("Allow", "posted"), ("Refuse", "refused: messages cannot be checked now: try again")] {
        let gateway = service.gateway(on_failure).await?;
        let mut ada = Native::connect(&gateway.url("/chat")).await?;
        ada.join("lobby", "ada").await?;
        for text in ["hang", "broken"] {
            let began = Instant::now();
            let answer = post(&mut ada, text).await?;
            ensure!(answer == told, "{on_failure} {text}: {answer}\n{}", gateway.log());
            ensure!(began.elapsed() < Duration::from_millis(2500), "it took {:?}", began.elapsed());
        }
        ensure!(gateway.counter("webhook_failures").await? == 2);
        ensure!(gateway.counter("webhook_questions").await? == 2);
        ensure!(post(&mut ada, "fine").await? == "posted");
    }
    Ok(())
}
