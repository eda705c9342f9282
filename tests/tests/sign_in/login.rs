//! The address of a login's keys: one document over plain HTTP on loopback, which can be changed, and can fail.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Serves until the runtime ends.
pub(crate) struct Login {
    address: SocketAddr,
    shown: Arc<Shown>,
}

#[derive(Default)]
struct Shown {
    /// None: 500.
    document: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Login {
    pub(crate) async fn start(document: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let address = listener.local_addr().context("find out where")?;
        let shown = Arc::new(Shown { document: Mutex::new(Some(document)), ..Shown::default() });
        let answers = Arc::clone(&shown);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&answers)));
            }
        });
        Ok(Self { address, shown })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub(crate) fn publish(&self, document: String) {
        *self.shown.document.lock() = Some(document);
    }

    pub(crate) fn fail(&self) {
        *self.shown.document.lock() = None;
    }

    /// How often the document was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.shown.asked.load(Ordering::Relaxed)
    }
}

async fn answer(mut stream: TcpStream, shown: Arc<Shown>) -> Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    shown.asked.fetch_add(1, Ordering::Relaxed);
    let document = shown.document.lock().clone();
    let (status, body) = document.map_or(("500 Internal Server Error", String::new()), |document| ("200 OK", document));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    Ok(())
}
