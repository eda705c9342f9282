//! `/ws/…` of multiperson over real gateways: every endpoint as a table of requests and answers, with memory and over
//! two gateways on a Redis Cluster; blocks as those see them who are connected, and the ids in them ([`order`]); and what outlives a gateway.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod order;
mod person;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use parlor_tests::{
    client::Socket,
    gateway::{Gateway, Setup},
    redis::{RedisCluster, free_port},
};
use serde_json::{Value, json};

use self::person::{Person, block};

const SPEC: &str = "
protocols: {multiperson: {}, match: {}}
replicas: 2
redis: {managed: {}}
";

/// Who is asked, a gateway by letter; the request; the status and the body of the answer, to the byte.
const TABLE: &str = r#"
# the first to come is not the host, and a name has one number
a POST /ws/login {"name":"ada"}
200 {"code":200,"message":"","data":{"user_id":2,"user_name":"ada","user_img":""}}
b POST /ws/login {"user_name":"bob"}
200 {"code":200,"message":"","data":{"user_id":3,"user_name":"bob","user_img":""}}
b POST /ws/login {"name":"ada"}
200 {"code":200,"message":"","data":{"user_id":2,"user_name":"ada","user_img":""}}
# the clients' log-out is a login without a name
a POST /ws/login {}
200 {"code":200,"message":"","data":{}}
a POST /ws/login {"name":"a\u0000b"}
400 {"code":400,"message":"name must have 1 to 255 bytes, something to see and nothing invisible","success":false,"data":{}}
a POST /ws/login nonsense
400 {"code":400,"message":"the body must be a JSON object","success":false,"data":{}}
a GET /ws/login?name=ada
405 {"code":405,"message":"method not allowed","success":false,"data":{}}

# rows are arrays
b GET /ws/user?user_id=2
200 {"code":200,"message":"","data":[{"user_id":2,"user_name":"ada","user_img":""}]}
b POST /ws/user {"user_id":"2"}
200 {"code":200,"message":"","data":[{"user_id":2,"user_name":"ada","user_img":""}]}
b GET /ws/user?user_id=1
200 {"code":200,"message":"","data":[{"user_id":1,"user_name":"Parlor","user_img":""}]}
b GET /ws/user?user_id=99
200 {"code":200,"message":"","data":[]}
b GET /ws/user
400 {"code":400,"message":"user_id is missing","success":false,"data":{}}
b GET /ws/user?user_id=-2
400 {"code":400,"message":"user_id must be a whole number from 1 to 9007199254740991","success":false,"data":{}}
b GET /ws/block?block_id=1
200 {"code":200,"message":"","data":[{"block_id":1,"block_name":"Everyone","owner_id":1,"block_img":""}]}
b GET /ws/block?block_id=99
200 {"code":200,"message":"","data":[]}

# everyone begins with the host as a contact, in the first block, with its conversation
b GET /ws/profile/contacter?user_id=2
200 {"code":200,"message":"","data":[{"user_id":1,"user_name":"Parlor","user_img":""}]}
b GET /ws/profile/block?user_id=2
200 {"code":200,"message":"","data":[{"block_id":1,"block_name":"Everyone","owner_id":1,"block_img":"","user_id":2}]}
b GET /ws/conversation?user_id=2
200 {"code":200,"message":"","data":[{"block_id":"1"},{"contacter_id":"1"}]}

# contacts
a GET /ws/contacter/add?user_id=2&contacter_id=3
200 {"code":200,"message":""}
b GET /ws/contacter/add?user_id=2&contacter_id=3
200 {"code":200,"message":""}
b GET /ws/profile/contacter?user_id=3
200 {"code":200,"message":"","data":[{"user_id":1,"user_name":"Parlor","user_img":""},{"user_id":2,"user_name":"ada","user_img":""}]}
a GET /ws/contactor?user_id=2
200 {"code":200,"message":"","data":[{"user_id":1,"user_name":"Parlor","user_img":""},{"user_id":3,"user_name":"bob","user_img":""}]}
a GET /ws/contacter/add?user_id=2&contacter_id=99
200 {"code":500,"message":"添加失败"}
a GET /ws/contacter/add?user_id=2&contacter_id=x
400 {"code":400,"message":"contacter_id must be a whole number from 1 to 9007199254740991","success":false,"data":{}}

