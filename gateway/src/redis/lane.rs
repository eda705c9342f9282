//! The way to a partition's primary: find it, send scripts and commands to it, wait for a copy on the same connection,
//! and start over at another server when the slot has moved.
//!
//! Decides what may be tried again: nothing that may have run, unless the caller says that running twice does no harm.
//! Every request that writes takes this way: groups of posts, what is given back, decisions of the directory.
//! Reads of streams and histories do not: they go to replicas, follow a moving slot key by key, and change their server
//! after one failed attempt, so that no read waits behind a write.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use parlor_redis::Address;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    Servers,
    connection::{Command, Fault, Node, number},
    script::Script,
};
use crate::{
    deadlines::{ANSWER, COPIED, WAIT},
    rooms::Partition,
};

/// The first attempt after a fault follows at once: what most faults tell is that there is a better server.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Longest pause while a partition's keys are on their way: each of them takes some milliseconds.
const MOVING_PAUSE: Duration = Duration::from_millis(20);

/// A fault, and whether the request may have been carried out.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) sent: bool,
}

impl Failed {
    /// Surely nothing was done.
    pub(crate) fn before(fault: Fault) -> Self {
        Self { fault, sent: false }
    }

    /// It may have been done.
    pub(crate) fn after(fault: Fault) -> Self {
        Self { fault, sent: true }
    }

    fn of_answer(fault: Fault) -> Self {
        // What a server refuses by name it has not run; a connection that ended says nothing.
        Self { sent: matches!(fault, Fault::Gone(_)), fault }
    }
}

/// An open connection to the server that takes a partition's requests.
#[derive(Debug)]
pub(crate) struct Connection {
    servers: Arc<Servers>,
    node: Node,
    /// The run id of the process at the other end: a connection does not outlive that.
    pub(crate) run: String,
    /// The slot's keys have gone ahead to this server, so requests need an ASKING.
    pub(crate) moving: bool,
}

/// What a request brought.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Every replica that follows holds what was written, or there is none. If not, [`Connection::copied`] waits for it.
    pub(crate) copied: bool,
    /// When it was sent.
    pub(crate) sent: Instant,
}

fn wait(copies: usize) -> Command {
    Command::new("WAIT").arg(copies as u32).arg(WAIT.as_millis() as u32)
}

/// How many copies an answer of WAIT counts.
fn counted(answer: &Value) -> usize {
    number(answer).unwrap_or(0) as usize
}

/// A command as a server wants it that its slot is moving to.
pub(crate) fn asking(asking: bool, command: Command) -> Vec<Command> {
    if asking { vec![Command::new("ASKING"), command] } else { vec![command] }
}

fn last(mut answers: Vec<Result<Value, Fault>>) -> Result<Value, Fault> {
    answers.pop().unwrap_or_else(|| Err(Fault::Gone("the answer is missing".into())))
}

impl Connection {
    /// The server at the other end.
    pub(crate) fn server(&self) -> &Address {
        &self.node.server
    }

    /// One command.
    pub(crate) async fn send(&self, command: Command) -> Result<Value, Failed> {
        let answers = self.node.all(asking(self.moving, command), ANSWER).await.map_err(Failed::after)?;
        last(answers).map_err(Failed::of_answer)
    }

    /// A command that calls `script`, with a WAIT behind it. A server that does not know the script receives it.
    pub(crate) async fn run(&self, script: &Script, command: Command) -> Result<Answer, Failed> {
        match self.write(command.clone()).await {
            Err(Failed { fault: Fault::NoScript, .. }) => {
                let load = Command::new("SCRIPT").arg("LOAD").arg(script.text);
                self.node.call(load, ANSWER).await.map_err(Failed::before)?;
                self.write(command).await
            }
            other => other,
        }
    }

    async fn write(&self, command: Command) -> Result<Answer, Failed> {
        let copies = self.servers.health.copies(self.server());
        let mut commands = asking(self.moving, command);
        if copies > 0 {
            commands.push(wait(copies));
        }
        let sent = Instant::now();
        let mut answers = self.node.all(commands, ANSWER).await.map_err(Failed::after)?;
        let copied = copies == 0 || answers.pop().and_then(Result::ok).as_ref().map_or(0, counted) >= copies;
        let value = last(answers).map_err(Failed::of_answer)?;
        if copied && copies > 0 {
            self.observe(sent);
        }
        Ok(Answer { value, copied, sent })
    }

    /// What was sent then has its copy now.
    fn observe(&self, sent: Instant) {
        self.servers.wait.observe(sent.elapsed().as_secs_f64());
    }

    /// Waits for the copies of what this connection has written; the last of it was sent at `sent`. A replica that falls
    /// silent meanwhile stops counting as one that follows. One that only is slow is not waited for beyond [`COPIED`]: where
    /// there is another, that one has the longer copy, and is elected.
    pub(crate) async fn copied(&self, sent: Instant) -> Result<(), Failed> {
        let deadline = Instant::now() + COPIED;
        loop {
            let copies = self.servers.health.copies(self.server());
            if copies == 0 {
                return Ok(());
            }
            let there = self.node.call(wait(copies), ANSWER).await.map_err(Failed::after)?;
            let late = Instant::now() > deadline;
            if counted(&there) >= copies || (late && counted(&there) > 0) {
                self.observe(sent);
                return Ok(());
            }
            if late {
                return Err(Failed::after(Fault::Gone("no replica has copied what was written".into())));
            }
        }
    }

