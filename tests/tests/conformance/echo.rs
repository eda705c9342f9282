//! A sixth protocol, compiled for these tests alone: what a protocol needs beside its own folder is nothing.

use parlor_tests::{
    client::{Frame, PATIENCE, Socket, native::Native},
    gateway::{Gateway, Setup, http},
    redis::RedisCluster,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SPEC: &str = "
protocols: {native: {}}
replicas: 2
redis: {managed: {}}
";

#[tokio::test]
async fn a_protocol_that_no_list_names_is_served_and_counted() {
    let gateway = Gateway::start(&Setup::spec(SPEC).with_echo().await.unwrap()).await.unwrap();
    let mut socket = Socket::dial(&gateway.url("/echo")).await.unwrap();
    socket.text("back").await.unwrap();
    assert_eq!(next(&mut socket).await, Frame::Text("back".to_owned()));
    socket.binary(vec![0, 255]).await.unwrap();
    assert_eq!(next(&mut socket).await, Frame::Binary(vec![0, 255]));

    let (_, metrics) = gateway.admin_get("/metrics").await.unwrap();
    assert!(metrics.contains("parlor_connections{protocol=\"echo\"} 1.0\n"), "{metrics}");
    assert!(metrics.contains("parlor_connections{protocol=\"native\"} 0.0\n"), "{metrics}");
    let (_, config) = http(gateway.address("shared").unwrap(), "GET", "/page/config.json").await.unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["protocols"]["echo"], "/echo", "{config}");
}

#[tokio::test]
async fn entries_of_a_protocol_that_no_list_names_are_read_back_from_redis() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).redis(&redis.seeds()).with_echo().await.unwrap();
    let (first, second) = (Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap());
    let mut writer = Socket::dial(&first.url("/echo?room=sixth")).await.unwrap();
    let mut reader = Socket::dial(&second.url("/echo?room=sixth")).await.unwrap();
    for socket in [&mut writer, &mut reader] {
        assert_eq!(next(socket).await, Frame::Text("joined".to_owned()));
    }
    writer.text("through Redis").await.unwrap();
    for socket in [&mut writer, &mut reader] {
        assert_eq!(next(socket).await, Frame::Text("through Redis".to_owned()));
    }
    // What a gateway that was not there reads is what is stored.
    let third = Gateway::start(&setup).await.unwrap();
    let mut late = Native::connect(&third.url("/chat")).await.unwrap();
    late.join("sixth", "ada").await.unwrap();
    let history = late.ask_for(json!({"op": "history", "room": "sixth", "limit": 10}), "history").await.unwrap();
    assert_eq!(history["items"][0]["body"]["text"], "through Redis", "{history}");
}

async fn next(socket: &mut Socket) -> Frame {
    timeout(PATIENCE, socket.next()).await.expect("a frame in time")
}