# blocks
a GET /ws/block/new?user_id=2&block_name=%E8%8C%B6%20room
200 {"code":200,"message":"","data":{"block_id":2,"block_name":"茶 room","owner_id":2}}
b GET /ws/block/join?user_id=3&block_id=2
200 {"code":200,"message":""}
a GET /ws/block/join?user_id=3&block_id=2
200 {"code":200,"message":""}
a GET /ws/profile/block?user_id=3
200 {"code":200,"message":"","data":[{"block_id":1,"block_name":"Everyone","owner_id":1,"block_img":"","user_id":3},{"block_id":2,"block_name":"茶 room","owner_id":2,"block_img":"","user_id":3}]}
a GET /ws/profile/contacter?user_id=3
200 {"code":200,"message":"","data":[{"user_id":1,"user_name":"Parlor","user_img":""},{"user_id":2,"user_name":"ada","user_img":""}]}
a GET /ws/block/join?user_id=3&block_id=99
200 {"code":500,"message":"加入失败"}
a GET /ws/block/new?user_id=99&block_name=x
200 {"code":500,"message":"创建失败"}
a GET /ws/block/new?user_id=2
400 {"code":400,"message":"block_name is missing","success":false,"data":{}}

# searches look for parts of names
b GET /ws/search/contacter?user_name=DA
200 {"code":200,"message":"","data":[{"user_id":2,"user_name":"ada","user_img":""}]}
b GET /ws/search/contacter?user_name=
200 {"code":200,"message":"","data":[{"user_id":2,"user_name":"ada","user_img":""},{"user_id":3,"user_name":"bob","user_img":""}]}
b GET /ws/search/contacter?user_name=nobody
200 {"code":200,"message":"","data":[]}
b GET /ws/search/contacter
200 {"code":200,"message":"","data":[]}
b GET /ws/search/block?block_name=%E8%8C%B6
200 {"code":200,"message":"","data":[{"block_id":2,"block_name":"茶 room","owner_id":2,"block_img":""}]}

# the earliest clients
a POST /ws/add {"name":"eve"}
200 {"user":{"name":"eve","id":4}}
b GET /ws/users
200 {"useList":[{"id":2,"username":"ada"},{"id":3,"username":"bob"},{"id":4,"username":"eve"}]}
b GET /ws/messages
200 {"messageList":[]}

# browsers ask before each of them
a OPTIONS /ws/login
204
a OPTIONS /ws/conversation
204
"#;

/// Status, head in lower case, and body.
type Answer = (u16, String, String);

async fn call(address: SocketAddr, host: &str, method: &str, target: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

async fn ask(gateway: &Gateway, method: &str, target: &str, body: &str) -> Answer {
    call(gateway.address("shared").unwrap(), "any.test", method, target, body).await
}

/// Without the pictures of people and blocks. There must be some: clients log people out who have none.
fn without_pictures(body: &str) -> String {
    let mut parts = body.split("_img\":\"");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (picture, after) = part.split_once('"').unwrap();
        assert!(picture.starts_with("data:image/svg+xml,"), "{body}");
        rest += &format!("_img\":\"\"{after}");
    }
    rest
}

async fn play(a: &Gateway, b: &Gateway) {
    let mut lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let (Some(request), Some(expected)) = (lines.next(), lines.next()) {
        let mut words = request.splitn(4, ' ');
        let (gateway, method, target) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let gateway = if gateway == "a" { a } else { b };
        let (status, head, body) = ask(gateway, method, target, words.next().unwrap_or_default()).await;
        assert_eq!(format!("{status} {}", without_pictures(&body)).trim(), expected, "{request}");
        for allowed in ["origin: *", "headers: content-type", "methods: get,head,put,post,delete,patch"] {
            assert!(head.contains(&format!("access-control-allow-{allowed}")), "{request}: {head}");
        }
    }
}

#[tokio::test]
async fn one_gateway_with_memory_answers_to_the_letter() {
    let gateway = Gateway::start(&Setup::spec(SPEC)).await.unwrap();
    play(&gateway, &gateway).await;
    a_block_lives(&gateway, &gateway).await;
    the_earliest_clients_see_what_was_said(&gateway).await;
}

