//! What a lane makes of each fault, against servers that answer by script: a real Redis does not forget a script, move a
//! slot or fall silent at the very request that a test wants.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use fred::types::Value;
use futures::future::join_all;
use parking_lot::Mutex;
use parlor_redis::Prefer;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::*;
use crate::redis::RedisSettings;

static SCRIPT: Script = Script::new("return 1");

/// How a server answers a script.
#[derive(Clone, Copy, Debug)]
enum Say {
    /// 7.
    Done,
    /// An error in these words; `OTHER` stands for the address of the other server.
    Error(&'static str),
    /// As `Error`; from then on the slots are the other server's.
    Hand(&'static str),
    Nothing,
    HangUp,
}

/// Two servers; the second takes over what the first gives away.
#[derive(Debug, Default)]
struct Pair {
    addresses: [String; 2],
    /// What the first says to the next scripts; then `Done`.
    script: VecDeque<Say>,
    /// Whose the slots are.
    owner: usize,
    /// The scripts that each was sent, and those of them after an ASKING.
    sent: [usize; 2],
    asked: [usize; 2],
    loaded: usize,
}

impl Pair {
    /// `CLUSTER NODES` as `me` tells it.
    fn nodes(&self, me: usize) -> String {
        let line = |at: usize| {
            let slots = if at == self.owner { " 0-16383" } else { "" };
            let flags = if at == me { "myself,master" } else { "master" };
            let epoch = if at == self.owner { 2 + self.owner } else { 1 };
            let address = &self.addresses[at];
            format!("{:040} {address}@1 {flags} - 0 0 {epoch} connected{slots}\n", at + 1)
        };
        line(0) + &line(1)
    }

    fn script(&mut self, me: usize, asking: bool) -> Say {
        self.sent[me] += 1;
        self.asked[me] += usize::from(asking);
        let say = if me == 0 { self.script.pop_front().unwrap_or(Say::Done) } else { Say::Done };
        if let Say::Hand(_) = say {
            self.owner = 1;
        }
        say
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The words of the next command.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let number: usize = line.strip_prefix('*')?.trim().parse().ok()?;
    let mut words = Vec::with_capacity(number);
    for _ in 0..number {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let length: usize = line.strip_prefix('$')?.trim().parse().ok()?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word[..length]).into_owned());
    }
    Some(words)
}

async fn serve(stream: TcpStream, me: usize, pair: Arc<Mutex<Pair>>) {
    let (mut stream, mut asking, mut queues) = (BufReader::new(stream), false, false);
    while let Some(words) = command(&mut stream).await {
        let word = words[0].to_ascii_uppercase();
        let answer = match word.as_str() {
            _ if queues => "+QUEUED\r\n".to_owned(),
            "INFO" => bulk("redis_version:7.2.0\r\nrun_id:r\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"),
            "CLUSTER" => bulk(&pair.lock().nodes(me)),
            "SCRIPT" => {
                pair.lock().loaded += 1;
                bulk(SCRIPT.sha())
            }
            "WAIT" => ":1\r\n".to_owned(),
            "EVALSHA" => {
                let (say, other) = {
                    let mut pair = pair.lock();
                    (pair.script(me, asking), pair.addresses[1 - me].clone())
                };
                match say {
                    Say::Done => ":7\r\n".to_owned(),
                    Say::Error(text) | Say::Hand(text) => format!("-{}\r\n", text.replace("OTHER", &other)),
                    Say::Nothing => std::future::pending().await,
                    Say::HangUp => return,
                }
            }
            _ => "+OK\r\n".to_owned(),
        };
        (asking, queues) = (word == "ASKING", queues || word == "MULTI");
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn listen(listener: TcpListener, me: usize, pair: Arc<Mutex<Pair>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, me, Arc::clone(&pair)));
    }
}

/// Runs the script once.
struct Once<const ALWAYS: bool>;

impl<const ALWAYS: bool> Request for Once<ALWAYS> {
    type Done = Value;
    const REPEAT: Repeat = if ALWAYS { Repeat::Always } else { Repeat::Unsent };

    async fn attempt(&mut self, connection: &Connection) -> Result<Value, Failed> {
        let command = Command::new("EVALSHA").arg(SCRIPT.sha()).arg(1_u32).arg("{key}");
        Ok(connection.run(&SCRIPT, command).await?.value)
    }
}

