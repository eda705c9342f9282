//! What is too much: more joins than are announced, readers that do not read, senders above their rate.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use parlor_tests::{
    client::{Frame, PATIENCE, Socket, native::Native, onlyone::OnlyOne, relay},
    gateway::{Gateway, Setup},
    table::play,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{RELAY_KEY, SPEC, relay::with_tokens};

/// Joins of a room in a second that are announced to all who are in it.
const ANNOUNCED: usize = 50;
/// Connections that come at once.
const CROWD: usize = 300;

#[tokio::test]
async fn of_a_crowd_of_onlyone_joins_each_sees_its_own_and_others_fifty_per_second() {
    let gateway = Gateway::start(&Setup::spec("protocols: {onlyone: {}}")).await.unwrap();
    let url = gateway.url("/onlyone");
    let mut witness = OnlyOne::connect(&url).await.unwrap();
    let me = witness.join("onlyOne").await.unwrap();
    assert_eq!(witness.push("room.join").await.unwrap()["user"], me);
    let mut crowd = try_join_all((0..CROWD).map(|_| OnlyOne::connect(&url))).await.unwrap();
    let since = Instant::now();
    let joins = crowd.iter_mut().map(async |client| {
        let user = client.join("onlyOne").await?;
        while client.push("room.join").await?["user"] != user {}
        Ok(user["userId"].clone())
    });
    let users: Vec<Value> = join_all(joins).await.into_iter().collect::<Result<_>>().unwrap();
    let seconds = usize::try_from(since.elapsed().as_secs()).unwrap();
    let room = json!({"room_id": "onlyOne"});
    while crowd[0].ask("roomHandler.getRoomAllUserNum", room.clone()).await.unwrap()["data"] != CROWD + 1 {
        assert!(since.elapsed() < 3 * PATIENCE, "not all are counted");
        sleep(Duration::from_millis(100)).await;
    }
    let came = witness.socket.settled().await.unwrap();
    let pushes = came.into_iter().map(|frame| match frame {
        Frame::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
        other => panic!("{other:?} came"),
    });
    let told: Vec<Value> = pushes.map(|push| push["data"]["user"]["userId"].clone()).collect();
    assert!(told.iter().all(|user| users.contains(user)), "{told:?}");
    // However slow the machine is; of the first second the witness took a join itself.
    let most = ANNOUNCED * (seconds + 2);
    assert!((ANNOUNCED - 1..=most).contains(&told.len()), "{} of {CROWD} within {seconds} s", told.len());
}

/// A room that is read in every protocol but `match`, whose people read only what is said to them.
const SLOW: &str = "
protocols:
  native: {}
  onlyone: {rooms: ['1']}
  relay: {tokenKey: {secretRef: {name: relay, key: token}}}
  multiperson: {room: '1'}
limits: {messageBytes: 1048576, messagesPerSecond: 1000}
";

/// Bytes that wait unread with a client that does not read.
const UNREAD: u32 = 64 << 10;
/// Messages that are more than a room's log in memory, and the kernel on both sides, take.
const MANY: usize = 40;
const LONG: usize = 500_000;