#[tokio::test]
async fn two_gateways_on_a_redis_cluster_answer_as_one_and_what_they_know_outlives_them() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let setup = Setup::spec(SPEC).redis(&redis.seeds());
    let (mut a, b) = (Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap());
    play(&a, &b).await;
    a_block_lives(&a, &b).await;
    let asked = [
        "/ws/profile/contacter?user_id=2",
        "/ws/profile/block?user_id=3",
        "/ws/conversation?user_id=2",
        "/ws/search/contacter?user_name=ad",
    ];
    let mut known = Vec::new();
    for target in asked {
        known.push(ask(&b, "GET", target, "").await.2);
    }
    a.kill().unwrap();
    drop((a, b));
    let later = Gateway::start(&setup).await.unwrap();
    for (target, known) in asked.into_iter().zip(known) {
        assert_eq!(ask(&later, "GET", target, "").await.2, known, "{target}");
    }
    let (_, _, ada) = ask(&later, "POST", "/ws/login", r#"{"name":"ada"}"#).await;
    assert!(ada.contains(r#""user_id":2,"#), "{ada}");
}

async fn list(gateway: &Gateway, user: u64) -> String {
    ask(gateway, "GET", &format!("/ws/conversation?user_id={user}"), "").await.2
}

/// Ada (2, at the first gateway) makes a block while she is here, bob (3, at the second) joins it, and they talk.
async fn a_block_lives(a: &Gateway, b: &Gateway) {
    let (mut ada, mut bob) = (Person::enter(a, 2).await, Person::enter(b, 3).await);
    ada.entered().await;
    bob.entered().await;
    let (_, _, made) = ask(b, "GET", "/ws/block/new?user_id=2&block_name=live", "").await;
    assert_eq!(made, r#"{"code":200,"message":"","data":{"block_id":3,"block_name":"live","owner_id":2}}"#);
    assert_eq!(ask(a, "GET", "/ws/block/join?user_id=3&block_id=3", "").await.0, 200);

    let first = ada.say(block(3), "t1").await;
    let heard = bob.hear().await;
    assert_eq!((&heard["message_id"], &heard["message"]), (&json!(first), &json!("t1")));
    let second = ada.say(block(3), "t2").await;
    assert_eq!(bob.hear().await["message_id"], second);
    assert!(second > first);
    bob.say(block(3), "t3").await;
    assert_eq!(ada.hear().await["message"], "t3", "who makes a block reads it too");
    let live = r#"{"code":200,"message":"","data":[{"block_id":"3"},"#;
    assert!(list(b, 2).await.starts_with(live) && list(a, 3).await.starts_with(live), "{}", list(b, 2).await);

    ada.say(json!({"chat_type": "PTP", "to_user_id": "3"}), "t4").await;
    assert_eq!(bob.hear().await["message"], "t4");
    let to_bob = r#"{"code":200,"message":"","data":[{"contacter_id":"3"},{"block_id":"3"},"#;
    assert!(list(b, 2).await.starts_with(to_bob), "{}", list(b, 2).await);
    assert!(list(a, 3).await.starts_with(r#"{"code":200,"message":"","data":[{"contacter_id":"2"},"#));

    // Who is away gets it at the next INIT, at whichever gateway.
    let shown = bob.leave().await;
    ada.say(block(3), "t5").await;
    let mut bob = Person::enter(a, 3).await;
    bob.shown = shown;
    assert_eq!(bob.hear().await["message"], "t5");
}

async fn the_earliest_clients_see_what_was_said(gateway: &Gateway) {
    let said = r#"{"id":"1","username":"eve","type":"USER","message":"hi"}"#;
    let mut eve = Socket::dial(&gateway.url("/multiperson")).await.unwrap();
    eve.text(said).await.unwrap();
    assert_eq!(eve.soon_text().await.unwrap(), said);
    let (_, _, messages) = ask(gateway, "GET", "/ws/messages", "").await;
    assert_eq!(messages, format!(r#"{{"messageList":[{said}]}}"#));
}

#[tokio::test]
async fn the_endpoints_answer_wherever_the_protocol_is_beside_the_match_protocols_path() {
    let (port, http_port) = (free_port().unwrap(), free_port().unwrap());
    let spec = format!(
        "protocols: {{multiperson: {{port: {port}, httpPort: {http_port}, hosts: [old.test]}}, match: {{path: /ws}}}}"
    );
    let gateway = Gateway::start(&Setup::spec(&spec)).await.unwrap();
    let (shared, own) = (gateway.address("shared").unwrap(), SocketAddr::from(([127, 0, 0, 1], http_port)));
    let ada = r#"{"code":200,"message":"","data":{"user_id":2,"user_name":"ada","user_img":""}}"#;
    for (address, host) in [(own, "any.test"), (shared, "any.test"), (shared, "old.test"), (shared, "OLD.test:80")] {
        let (status, _, body) = call(address, host, "POST", "/ws/login", r#"{"name":"ada"}"#).await;
        assert_eq!((status, without_pictures(&body).as_str()), (200, ada), "{address} {host}");
        assert_eq!(call(address, host, "GET", "/ws/block?block_id=1", "").await.0, 200, "{address} {host}");
        assert_eq!(call(address, host, "OPTIONS", "/ws/users", "").await.0, 204, "{address} {host}");
    }
    assert_eq!(call(shared, "any.test", "GET", "/ws", "").await.0, 426);
    assert_eq!(call(shared, "any.test", "GET", "/ws/nothing", "").await.0, 404);
    let mut stranger = Socket::dial(&gateway.url("/ws")).await.unwrap();
    stranger.text(r#"{"cmd":"CRT_ACCOUNT_REQ","nickName":"eve"}"#).await.unwrap();
    let created: Value = serde_json::from_str(&stranger.soon_text().await.unwrap()).unwrap();
    assert_eq!(created["cmd"], "CRT_ACCOUNT_RESP", "{created}");
}
