//! Real gateways over real sockets: how they start, two that are one ChatRoom, refusals, limits, drain, and a gateway that
//! dies while the auditor watches.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod starting;

use std::time::Duration;

use parlor_tests::{
    audit::{self, Plan},
    client::{Refused, Socket, native::Native, onlyone::OnlyOne},
    gateway::{Gateway, Setup, http},
    redis::{RedisCluster, RedisNode, free_port},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::{
    Message,
    frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};

const SPEC: &str = "
protocols: {native: {}, onlyone: {}}
replicas: 2
redis: {managed: {}}
";

#[tokio::test]
async fn two_gateways_on_a_redis_cluster_are_one_chatroom() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).redis(&redis.seeds());
    let gateways = [Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap()];
    protocols_share_a_room(&gateways).await;
    counts_are_exact_within_a_second(&gateways).await;
    a_position_resumes_on_the_other_gateway(&gateways).await;
    a_drained_gateway_sends_its_people_to_the_other(&gateways).await;
}

#[tokio::test]
async fn gateways_that_were_given_no_keys_and_share_a_redis_know_each_others_people() {
    let redis = tokio::task::spawn_blocking(RedisNode::start).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).argument("--redis").argument(redis.address());
    let (first, second) = tokio::join!(Gateway::start(&setup), Gateway::start(&setup));
    let gateways = [first.unwrap(), second.unwrap()];
    a_position_resumes_on_the_other_gateway(&gateways).await;
}

async fn protocols_share_a_room(gateways: &[Gateway; 2]) {
    let mut native = Native::connect(&gateways[0].url("/chat")).await.unwrap();
    let mut onlyone = OnlyOne::connect(&gateways[1].url("/onlyone")).await.unwrap();
    native.join("onlyOne", "ada").await.unwrap();
    let me = onlyone.join("onlyOne").await.unwrap();
    onlyone.chat("onlyOne", "from onlyone").await.unwrap();
    let items = native.push("messages").await.unwrap();
    assert_eq!(items["items"][0]["body"]["text"], "from onlyone");
    assert_eq!(items["items"][0]["from"]["name"], me["username"]);
    native.post("onlyOne", "k", "from native").await.unwrap();
    assert_eq!(onlyone.chats(2).await.unwrap(), ["from onlyone", "from native"]);
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let room = json!({"room_id": "onlyOne"});
    let count = onlyone.ask("roomHandler.getRoomAllUserNum", room.clone()).await.unwrap();
    assert_eq!(count["data"], 1, "the clients add themselves to the first count");
    let count = onlyone.ask("roomHandler.getRoomAllUserNum", room.clone()).await.unwrap();
    assert_eq!(count["data"], 2, "people of every protocol on every gateway count");
    let info = onlyone.ask("roomHandler.getRoomInfo", room).await.unwrap();
    assert_eq!(info["data"]["room_user_count"], 2, "{info}");
}

async fn counts_are_exact_within_a_second(gateways: &[Gateway; 2]) {
    let mut people = Vec::new();
    for i in 0..10 {
        let mut person = Native::connect(&gateways[i % 2].url("/chat")).await.unwrap();
        person.join("counted", "p").await.unwrap();
        people.push(person);
    }
    for left in [10, 7] {
        people.truncate(left);
        tokio::time::sleep(Duration::from_millis(1300)).await;
        for person in people.iter_mut().take(2) {
            let count = person.ask_for(json!({"op": "members", "room": "counted"}), "members").await.unwrap();
            assert_eq!(count["count"], left);
        }
    }
}

async fn a_position_resumes_on_the_other_gateway(gateways: &[Gateway; 2]) {
    let mut ada = Native::connect(&gateways[0].url("/chat")).await.unwrap();
    let joined = ada.join("resumed", "ada").await.unwrap();
    for n in 1..=3 {
        ada.post("resumed", &format!("k{n}"), &format!("message {n}")).await.unwrap();
    }
    drop(ada);
    let mut bob = Native::connect(&gateways[1].url("/chat")).await.unwrap();
    bob.join("resumed", "bob").await.unwrap();
    bob.post("resumed", "b", "message 4").await.unwrap();
    let mut ada = Native::connect(&gateways[1].url("/chat")).await.unwrap();
    let again = ada.resume("resumed", "ada", &joined, 1).await.unwrap();
    assert!(again.recovered);
    let seen = ada.messages(3).await.unwrap();
    assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3, 4]);
    // The same person: its key from the other gateway is known here.
    let twice = json!({"op": "post", "room": "resumed", "key": "k3", "body": {"text": "message 3"}});
    let posted = ada.ask_for(twice, "posted").await.unwrap();
    assert_eq!((&posted["seq"], &posted["duplicate"]), (&json!(3), &json!(true)));
}

