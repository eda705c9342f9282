//! Clients of the protocols: small, strict about what they expect, with a deadline on everything they wait for.
//!
//! [`Socket`] is one WebSocket; [`native::Native`] and [`onlyone::OnlyOne`] speak their protocol over one, [`relay`]
//! writes and reads that protocol's frames, and [`http`] asks endpoints. None of them reconnects by itself:
//! [`crate::audit`] has the client that does.

pub mod http;
pub mod native;
pub mod onlyone;
pub mod relay;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Error,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{CloseFrame, Message, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// How long anything may take that should happen at once; generous, because test machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a socket brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    /// A close frame; the code is 1005 where it had none.
    Closed(u16, String),
    /// The end without a close frame, which browsers show as 1006.
    Ended,
}

/// An upgrade that was answered with something other than 101.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the upgrade was answered with {status}: {body:?}")]
pub struct Refused {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Refused {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One WebSocket.
pub struct Socket {
    ws: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Connects to `ws://host:port/path`. A refusal is an error of type [`Refused`].
    pub async fn dial(url: &str) -> Result<Self> {
        Self::upgrade(url.into_client_request().with_context(|| format!("read the URL {url}"))?, None).await
    }

    /// Connects to `via`, and asks there for the host and path of `url`: what an ingress is tested with.
    pub async fn dial_via(url: &str, via: SocketAddr) -> Result<Self> {
        Self::upgrade(url.into_client_request().with_context(|| format!("read the URL {url}"))?, Some(via)).await
    }

    /// Sends this request, which may carry headers of its own.
    pub async fn upgrade(request: Request, via: Option<SocketAddr>) -> Result<Self> {
        let address = match via {
            Some(address) => address,
            None => resolve(&request).await?,
        };
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.context("connect in time")??;
        Self::over(stream, request).await
    }

    /// As [`Socket::dial`], with so few bytes that wait unread on this side: what is not read is the server's to keep.
    pub async fn narrow(url: &str, bytes: u32) -> Result<Self> {
        let request = url.into_client_request().with_context(|| format!("read the URL {url}"))?;
        let socket = TcpSocket::new_v4().context("make a socket")?;
        socket.set_recv_buffer_size(bytes).context("set SO_RCVBUF")?;
        let address = resolve(&request).await?;
        let stream = timeout(PATIENCE, socket.connect(address)).await.context("connect in time")??;
        Self::over(stream, request).await
    }

    async fn over(stream: TcpStream, request: Request) -> Result<Self> {
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        // tungstenite reserves its read buffer for each connection; the audit has thousands.
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        match timeout(PATIENCE, upgrade).await.context("be upgraded in time")? {
            Ok((ws, _)) => Ok(Self { ws }),
            Err(Error::Http(response)) => Err(refused(*response).into()),
            Err(error) => Err(error).context("upgrade"),
        }
    }

    /// Sends a TEXT message.
    pub async fn text(&mut self, text: impl Into<String>) -> Result<()> {
        self.message(Message::text(text.into())).await
    }

    /// Sends a BINARY message.
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.message(Message::binary(bytes)).await
    }

    /// Sends any message, raw frames included.
    pub async fn message(&mut self, message: Message) -> Result<()> {
        timeout(PATIENCE, self.ws.send(message)).await.context("send in time")?.context("send")
    }

    /// Sends bytes as they are: frames that no honest client writes.
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.ws.get_mut().write_all(bytes)).await.context("send in time")?.context("send bytes")
    }

    /// What came by the time the server has answered a ping, and with it all that it had to answer at once.
    pub async fn settled(&mut self) -> Result<Vec<Frame>> {
        const MARK: &[u8] = b"settled";
        self.message(Message::Ping(MARK.into())).await?;
        let mut came = Vec::new();
        loop {
            match timeout(PATIENCE, self.ws.next()).await.context("a pong did not come in time")? {
                Some(Ok(Message::Pong(mark))) if *mark == *MARK => return Ok(came),
                Some(Ok(message)) => came.extend(frame(message)),
                Some(Err(_)) | None => bail!("the connection ended, after {came:?}"),
            }
        }
    }

    /// Sends a close frame.
    pub async fn close(&mut self, code: u16) -> Result<()> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        timeout(PATIENCE, self.ws.close(Some(frame))).await.context("close in time")?.context("close")
    }

    /// The next frame that is no ping or pong, whenever it comes. Cancel-safe.
    pub async fn next(&mut self) -> Frame {
        loop {
            match self.ws.next().await {
                Some(Ok(message)) => {
                    if let Some(frame) = frame(message) {
                        return frame;
                    }
                }
                Some(Err(_)) | None => return Frame::Ended,
            }
        }
    }

    /// The next frame, within [`PATIENCE`].
    pub async fn soon(&mut self) -> Result<Frame> {
        timeout(PATIENCE, self.next()).await.context("nothing came in time")
    }

    /// The next frame, which must be TEXT.
    pub async fn soon_text(&mut self) -> Result<String> {
        match self.soon().await? {
            Frame::Text(text) => Ok(text),
            other => bail!("TEXT was expected, {other:?} came"),
        }
    }

    /// The code that the server closes with, whatever comes before.
    pub async fn close_code(&mut self) -> Result<u16> {
        loop {
            match self.soon().await? {
                Frame::Closed(code, _) => return Ok(code),
                Frame::Ended => return Ok(1006),
                Frame::Text(_) | Frame::Binary(_) => {}
            }
        }
    }
}

/// None for pings and pongs, which are the library's to answer.
fn frame(message: Message) -> Option<Frame> {
    match message {
        Message::Text(text) => Some(Frame::Text(text.as_str().to_owned())),
        Message::Binary(bytes) => Some(Frame::Binary(bytes.to_vec())),
        Message::Close(Some(frame)) => Some(Frame::Closed(frame.code.into(), frame.reason.as_str().to_owned())),
        Message::Close(None) => Some(Frame::Closed(1005, String::new())),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
    }
}

async fn resolve(request: &Request) -> Result<SocketAddr> {
    let host = request.uri().host().context("a URL without a host")?;
    let port = request.uri().port_u16().unwrap_or(80);
    lookup_host((host, port)).await.with_context(|| format!("look {host} up"))?.next().context("a host without address")
}

fn refused(response: tungstenite::http::Response<Option<Vec<u8>>>) -> Refused {
    let (head, body) = response.into_parts();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Refused {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v.as_bytes()))).collect(),
        body: text(&body.unwrap_or_default()),
    }
}
