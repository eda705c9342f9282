//! Strangers at the doors of a real gateway: what a peer does not send, does not read or sends too much costs it its own
//! connection; a browser, a Host and an address have what they may have and no more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use parlor_tests::{
    client::{Refused, Socket, native::Native, onlyone::OnlyOne},
    gateway::{Gateway, Setup, http},
};
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far below what a gateway took that waited for such peers, which was as long as they stayed; above what a busy test
/// machine takes.
const AT_ONCE: Duration = Duration::from_secs(5);

const ALL: &str = "redis: {memory: {}}\nreplicas: 1\n";

/// Upgrades to `path` with headers of its own; the status where that is refused.
async fn upgrade(gateway: &Gateway, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = gateway.url(path).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    Socket::upgrade(request, None).await.map_err(|error| error.downcast::<Refused>().unwrap().status)
}

/// What is answered to these bytes, as far as it comes within a second.
async fn told(address: SocketAddr, bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            answer.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .unwrap()
}

/// A connection that takes little and is not read.
fn deaf(address: SocketAddr, bytes: &[u8]) -> RawSocket {
    let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect_timeout(&address.into(), Duration::from_secs(5)).unwrap();
    socket.set_nonblocking(true).unwrap();
    // What the kernel does not take need not be sent.
    let _ = (&socket).write(bytes);
    socket
}