/// A member of the room that reads no more after its join.
async fn deaf(gateway: &Gateway, path: &str) -> Result<Socket> {
    let mut socket = Socket::narrow(&gateway.url(path), UNREAD).await?;
    match path {
        "/chat" => socket.text(r#"{"op":"join","id":1,"room":"1","name":"deaf"}"#).await?,
        "/onlyone" => {
            let data = json!({"room_id": "1"});
            let join = json!({"requestId": 2, "type": "request", "route": "roomHandler.joinRoom", "data": data});
            socket.text(join.to_string()).await?;
        }
        "/room" => socket.binary(relay::frame(&with_tokens("SIGN_IN 1 TWELVE")).context("a frame")?).await?,
        _ => socket.text(r#"{"type":"INIT","user_id":1,"user_name":"deaf"}"#).await?,
    }
    socket.soon().await?;
    Ok(socket)
}

#[tokio::test]
async fn readers_that_do_not_read_are_closed_with_1013_and_others_miss_nothing() {
    let setup = Setup::spec(SLOW).secret("relay/token", RELAY_KEY);
    let gateway = Gateway::start(&setup).await.unwrap();
    let paths = [("native", "/chat"), ("onlyone", "/onlyone"), ("relay", "/room"), ("multiperson", "/multiperson")];
    let deaf = try_join_all(paths.map(|(_, path)| deaf(&gateway, path))).await.unwrap();
    let mut ada = Native::connect(&gateway.url("/chat")).await.unwrap();
    ada.join("1", "ada").await.unwrap();
    let long = "x".repeat(LONG);
    for n in 0..MANY {
        ada.post("1", &n.to_string(), &long).await.unwrap();
    }
    let heard = ada.messages(MANY).await.unwrap();
    assert!(heard.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "not in order");
    for ((protocol, _), mut socket) in paths.into_iter().zip(deaf) {
        assert_eq!(socket.close_code().await.unwrap(), 1013, "{protocol}");
        let counted = gateway.refusals().await.unwrap();
        assert_eq!(counted.get(&(protocol.to_owned(), "slow_consumer".to_owned())), Some(&1), "{counted:?}");
    }
}

/// Messages per second of one connection; twice as many at once.
const RATE: u64 = 10;
/// Messages that are sent at once.
const SENT: u64 = 60;

/// For each protocol that has no error for it: its path, what comes before, what is said as message `NUMBER`, and what comes
/// of it.
const SENDERS: [(&str, &str, &str, &str); 4] = [
    (
        "/onlyone",
        r#"
        a > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
        a <~ {"code":0,"requestId":2}
        a <~ {"route":"room.join"}"#,
        r#"a > {"route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{"content":"NUMBER"}}}"#,
        r#"a < {"route":"room.chat","data":{"chat_message":{"content":"NUMBER"}}}"#,
    ),
    (
        "/room",
        "
        a > SIGN_IN many TWELVE
        a < {\"type\":0,\"code\":0}",
        "a > MESSAGE many IMPORTANT NUMBER",
        r#"a < {"type":3,"items":["NUMBER"]}"#,
    ),
    (
        "/ws",
        r#"
        b > {"cmd":"CRT_ACCOUNT_REQ","nickName":"bob"}
        b < {"cmd":"CRT_ACCOUNT_RESP","accountId":"$bob"}
        a > {"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}
        a < {"cmd":"CRT_ACCOUNT_RESP","accountId":"$ada"}
        a > {"cmd":"MATCH_REQ","accountId":"$ada"}
        a < {"cmd":"MATCH_RESP","code":0,"sessionId":"$s"}
        b < {"cmd":"PUSH_SIGNAL_REQ","signalType":"NewSession"}"#,
        r#"a > {"cmd":"DIALOGUE_REQ","requestId":"NUMBER","senderId":"$ada","sessionId":"$s","content":"say NUMBER"}"#,
        r#"a < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"NUMBER"}
        b < {"cmd":"PUSH_DIALOGUE_REQ","content":"say NUMBER"}"#,
    ),
    (
        "/multiperson",
        r#"
        a > {"type":"INIT","user_id":1,"user_name":"ada"}
        a < {"type":"SYSTEM"}"#,
        r#"a > {"type":"USER","user_id":1,"message":"NUMBER"}"#,
        r#"a < {"type":"USER","message":"NUMBER"}"#,
    ),
];

async fn sends_too_fast(gateway: &Gateway, path: &str, before: &str, said: &str, comes: &str) -> Result<()> {
    let all = |line: &str| (0..SENT).map(|n| line.replace("NUMBER", &n.to_string()) + "\n").collect::<String>();
    let table = with_tokens(&format!("{before}\n{}{}", all(said), all(comes)));
    let since = Instant::now();
    play(&table, "", |_| gateway.url(path)).await.with_context(|| path.to_owned())?;
    // Two seconds' worth passes at once, and the rest no faster than the rate.
    let least = Duration::from_secs((SENT - 2 * RATE) / RATE);
    let took = since.elapsed();
    ensure!(took >= least, "{path}: {SENT} messages came within {took:?}");
    Ok(())
}

#[tokio::test]
async fn above_its_rate_a_socket_is_read_later_and_nothing_of_it_is_lost() {
    let spec = SPEC.replace("messagesPerSecond: 1000", &format!("messagesPerSecond: {RATE}"));
    let gateway = Gateway::start(&Setup::spec(&spec).secret("relay/token", RELAY_KEY)).await.unwrap();
    let play = |(path, before, said, comes)| sends_too_fast(&gateway, path, before, said, comes);
    try_join_all(SENDERS.map(play)).await.unwrap();
}