/// What one row of the table wants.
struct Row {
    says: &'static [Say],
    always: bool,
    /// The answer, or what its fault begins with.
    wanted: Result<(), &'static str>,
    /// The scripts that each server was sent.
    sent: [usize; 2],
}

const fn row(says: &'static [Say], always: bool, wanted: Result<(), &'static str>, sent: [usize; 2]) -> Row {
    Row { says, always, wanted, sent }
}

const NOSCRIPT: Say = Say::Error("NOSCRIPT No matching script");
const LOADING: Say = Say::Error("LOADING Redis is loading the dataset in memory");
const TRYAGAIN: Say = Say::Error("TRYAGAIN Multiple keys request during rehashing of slot");
const MOVED: Say = Say::Hand("MOVED 1 OTHER");
const ASK: Say = Say::Error("ASK 1 OTHER");
const OOM: Say = Say::Error("OOM command not allowed when used memory > 'maxmemory'.");
const NOREPLICAS: Say = Say::Error("NOREPLICAS Not enough good replicas to write.");

const TABLE: [Row; 14] = [
    row(&[], false, Ok(()), [1, 0]),
    row(&[NOSCRIPT], false, Ok(()), [2, 0]),
    row(&[TRYAGAIN, TRYAGAIN], false, Ok(()), [3, 0]),
    row(&[LOADING], false, Ok(()), [2, 0]),
    row(&[MOVED], false, Ok(()), [1, 1]),
    row(&[ASK], false, Ok(()), [1, 1]),
    row(&[TRYAGAIN, NOSCRIPT, MOVED], false, Ok(()), [3, 1]),
    // It may have been carried out: only what may be done twice is sent again.
    row(&[Say::Nothing], true, Ok(()), [2, 0]),
    row(&[Say::Nothing], false, Err("the connection ended"), [1, 0]),
    row(&[Say::HangUp], true, Ok(()), [2, 0]),
    row(&[Say::HangUp], false, Err("the connection ended"), [1, 0]),
    // It lasts until somebody changes something: not even what may be done twice is sent again.
    row(&[OOM], true, Err("Redis refuses: OOM"), [1, 0]),
    row(&[OOM], false, Err("Redis refuses: OOM"), [1, 0]),
    row(&[NOREPLICAS], true, Err("Redis refuses: NOREPLICAS"), [1, 0]),
];

async fn check(row: &Row) {
    let what = format!("{:?}, always: {}", row.says, row.always);
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
    let script = row.says.iter().copied().collect();
    let pair = Arc::new(Mutex::new(Pair { addresses: addresses.clone(), script, ..Pair::default() }));
    let mut serving = JoinSet::new();
    for (me, listener) in listeners.into_iter().enumerate() {
        serving.spawn(listen(listener, me, Arc::clone(&pair)));
    }
    let settings = RedisSettings {
        seeds: addresses.to_vec(),
        username: None,
        password: None,
        tls: None,
        prefer: Prefer::Ip,
        prefix: "ns/chat".into(),
    };
    let servers = Servers::connect(settings).await.unwrap();
    let lane = Lane::new(Arc::clone(&servers), Partition::nth(0));
    let within = Duration::from_secs(6);
    let done = match row.always {
        true => lane.carry_out(Once::<true>, within).await,
        false => lane.carry_out(Once::<false>, within).await,
    };
    match (&done, row.wanted) {
        (Ok(value), Ok(())) => assert_eq!(number(value), Some(7), "{what}"),
        (Err(fault), Err(begin)) => assert!(fault.to_string().starts_with(begin), "{what}: {fault}"),
        _ => panic!("{what}: {done:?}"),
    }
    let pair = pair.lock();
    assert_eq!(pair.sent, row.sent, "{what}");
    let is =
        |word: &str| row.says.iter().filter(|say| matches!(say, Say::Error(text) if text.starts_with(word))).count();
    assert_eq!(pair.loaded, is("NOSCRIPT"), "{what}");
    assert_eq!(pair.asked, [0, is("ASK")], "{what}");
    let denied = matches!(done, Err(Fault::Denied(_)));
    assert_eq!(servers.refusals.oldest().is_some(), denied, "{what}");
}

#[tokio::test]
async fn a_lane_sends_again_what_was_not_done_follows_its_slot_and_stops_at_a_refusal_that_lasts() {
    join_all(TABLE.iter().map(check)).await;
}