async fn a_drained_gateway_sends_its_people_to_the_other(gateways: &[Gateway; 2]) {
    let mut ada = Native::connect(&gateways[0].url("/chat")).await.unwrap();
    let joined = ada.join("moved", "ada").await.unwrap();
    let mut onlyone = OnlyOne::connect(&gateways[0].url("/onlyone")).await.unwrap();
    onlyone.join("onlyOne").await.unwrap();
    assert_eq!(gateways[0].admin("POST", "/drain").await.unwrap().0, 202);
    assert_eq!(gateways[0].admin_get("/readyz").await.unwrap().0, 503);
    assert_eq!(gateways[0].admin_get("/livez").await.unwrap().0, 200);
    assert!(ada.push("moved").await.unwrap()["after"].as_u64().is_some());
    let code = onlyone.socket.close_code().await.unwrap();
    assert!([1001, 1012].contains(&code), "{code}");
    let mut elsewhere = Native::connect(&gateways[1].url("/chat")).await.unwrap();
    assert!(elsewhere.resume("moved", "ada", &joined, joined.seq).await.unwrap().recovered);
    drop(ada);
    for _ in 0..100 {
        if gateways[0].status().await.unwrap().connections == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the drained gateway still has connections: {:?}", gateways[0].status().await.unwrap());
}

#[tokio::test]
async fn a_gateway_that_is_killed_takes_no_acknowledged_message_with_it() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).redis(&redis.seeds());
    let mut gateways = [Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap()];
    let urls = |path: &str| gateways.iter().map(|gateway| gateway.url(path)).collect::<Vec<_>>();
    let plan = Plan {
        native: urls("/chat"),
        onlyone: urls("/onlyone"),
        rooms: vec!["onlyOne".into()],
        members: 20,
        rate: 60.0,
        duration: Duration::from_secs(8),
        ..Plan::default()
    };
    let audit = tokio::spawn(async move { audit::run(&plan).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    gateways[0].kill().unwrap();
    let report = audit.await.unwrap().unwrap();
    assert!(report.verdict.is_clean(), "{report}\n{}", gateways[1].log());
    assert!(report.reconnects >= 10, "nobody was on the gateway that died\n{report}");
    assert!(report.verdict.acknowledged > 400, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_large_room_get_each_message_once_and_in_order() {
    // On one core a gateway has one reactor, and all of them are its readers.
    let spec = "protocols: {native: {}, onlyone: {}}\nreplicas: 1\nredis: {memory: {}}";
    let gateway = Gateway::start(&Setup::spec(spec).through(&["taskset", "-c", "0"])).await.unwrap();
    let plan = Plan {
        native: vec![gateway.url("/chat")],
        onlyone: vec![gateway.url("/onlyone")],
        rooms: vec!["onlyOne".into()],
        members: 300,
        rate: 60.0,
        duration: Duration::from_secs(4),
        ..Plan::default()
    };
    let report = audit::run(&plan).await.unwrap();
    assert!(report.verdict.is_clean(), "{report}\n{}", gateway.log());
    assert_eq!(report.verdict.acknowledged, 240);
}

#[tokio::test]
async fn the_shared_port_serves_the_page_and_an_own_port_takes_any_path() {
    let port = free_port().unwrap();
    let spec = format!("protocols: {{native: {{}}, onlyone: {{port: {port}}}}}");
    let gateway = Gateway::start(&Setup::spec(&spec)).await.unwrap();
    let shared = gateway.address("shared").unwrap();
    for (path, wanted) in [("/", 200), ("/parlor.js", 200), ("/nothing-here", 404), ("/metrics", 404)] {
        assert_eq!(http(shared, "GET", path).await.unwrap().0, wanted, "{path}");
    }
    for path in ["/", "/websocket?token=abc", "/any/thing"] {
        let mut client = OnlyOne::connect(&format!("ws://127.0.0.1:{port}{path}")).await.unwrap();
        client.join("onlyOne").await.unwrap();
    }
    assert!(Socket::dial(&gateway.url("/elsewhere")).await.is_err());
}

/// A masked TEXT frame behind the head, as a client sends it that does not wait for the answer.
const PING: &str = r#"{"op":"ping","id":1}"#;

#[tokio::test]
async fn an_upgrade_is_answered_alike_however_it_comes() {
    let gateway = Gateway::start(&Setup::spec("{}")).await.unwrap();
    let ask = |path: &str| {
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes();
        let head = request.len();
        // A mask of zeros leaves the payload as it is.
        request.extend([0x81, 0x80 | PING.len() as u8, 0, 0, 0, 0]);
        request.extend(PING.bytes());
        (request, head)
    };
    // Whole before the gateway can have looked; then in two pieces, the second of which comes later.
    let (request, head) = ask("/chat");
    let whole = request.len();
    for cut in [whole, 1, head / 2, head - 1, head, head + 1, whole - 1] {
        let answer = talk(&gateway, &request, cut).await;
        let (head, frame) = answer.split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
        assert_eq!(
            lines,
            [
                "HTTP/1.1 101 Switching Protocols",
                "connection: Upgrade",
                "upgrade: websocket",
                "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            ],
            "{cut} bytes first"
        );
        assert!(frame.contains(r#"{"op":"pong","id":1}"#), "{cut} bytes first: {frame}");
    }
    let (request, _) = ask("/elsewhere");
    for cut in [request.len(), 10] {
        assert!(talk(&gateway, &request, cut).await.starts_with("HTTP/1.1 404"), "{cut} bytes first");
    }
    assert_eq!(gateway.refusals().await.unwrap().get(&("none".into(), "not_found".into())), Some(&2));
}

/// Sends the request, `cut` bytes of it before the gateway accepts and the rest afterwards; gives what comes back until
/// it pauses.
async fn talk(gateway: &Gateway, request: &[u8], cut: usize) -> String {
    gateway.freeze().unwrap();
    let mut stream = TcpStream::connect(gateway.address("shared").unwrap()).await.unwrap();
    stream.write_all(&request[..cut]).await.unwrap();
    gateway.thaw().unwrap();
    if cut < request.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(&request[cut..]).await.unwrap();
    }
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = timeout(Duration::from_millis(500), stream.read_buf(&mut answer)).await {}
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_full_gateway_refuses_with_503_and_stays_ready() {
    let gateway = Gateway::start(&Setup::spec("limits: {connectionsPerGateway: 2}")).await.unwrap();
    let _first = Socket::dial(&gateway.url("/chat")).await.unwrap();
    let second = Socket::dial(&gateway.url("/chat")).await.unwrap();
    let refused = Socket::dial(&gateway.url("/chat")).await.err().unwrap().downcast::<Refused>().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
    assert_eq!(gateway.admin_get("/readyz").await.unwrap().0, 200);
    drop(second);
    for _ in 0..50 {
        if Socket::dial(&gateway.url("/chat")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a place that was left is not given again");
}

#[tokio::test]
async fn a_message_may_be_as_long_as_the_limit_and_one_byte_more_closes_with_1009() {
    let gateway = Gateway::start(&Setup::spec("limits: {messageBytes: 256}")).await.unwrap();
    let padded = |bytes: usize| {
        let frame = r#"{"op":"ping","id":1,"pad":""}"#;
        frame.replace(r#""""#, &format!(r#""{}""#, "x".repeat(bytes - frame.len())))
    };
    let mut fits = Native::connect(&gateway.url("/chat")).await.unwrap();
    fits.socket.text(padded(256)).await.unwrap();
    assert_eq!(fits.push("pong").await.unwrap()["id"], 1);
    for path in ["/chat", "/onlyone"] {
        let mut long = Socket::dial(&gateway.url(path)).await.unwrap();
        long.text(padded(257)).await.unwrap();
        assert_eq!(long.close_code().await.unwrap(), 1009, "{path}");
    }
}

#[tokio::test]
async fn text_that_is_no_utf8_closes_with_1007() {
    let gateway = Gateway::start(&Setup::spec("{}")).await.unwrap();
    for path in ["/chat", "/onlyone"] {
        let mut socket = Socket::dial(&gateway.url(path)).await.unwrap();
        let frame = RawFrame::message(vec![b'a', 0xff, 0xfe], OpCode::Data(Data::Text), true);
        socket.message(Message::Frame(frame)).await.unwrap();
        assert_eq!(socket.close_code().await.unwrap(), 1007, "{path}");
    }
}

#[tokio::test]
async fn a_person_who_posts_too_fast_learns_when_to_try_again() {
    let gateway = Gateway::start(&Setup::spec("limits: {messagesPerSecond: 1}")).await.unwrap();
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    ada.join("fast", "ada").await.unwrap();
    let mut limited = None;
    for n in 0..5 {
        let answer = ada.ask(json!({"op": "post", "room": "fast", "body": {"text": n.to_string()}})).await.unwrap();
        if answer["op"] == "error" {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.unwrap();
    assert_eq!(limited["code"], "rate_limited");
    assert!(limited["retry"].as_u64().is_some_and(|retry| (1..=2000).contains(&retry)), "{limited}");
}

#[tokio::test]
async fn sigterm_moves_people_away_and_ends_with_0() {
    let mut gateway = Gateway::start(&Setup::spec("drain: {rate: 10000, deadline: 10s}")).await.unwrap();
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    ada.join("r", "ada").await.unwrap();
    let leaving = tokio::spawn(async move {
        let moved = ada.push("moved").await.unwrap();
        tokio::time::sleep(Duration::from_millis(moved["after"].as_u64().unwrap())).await;
    });
    let status = gateway.terminate(Duration::from_secs(25)).await.unwrap();
    assert!(status.success(), "{status}\n{}", gateway.log());
    leaving.await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_gives_connections_away_asks_so_many_and_serves_on() {
    let gateway = Gateway::start(&Setup::spec("drain: {rate: 10000}")).await.unwrap();
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push(Native::connect(&gateway.url("/chat")).await.unwrap());
    }
    assert_eq!(gateway.admin_post("/drain", r#"{"connections": 3}"#).await.unwrap().0, 202);
    let asked = people.iter_mut().map(|one| tokio::time::timeout(Duration::from_secs(2), one.push("moved")));
    let asked = futures::future::join_all(asked).await.into_iter().filter(|told| matches!(told, Ok(Ok(_))));
    assert_eq!(asked.count(), 3);
    assert_eq!(gateway.admin_get("/readyz").await.unwrap().0, 200);
    let mut new = Native::connect(&gateway.url("/chat")).await.unwrap();
    new.join("r", "ada").await.unwrap();
}
