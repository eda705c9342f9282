//! Clients of the four systems, who know a host or a port and nothing else: each system has both.

use std::{net::SocketAddr, time::Instant};

use parlor_tests::{client::Socket, kubectl::Namespace, table::play_via};
use serde_json::Value;
use tokio::time::sleep;

use crate::{MINUTE, READY_WITHIN, SECOND, ingress, turn::Turn};

const ROOM: &str = "
apiVersion: parlor.chat/v1alpha1
kind: ChatRoom
metadata: {name: systems}
spec:
  replicas: 1
  redis: {memory: {}}
  protocols:
    native: {}
    onlyone: {port: 9090, hosts: [onlyone.test]}
    relay: {port: 8081, hosts: [relay.test]}
    match: {port: 18224, hosts: [match.test]}
    multiperson: {port: 7000, httpPort: 3100, hosts: [multiperson.test]}
  route: {hosts: [systems.test], ingressClassName: traefik}
";

/// A system: the path that its clients ask for, the port that they know, and how their first words are answered.
struct System {
    name: &'static str,
    path: &'static str,
    port: u16,
    first_words: &'static str,
}

const SYSTEMS: [System; 4] = [
    System {
        name: "onlyone",
        path: "/websocket?token=none",
        port: 9090,
        first_words: r#"
            a > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
            a <~ {"type":"response","code":0,"data":{"room_id":"onlyOne"},"requestId":2}
            a <~ {"route":"room.join","type":"push"}
        "#,
    },
    System {
        name: "relay",
        path: "/room",
        port: 8081,
        first_words: r#"
            a > POST /tk [content-type: application/x-www-form-urlencoded] uid=12
            a < 200 {"code":1,"data":"$token","msg":"suc"}
            a > POST /msg [authorization: Bearer ${token}] [content-type: application/x-www-form-urlencoded] room_id=ROOM&msg=hi
            a < 200 {"code":1,"msg":"suc"}
        "#,
    },
    System {
        name: "match",
        path: "/ws",
        port: 18224,
        first_words: r#"
            a > {"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}
            a < {"cmd":"CRT_ACCOUNT_RESP","code":0,"nickName":"ada"}
        "#,
    },
    System {
        name: "multiperson",
        path: "/",
        port: 7000,
        first_words: r#"
            a > BINARY {"user_name":"ada","user_id":1,"type":"INIT","message":"join"}
            a = {"user_name":"ada","user_id":1,"type":"SYSTEM","message":"join"}
        "#,
    },
];

const LOGIN: &str = r#"
    a > POST /ws/login [content-type: application/json] {"name":"ada"}
    a < 200 {"code":200,"data":{"user_name":"ada"}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_system_is_found_on_its_own_host_and_on_its_own_port() {
    let turn = Turn::take().await;
    let here = Namespace::fresh("systems-test").await.unwrap();
    here.apply(ROOM).unwrap();
    here.room_ready("systems", READY_WITHIN).await.unwrap();
    served_by_the_ingress("ws://onlyone.test:8000/websocket?token=none").await;
    for System { name, path, port, first_words } in SYSTEMS {
        turn.say(format_args!("{name}, behind the ingress and on port {port}"));
        let url = format!("ws://{name}.test:8000{path}");
        play_via(Some(ingress()), first_words, name, |_| url.clone()).await.unwrap();
        let url = format!("ws://{}{path}", own_port(&here, port));
        play_via(None, first_words, name, |_| url.clone()).await.unwrap();
    }
    turn.say("multiperson's HTTP endpoints, too");
    play_via(Some(ingress()), LOGIN, "", |_| "ws://multiperson.test:8000/".to_owned()).await.unwrap();
    let url = format!("ws://{}/", own_port(&here, 3100));
    play_via(None, LOGIN, "", |_| url.clone()).await.unwrap();
    here.remove().await.unwrap();
}

/// Returns once the ingress knows a host: it learns of Ingresses in its own time.
async fn served_by_the_ingress(url: &str) {
    let began = Instant::now();
    while let Err(error) = Socket::dial_via(url, ingress()).await {
        assert!(began.elapsed() < MINUTE, "{error:#}");
        sleep(SECOND / 4).await;
    }
}

/// Where the ChatRoom's Service serves a port.
fn own_port(here: &Namespace, port: u16) -> SocketAddr {
    let services = here.list("services", "app.kubernetes.io/instance=systems").unwrap();
    let serves = |service: &&Value| {
        service["spec"]["ports"].as_array().is_some_and(|ports| ports.iter().any(|p| p["port"] == port))
    };
    let service = services.iter().find(serves).unwrap_or_else(|| panic!("a Service for port {port}"));
    let address = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok()).expect("a cluster address");
    SocketAddr::new(address, port)
}
