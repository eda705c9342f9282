//! Moderation of a fleet, in Redis: one key family in one slot, and a log that every gateway follows.
//!
//! Decides nothing: `moderation.lua` does. Following blocks at the primary, on a connection of its own, so that an action is
//! known everywhere as soon as it is written.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use tokio::sync::Mutex;

use super::{
    action::Act,
    record::{self, Record},
    rules::{Change, Kind},
    store::{ActError, LOG, SWEPT, Snapshot, Store, Task},
};
use crate::{
    redis::{
        Servers,
        connection::{Command, Fault, Node, failed_to, list, number},
        lane::{Answer, Connection, Failed, Lane, Repeat, Request},
        script::Script,
    },
    rooms::{Partition, RoomName, Unavailable},
};

static SCRIPT: Script = Script::new(include_str!("moderation.lua"));

/// How long an action or a read is tried: as long as a failover takes.
const WITHIN: Duration = Duration::from_secs(8);
/// How long the server waits for the next action.
const BLOCK: Duration = Duration::from_secs(1);
/// A server that has not answered by then is given up.
const ANSWER: Duration = Duration::from_secs(2);
/// Actions that one read of the log brings.
const BATCH: u32 = 1000;

/// Names of the keys, in the script's order.
const KEYS: [&str; 8] =
    ["number", "log", "people", "people:ends", "addresses", "addresses:ends", "rooms", "rooms:ends"];

/// The moderation of all gateways.
#[derive(Debug)]
pub struct RedisModeration {
    servers: Arc<Servers>,
    partition: Partition,
    lane: Lane,
    /// The connection that blocks.
    following: Mutex<Option<Node>>,
}

impl RedisModeration {
    /// That of the ChatRoom whose Redis these are.
    pub fn new(servers: Arc<Servers>) -> Self {
        let partition = Partition::of(&RoomName::private("moderation", 0));
        Self { lane: Lane::new(Arc::clone(&servers), partition), servers, partition, following: Mutex::default() }
    }

    fn key(&self, name: &str) -> String {
        self.servers.keys.moderation(self.partition, name)
    }

    fn script(&self, words: impl IntoIterator<Item = String>) -> Command {
        Command::new("EVALSHA")
            .arg(SCRIPT.sha())
            .arg(KEYS.len() as u32)
            .args(KEYS.iter().map(|name| self.key(name)))
            .args(words)
    }

    async fn carry_out(&self, act: &Act, changes: &[Change]) -> Result<Result<Record, ActError>, Fault> {
        let lasts = act.action.lasts();
        let mut words =
            vec!["act".to_owned(), LOG.to_string(), SWEPT.to_string(), lasts.to_string(), record::write(act)];
        words.extend(changes.iter().flat_map(words_of));
        let answer = list(self.lane.carry_out(Decide(self.script(words)), WITHIN).await?);
        let unknown = || Fault::Refused(format!("the moderation script answered {answer:?}").into());
        let word = answer.first().and_then(Value::as_str).ok_or_else(unknown)?;
        let numbers: Vec<_> = answer[1..].iter().filter_map(number).collect();
        match (word.as_ref(), numbers.as_slice()) {
            ("done", [number, time, until]) => {
                let until = (*until > 0).then_some(*until);
                Ok(Ok(Record { number: *number, time: *time, until, act: act.clone() }))
            }
            ("full", [kind]) => {
                let kind = Kind::ALL.into_iter().find(|of| place(*of) == *kind).ok_or_else(unknown)?;
                Ok(Err(ActError::Full(kind)))
            }
            _ => Err(unknown()),
        }
    }

    async fn snapshot(&self, after: u64) -> Result<Snapshot, Fault> {
        let words = ["read".to_owned(), after.to_string()];
        let answer = list(self.lane.carry_out(Read(self.script(words)), WITHIN).await?);
        let numbers: Vec<_> = answer.iter().take(2).filter_map(number).collect();
        let ([number, time], [_, _, rows, since]) = (numbers.as_slice(), answer.as_slice()) else {
            return Err(Fault::Refused("the moderation script answered something else".into()));
        };
        Ok(Snapshot { number: *number, time: *time, rows: records(rows), since: records(since) })
    }