    /// The node itself, for what is only read.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }
}

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Carrying it out twice does no harm.
    Always,
    /// Only if it was surely not carried out.
    Unsent,
    /// The caller decides.
    Never,
}

impl Repeat {
    fn allows(self, sent: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Unsent => !sent,
            Self::Never => false,
        }
    }
}

/// What a lane carries out.
pub(crate) trait Request: Send {
    /// What it brings.
    type Done: Send;
    /// When it may be sent again.
    const REPEAT: Repeat;

    /// Tries once. Cancelled when another server takes the slot over.
    fn attempt(&mut self, connection: &Connection) -> impl Future<Output = Result<Self::Done, Failed>> + Send;
}

#[derive(Debug, Default)]
struct State {
    open: Option<Arc<Connection>>,
    /// The server that a moving slot's keys have gone ahead to.
    ask: Option<Address>,
}

/// A partition's connection to its primary. Requests that are made at once share it.
#[derive(Debug)]
pub(crate) struct Lane {
    servers: Arc<Servers>,
    partition: Partition,
    state: Mutex<State>,
}

impl Lane {
    pub(crate) fn new(servers: Arc<Servers>, partition: Partition) -> Self {
        Self { servers, partition, state: Mutex::default() }
    }

    /// The open connection; opens one to the partition's server unless it is open.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Fault> {
        let mut state = self.state.lock().await;
        let primary = self.servers.cluster.primary(self.partition)?.server;
        // The slot itself has arrived.
        state.ask.take_if(|target| *target == primary);
        let moving = state.ask.is_some();
        let server = state.ask.clone().unwrap_or(primary);
        let fits = |open: &&Arc<Connection>| *open.server() == server && open.moving == moving && open.node.alive();
        if let Some(open) = state.open.as_ref().filter(fits) {
            return Ok(Arc::clone(open));
        }
        state.open = None;
        let node = Node::open(&server, self.servers.cluster.access()).await?;
        let run = node.run_id(ANSWER).await?;
        let open = Arc::new(Connection { servers: Arc::clone(&self.servers), node, run, moving });
        Ok(Arc::clone(state.open.insert(open)))
    }

    /// Makes ready for another attempt: most faults mean that the slot's server is another one now.
    pub(crate) async fn recover(&self, fault: &Fault) {
        let mut state = self.state.lock().await;
        match fault {
            Fault::TryAgain | Fault::NoScript | Fault::Absent | Fault::Unfit(_) | Fault::Denied(_) => return,
            Fault::Ask(text) => {
                *state = State { open: None, ask: self.servers.cluster.redirection(text) };
                return;
            }
            Fault::Moved(_) | Fault::Refused(_) | Fault::Gone(_) => *state = State::default(),
        }
        drop(state);
        if let Err(fault) = self.servers.cluster.refresh().await {
            tracing::debug!(%fault, "failed to refresh the cluster topology");
        }
    }

    /// Makes attempts until one succeeds, its fault is final, another is not allowed, or `within` is over. An attempt
    /// ends when another server takes the slot over: a frozen one would take its time to say nothing.
    pub(crate) async fn carry_out<R: Request>(&self, mut request: R, within: Duration) -> Result<R::Done, Fault> {
        let (deadline, mut pause) = (Instant::now() + within, Duration::ZERO);
        loop {
            let Failed { fault, sent } = match self.attempt(&mut request).await {
                Ok(done) => {
                    self.servers.refusals.cleared(self.partition);
                    return Ok(done);
                }
                Err(failed) => failed,
            };
            tracing::debug!(partition = self.partition.index(), %fault, sent, "failed to carry out a request to Redis");
            self.servers.refusals.noted(self.partition, &fault);
            let is_final = matches!(fault, Fault::Unfit(_) | Fault::Denied(_)) || !R::REPEAT.allows(sent);
            if is_final || Instant::now() + pause > deadline {
                self.recover(&fault).await;
                return Err(fault);
            }
            // A timer takes a millisecond even for no time at all.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let longest = if fault == Fault::TryAgain { MOVING_PAUSE } else { LONGEST_PAUSE };
            pause = (pause * 2).clamp(FIRST_PAUSE, longest);
            self.recover(&fault).await;
        }
    }

    async fn attempt<R: Request>(&self, request: &mut R) -> Result<R::Done, Failed> {
        let connection = self.connection().await.map_err(Failed::before)?;
        if connection.moving {
            return request.attempt(&connection).await;
        }
        tokio::select! {
            biased;
            done = request.attempt(&connection) => done,
            () = self.servers.cluster.left(self.partition, connection.server()) => {
                Err(Failed::after(Fault::Moved(format!("{} was replaced", connection.server()))))
            }
        }
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        *self.state.lock().await = State::default();
    }
}

#[cfg(test)]
mod tests;