/// Probes answer at once, and newcomers come in, while others hold their connections.
async fn the_gateway_goes_on(gateway: &Gateway) {
    for _ in 0..5 {
        for path in ["/livez", "/readyz"] {
            let asked = Instant::now();
            assert_eq!(gateway.admin_get(path).await.unwrap().0, 200);
            assert!(asked.elapsed() < AT_ONCE, "{path} took {:?}", asked.elapsed());
        }
        let asked = Instant::now();
        let mut ada = timeout(AT_ONCE, Native::connect(&gateway.url("/chat"))).await.unwrap().unwrap();
        ada.join("lobby", "ada").await.unwrap();
        assert!(asked.elapsed() < AT_ONCE, "joining took {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn peers_that_do_not_read_their_answers_or_ask_for_nothing_keep_nobody_out() {
    let gateway = Gateway::start(&Setup::spec(ALL)).await.unwrap();
    let address = gateway.address("shared").unwrap();
    let pipelined = "GET /page/page.css HTTP/1.1\r\nHost: a\r\n\r\n".repeat(300);
    let held = tokio::task::spawn_blocking(move || {
        let silent = (0..2_500).map(|_| deaf(address, b""));
        silent.chain((0..2_500).map(|_| deaf(address, pipelined.as_bytes()))).collect::<Vec<_>>()
    });
    let held = held.await.unwrap();
    the_gateway_goes_on(&gateway).await;
    assert!(gateway.refusals().await.unwrap()[&("none".to_owned(), "gave_way".to_owned())] > 0);
    drop(held);
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_gets_them_back() {
    let spec = format!("{ALL}limits: {{connectionsPerAddress: 2, trustedProxies: 1}}");
    let gateway = Gateway::start(&Setup::spec(&spec)).await.unwrap();
    let from = async |address: &str| upgrade(&gateway, "/chat", &[("x-forwarded-for", address)]).await;
    let first = from("192.0.2.1").await.unwrap();
    let _second = from("6.6.6.6, 192.0.2.1").await.unwrap();
    assert_eq!(from("192.0.2.1").await.err(), Some(429));
    let _other = from("192.0.2.2").await.unwrap();
    let _customer = (from("2001:db8::1").await.unwrap(), from("2001:db8::2").await.unwrap());
    assert_eq!(from("2001:db8::3").await.err(), Some(429), "64 bits are one customer");
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while from("192.0.2.1").await.is_err() {
        assert!(Instant::now() < deadline, "a closed connection still counts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_native_socket_unless_it_is_allowed() {
    let spec = format!(
        "{ALL}protocols: {{native: {{allowedOrigins: [\"https://chat.example\"]}}, relay: {{}}, match: {{}}, \
         multiperson: {{allowedOrigins: [\"https://chat.example\"]}}}}"
    );
    let gateway = Gateway::start(&Setup::spec(&spec)).await.unwrap();
    let own = format!("http://{}", gateway.address("shared").unwrap());
    let table = [
        ("/chat", own.as_str(), None),
        ("/chat", "https://chat.example", None),
        ("/chat", "https://evil.example", Some(403)),
        ("/chat", "https://chat.example.evil.example", Some(403)),
        ("/chat", "null", Some(403)),
        ("/room", "https://evil.example", None),
        ("/ws", "https://evil.example", None),
        ("/multiperson", "https://chat.example", None),
        ("/multiperson", "https://evil.example", Some(403)),
    ];
    for (path, origin, refused) in table {
        assert_eq!(upgrade(&gateway, path, &[("origin", origin)]).await.err(), refused, "{path} from {origin}");
    }
    assert!(upgrade(&gateway, "/chat", &[]).await.is_ok(), "a client that is no browser names no origin");
    assert_eq!(gateway.refusals().await.unwrap()[&("native".to_owned(), "origin".to_owned())], 3);
}

#[tokio::test]
async fn a_host_is_checked_and_becomes_part_of_nothing_that_others_are_shown() {
    let gateway = Gateway::start(&Setup::spec(ALL)).await.unwrap();
    let address = gateway.address("shared").unwrap();
    let mut watcher = OnlyOne::connect(&gateway.url("/onlyone")).await.unwrap();
    watcher.join("onlyOne").await.unwrap();
    watcher.push("room.join").await.unwrap();
    let evil = upgrade(&gateway, "/onlyone", &[("host", "evil.example")]).await.unwrap();
    OnlyOne::over(evil).join("onlyOne").await.unwrap();
    let shown = watcher.push("room.join").await.unwrap();
    let avatar = shown["user"]["avatar"].as_str().unwrap();
    assert!(avatar.starts_with("/avatar/"), "{avatar}");
    let own = OnlyOne::connect(&gateway.url("/onlyone")).await.unwrap().join("onlyOne").await.unwrap();
    let avatar = own["avatar"].as_str().unwrap();
    assert!(avatar.starts_with(&format!("http://{address}/avatar/")), "{avatar}");

    let head = |host: &str| {
        format!(
            "GET /chat HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    for host in ["", "Host: a\r\nHost: b\r\n", "Host: \r\n", "Host: evil.example/x?\"><script>\r\n", "Host: a b\r\n"] {
        assert!(told(address, head(host)).await.starts_with("HTTP/1.1 400 "), "{host:?}");
        let page = format!("GET / HTTP/1.1\r\n{host}\r\n");
        assert!(told(address, page).await.starts_with("HTTP/1.1 400 "), "{host:?}");
    }
    assert!(told(address, head("Host: a\r\n")).await.starts_with("HTTP/1.1 101 "));
    let list = head("Host: a\r\n").replace("Upgrade: websocket", "Upgrade: h2c, websocket");
    assert!(told(address, list).await.starts_with("HTTP/1.1 101 "), "Upgrade is a list");
    let body = head("Host: a\r\nContent-Length: 5\r\n") + "hello";
    assert!(told(address, body).await.starts_with("HTTP/1.1 400 "), "an upgrade has no body");
}

#[tokio::test]
async fn no_web_page_drains_a_gateway() {
    let gateway = Gateway::start(&Setup::spec(ALL)).await.unwrap();
    let address = gateway.address("admin").unwrap();
    let drain = "POST /drain HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n\r\n";
    assert!(told(address, drain).await.starts_with("HTTP/1.1 403 "));
    assert_eq!(gateway.admin_get("/readyz").await.unwrap().0, 200);
}

#[tokio::test]
async fn http_requests_of_one_connection_keep_to_the_rate_of_messages() {
    let gateway = Gateway::start(&Setup::spec(ALL)).await.unwrap();
    let address = gateway.address("shared").unwrap();
    let login = "POST /ws/login HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n{\"name\":\"a\"}";
    assert_eq!(login.split("\r\n\r\n").nth(1).unwrap().len(), 12);
    let since = Instant::now();
    let answered = told(address, login.repeat(150)).await.matches("HTTP/1.1 200 ").count();
    let most = 40 + 20 * usize::try_from(since.elapsed().as_secs() + 1).unwrap();
    assert!((40..=most).contains(&answered), "{answered} in {:?}", since.elapsed());
    assert_eq!(http(address, "GET", "/").await.unwrap().0, 200, "others are answered");
}

/// A PROXY protocol header of version 2 about a client with that address.
fn introduction(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([10, 0, 0, 1, 0x12, 0x34, 0x1f, 0x90]);
    header
}

#[tokio::test]
async fn a_load_balancer_says_who_its_peer_is_and_nobody_else_does() {
    let limits = |network: &str| format!("limits: {{connectionsPerAddress: 1, proxyProtocolFrom: [{network}]}}");
    let gateway = Gateway::start(&Setup::spec(&format!("{ALL}{}", limits("127.0.0.0/8")))).await.unwrap();
    let address = gateway.address("shared").unwrap();
    let upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Held open: each is its address's only connection.
    let held = async |pieces: Vec<Vec<u8>>| {
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(AT_ONCE)).unwrap();
            for piece in pieces {
                stream.write_all(&piece).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut answer = [0; 12];
            let answered = stream.read_exact(&mut answer).is_ok();
            (stream, if answered { String::from_utf8_lossy(&answer).into_owned() } else { String::new() })
        })
        .await
        .unwrap()
    };
    let whole = |client| vec![[introduction(client), upgrade.to_vec()].concat()];
    let (_first, answer) = held(whole([192, 0, 2, 1])).await;
    assert_eq!(answer, "HTTP/1.1 101");
    let (_again, answer) = held(whole([192, 0, 2, 1])).await;
    assert_eq!(answer, "HTTP/1.1 429", "the same client");
    let (_other, answer) = held(whole([192, 0, 2, 2])).await;
    assert_eq!(answer, "HTTP/1.1 101", "another client");
    let drips: Vec<_> = whole([192, 0, 2, 3])[0].chunks(13).map(<[u8]>::to_vec).collect();
    let (_slow, answer) = held(drips).await;
    assert_eq!(answer, "HTTP/1.1 101", "a header may come in pieces");
    let (_bare, answer) = held(vec![upgrade.to_vec()]).await;
    assert_eq!(answer, "", "without a header nobody comes in");
    assert!(gateway.refusals().await.unwrap()[&("none".to_owned(), "proxy_header".to_owned())] > 0);
    assert_eq!(gateway.admin_get("/readyz").await.unwrap().0, 200, "probes need no header");

    let other = Gateway::start(&Setup::spec(&format!("{ALL}{}", limits("192.0.2.0/24")))).await.unwrap();
    let answer = told(other.address("shared").unwrap(), whole([192, 0, 2, 1]).concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "nobody else may say who they are: {answer}");
}