    async fn next(&self, after: u64) -> Result<Vec<Record>, Fault> {
        let mut following = self.following.lock().await;
        let primary = self.servers.cluster.primary(self.partition)?.server;
        // Taken out: a call that is dropped leaves an answer on its way, which the next one would take for its own.
        let open = following.take().filter(|node| node.alive() && node.server == primary);
        let node = match open {
            Some(node) => node,
            None => self.servers.cluster.open(&primary).await?,
        };
        let read = Command::new("XREAD")
            .arg("COUNT")
            .arg(BATCH)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u32)
            .arg("STREAMS")
            .arg(self.key("log"))
            .arg(format!("{after}-0"));
        let answer = node.call(read, BLOCK + ANSWER).await?;
        *following = Some(node);
        // [[key, items]].
        let stream = list(answer).into_iter().next().map(list).and_then(|stream| stream.into_iter().nth(1));
        let items = list(stream.unwrap_or(Value::Null));
        let (all, known) = (items.len(), items_of(items));
        // Left out of what follows, it would be read again and again: everything in force is read instead.
        if known.len() < all {
            return Err(Fault::Refused("a later release wrote an action".into()));
        }
        Ok(known)
    }

    async fn page(&self, before: Option<u64>, limit: u32) -> Result<Vec<Record>, Fault> {
        let below = before.map_or("+".to_owned(), |before| format!("({before}-0"));
        let command = Command::new("XREVRANGE").arg(self.key("log")).arg(below).arg("-").arg("COUNT").arg(limit);
        let connection = self.lane.connection().await?;
        let answer = connection.send(command).await;
        match answer {
            Ok(answer) => Ok(items_of(list(answer))),
            Err(Failed { fault, .. }) => {
                self.lane.recover(&fault).await;
                Err(fault)
            }
        }
    }
}

/// Which of the script's three kinds it is.
fn place(kind: Kind) -> u64 {
    match kind {
        Kind::People => 1,
        Kind::Addresses => 2,
        Kind::Rooms => 3,
    }
}

fn words_of(change: &Change) -> Vec<String> {
    match change {
        Change::Put(kind, name) => {
            vec!["put".to_owned(), place(*kind).to_string(), name.clone(), kind.bound().to_string()]
        }
        Change::Remove(kind, name) => vec!["remove".to_owned(), place(*kind).to_string(), name.clone()],
    }
}

/// The records in a list; what a later release wrote is left out.
fn records(value: &Value) -> Vec<Record> {
    let all = list(value.clone()).into_iter();
    all.filter_map(|row| record::read(&row.as_str()?)).collect()
}

/// The records of log items: `[id, ["r", record]]`.
fn items_of(items: Vec<Value>) -> Vec<Record> {
    let fields = |item: Value| list(item).into_iter().nth(1).map(list);
    let text = |item: Value| fields(item)?.into_iter().nth(1);
    items.into_iter().filter_map(|item| record::read(&text(item)?.as_str()?)).collect()
}

/// An action on its way: not carried out twice.
struct Decide(Command);

/// A read, which may be repeated.
struct Read(Command);

impl Request for Decide {
    type Done = Value;
    const REPEAT: Repeat = Repeat::Unsent;

    async fn attempt(&mut self, connection: &Connection) -> Result<Value, Failed> {
        let Answer { value, copied, sent } = connection.run(&SCRIPT, self.0.clone()).await?;
        if !copied {
            connection.copied(sent).await?;
        }
        Ok(value)
    }
}

impl Request for Read {
    type Done = Value;
    const REPEAT: Repeat = Repeat::Always;

    async fn attempt(&mut self, connection: &Connection) -> Result<Value, Failed> {
        connection.run(&SCRIPT, self.0.clone()).await.map(|answer| answer.value)
    }
}

impl Store for RedisModeration {
    fn act<'a>(&'a self, act: &'a Act, changes: &'a [Change]) -> Task<'a, Result<Record, ActError>> {
        Box::pin(async move { self.carry_out(act, changes).await.map_err(failed_to("moderate"))? })
    }

    fn read(&self, number: u64) -> Task<'_, Result<Snapshot, Unavailable>> {
        Box::pin(async move { self.snapshot(number).await.map_err(failed_to("read who is muted or banned")) })
    }

    fn follow(&self, number: u64) -> Task<'_, Result<Vec<Record>, Unavailable>> {
        Box::pin(async move { self.next(number).await.map_err(failed_to("follow what moderators do")) })
    }

    fn log(&self, before: Option<u64>, limit: u32) -> Task<'_, Result<Vec<Record>, Unavailable>> {
        Box::pin(async move { self.page(before, limit).await.map_err(failed_to("read the log of moderation")) })
    }
}
