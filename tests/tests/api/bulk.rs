//! Many messages in one request: answered line by line, in order, also while the request is still being sent.

use std::time::Duration;

use parlor_tests::{client::native::Native, redis::RedisCluster};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Api, TOKEN, memory, post, setup};

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

impl Api {
    pub(crate) async fn publish_all(&self, body: &str) -> Vec<Value> {
        let mut request = post("/v1/messages", body).bearer(TOKEN);
        request.headers[0].1 = "application/x-ndjson".to_owned();
        let answer = self.send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        lines(&answer.body)
    }
}

#[tokio::test]
async fn each_line_is_answered_in_its_place_and_a_bad_one_stops_nothing() {
    let api = memory().await;
    let long = format!(r#"{{"room":"a","body":{{"text":"{}"}}}}"#, "x".repeat(20_000));
    let body = [
        r#"{"room":"a","key":"k","body":{"text":"1"}}"#,
        "no json",
        "",
        r#"{"room":"b","body":{"text":"1"},"from":{"id":"u1","name":"ada"}}"#,
        &long,
        r#"{"room":"","body":{}}"#,
        r#"{"room":"a","key":"k","body":{"text":"1"}}"#,
        r#"{"room":"a","body":{"text":"2"}}"#,
    ];
    let answers = api.publish_all(&body.join("\n")).await;
    let seqs: Vec<_> = answers.iter().map(|answer| (answer["seq"].as_u64(), answer["code"].as_str())).collect();
    let (bad, large) = (Some("bad_request"), Some("too_large"));
    let wanted =
        [(Some(1), None), (None, bad), (Some(1), None), (None, large), (None, bad), (Some(1), None), (Some(2), None)];
    assert_eq!(seqs, wanted);
    assert_eq!((&answers[0]["duplicate"], &answers[5]["duplicate"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn ten_thousand_messages_to_twenty_rooms_are_kept_in_order_and_read_on_the_other_gateway() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = setup("redis: {managed: {}}\nreplicas: 2\nlimits: {messagesPerSecond: 100000}\n").redis(&redis.seeds());
    let (first, second) = (Api::start(&setup).await, Api::start(&setup).await);
    let mut ada = Native::connect(&second.gateway.url("/chat")).await.unwrap();
    ada.join("room 7", "ada").await.unwrap();
    let line = |n: u64| format!("{{\"room\":\"room {}\",\"key\":\"k{n}\",\"body\":{{\"text\":\"{n}\"}}}}\n", n % 20);
    let body: String = (0..10_000).map(line).collect();
    let answers = first.publish_all(&body).await;
    assert_eq!(answers.len(), 10_000);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer["seq"], n / 20 + 1, "{answer}");
    }
    let seen = ada.messages(500).await.unwrap();
    for (n, (seq, text)) in seen.into_iter().enumerate() {
        assert_eq!((seq, text), (n as u64 + 1, (n * 20 + 7).to_string()));
    }
    let again = first.publish_all(&body).await;
    assert!(again.iter().all(|answer| answer["duplicate"] == true), "under the same keys nothing is stored twice");
}

#[tokio::test]
async fn answers_come_while_the_request_is_being_sent() {
    let api = memory().await;
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for n in 1..=3 {
        let line = format!("{{\"room\":\"lobby\",\"body\":{{\"text\":\"{n}\"}}}}\n");
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let wanted = format!("\"seq\":{n},");
        while !String::from_utf8_lossy(&answer).contains(&wanted) {
            let read = timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await.unwrap().unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        }
    }
}
