//! What another server's message costs over the API, in bulk: one request that never ends, read while it is sent.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{BYTES, Bench, SPEC};
use crate::{
    results::{Section, Target, short},
    sample::median,
    server::{API_TOKEN, Server},
};

/// Lines in a chunk of the request: what a client gathers while it waits for answers.
const CHUNK: usize = 1000;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let (server, api) = Server::parlor_with_api(&bench.runtime, &bench.redis, SPEC)?;
    let scale = bench.scale;
    let messages = scale.pick(500_000, 50_000);
    let mut rows = Vec::new();
    let mut worst = f64::INFINITY;
    for rooms in [1, 1000] {
        let (mut walls, mut rates, mut redis) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=scale.rounds() {
            let (cpu, redis_cpu, began) = (server.cpu()?, server.redis_cpu()?, Instant::now());
            publish(api, messages, rooms, "bulk")?;
            walls.push(messages as f64 / began.elapsed().as_secs_f64());
            rates.push(messages as f64 / (server.cpu()? - cpu).as_secs_f64().max(1e-9));
            redis.push(messages as f64 / (server.redis_cpu()? - redis_cpu).as_secs_f64().max(1e-9));
            println!("{round}/{} publishing to {rooms} rooms", scale.rounds());
        }
        let rate = median(rates);
        worst = worst.min(rate);
        rows.push(vec![
            rooms.to_string(),
            short(median(walls)),
            short(rate),
            format!("{:.1} us", 1e6 / rate),
            short(median(redis)),
        ]);
    }
    Ok(Section {
        title: "Publishing in bulk",
        about: format!(
            "{messages} messages of {BYTES} bytes as lines of one request to POST /v1/messages, each appended and \
             answered; nobody is in the rooms. Redis Cluster with history on."
        ),
        header: &["rooms", "messages/s", "per second of gateway CPU", "CPU each", "per second of Redis CPU"],
        rows,
        targets: vec![Target::least("13. bulk messages per second of gateway CPU", 50_000.0, worst, "")],
        ..Section::default()
    })
}

/// Sends `messages` to rooms of that name and a number in one request, and reads as many answers; fails if one of them is a
/// refusal.
pub(super) fn publish(api: SocketAddr, messages: usize, rooms: usize, name: &'static str) -> Result<()> {
    let stream = TcpStream::connect(api).context("connect to the API")?;
    stream.set_read_timeout(Some(PATIENCE)).context("set a deadline")?;
    let mut writer = stream.try_clone().context("use the socket twice")?;
    let sender = std::thread::spawn(move || -> Result<()> {
        write!(
            writer,
            "POST /v1/messages HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {API_TOKEN}\r\n\
             Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )?;
        let text = "x".repeat(BYTES);
        let mut chunk = Vec::new();
        for first in (0..messages).step_by(CHUNK) {
            chunk.clear();
            for n in first..messages.min(first + CHUNK) {
                writeln!(chunk, r#"{{"room":"{name}{}","body":{{"text":"{text}"}}}}"#, n % rooms)?;
            }
            write!(writer, "{:x}\r\n", chunk.len())?;
            writer.write_all(&chunk)?;
            writer.write_all(b"\r\n")?;
        }
        writer.write_all(b"0\r\n\r\n").context("end the request")
    });
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let (mut line, mut answered) = (String::new(), 0);
    while answered < messages {
        line.clear();
        ensure!(reader.read_line(&mut line).context("read an answer")? > 0, "the answer ended after {answered} lines");
        ensure!(!line.contains("\"code\""), "a message was refused: {line}");
        answered += usize::from(line.starts_with("{\"seq\""));
    }
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
}
