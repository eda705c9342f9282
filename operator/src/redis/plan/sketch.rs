//! Clusters drawn in a few words, for the tests of everything that decides.

use std::time::{Duration, Instant};

use parlor_redis::{Address, Flags, Node, NodeId, SlotSet, Topology};

use super::{Command, Member, Shape, Step, next_step};
use crate::redis::{
    info::{Info, Replication},
    journal::Journal,
    passwords::Doors,
    roles::Location,
    view::View,
};

pub(crate) const SHAPE: Shape = Shape { shards: 3, replicas: 1 };

/// A cluster at some moment, and what its operator remembers.
pub(crate) struct Sketch {
    pub(crate) members: Vec<Member>,
    pub(crate) journal: Journal,
    pub(crate) now: Instant,
}

impl Sketch {
    /// Servers that have never met anybody, two a host.
    pub(crate) fn fresh(count: usize) -> Self {
        let members = (0..count).map(|at| Member {
            pod: format!("redis-{at}"),
            name: name(at),
            ip: format!("10.0.0.{at}"),
            place: Location { host: format!("host-{}", at / 2), zone: String::new() },
            leaving: false,
            surplus: false,
            view: Some(alone(node(at, true), in_sync(at))),
        });
        Self { members: members.collect(), journal: Journal::default(), now: Instant::now() }
    }

    pub(crate) fn acquainted(count: usize) -> Self {
        let mut sketch = Self::fresh(count);
        for one in 0..count {
            sketch.view(one).topology.nodes = (0..count).map(|other| node(other, other == one)).collect();
        }
        sketch
    }

    /// Three shards of two: 0, 2, 4 serve slots; 3, 5, 1 copy them.
    pub(crate) fn formed() -> Self {
        let mut sketch = Self::acquainted(6);
        for (part, slots) in SlotSet::full().split(3).into_iter().enumerate() {
            sketch.everywhere(part * 2, |node| node.slots = slots.clone());
            sketch.everywhere([3, 5, 1][part], |node| node.replica_of = Some(id(part * 2)));
            let primary = format!("10.0.0.{}", part * 2);
            sketch.replication([3, 5, 1][part], |link| link.primary_ip = Some(primary.clone()));
        }
        sketch
    }

    pub(crate) fn view(&mut self, at: usize) -> &mut View {
        self.members[at].view.as_mut().unwrap()
    }

    pub(crate) fn replication(&mut self, at: usize, change: impl FnOnce(&mut Replication)) {
        change(&mut self.view(at).info.replication);
    }

    /// Changes the line about server `at` in every table.
    pub(crate) fn everywhere(&mut self, at: usize, change: impl Fn(&mut Node)) {
        let views = self.members.iter_mut().filter_map(|member| member.view.as_mut());
        views.flat_map(|view| &mut view.topology.nodes).filter(|node| node.id == id(at)).for_each(change);
    }

    /// The pod does not answer; the others have noticed, or not.
    pub(crate) fn silent(mut self, at: usize, noticed: bool) -> Self {
        self.members[at].view = None;
        self.everywhere(at, |node| (node.connected, node.flags.suspected) = (!noticed, noticed));
        self
    }

    /// The pod came back with an empty volume: a new id, and nobody's acquaintance.
    pub(crate) fn replaced(mut self, at: usize) -> Self {
        self.everywhere(at, |node| node.flags.failed = true);
        let mut new = node(at, true);
        new.id = NodeId::new(&format!("new{}", id(at)));
        new.ip = format!("10.0.9.{at}").into();
        self.members[at].ip = new.ip.to_string();
        *self.view(at) = alone(new, in_sync(0));
        self.introduce(at)
    }

    /// What gossip does after everybody was introduced.
    fn introduce(mut self, at: usize) -> Self {
        let line = |view: &View| {
            let mut line = view.myself().clone();
            line.flags.myself = false;
            line
        };
        let newcomer = line(self.view(at));
        let living = (0..self.members.len()).filter(|one| *one != at && self.members[*one].view.is_some());
        for one in living.collect::<Vec<_>>() {
            let other = line(self.view(one));
            self.view(one).topology.nodes.push(newcomer.clone());
            self.view(at).topology.nodes.push(other);
        }
        self
    }

    /// One pass that carries nothing out, but remembers.
    pub(crate) fn step(&mut self) -> Step {
        self.journal.note(self.now, &self.members);
        let step = next_step(SHAPE, &self.members, &self.journal);
        if let Step::Run { orders, .. } = &step {
            orders.iter().for_each(|order| self.journal.ordered(order));
        }
        step
    }

    pub(crate) fn commands(&mut self) -> Vec<(String, String)> {
        commands(self.step())
    }

    pub(crate) fn later(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }
}

/// Pod and words of each order.
pub(crate) fn commands(step: Step) -> Vec<(String, String)> {
    match step {
        Step::Run { orders, .. } => {
            let words = |command: &Command| match command {
                Command::Hand(hand) => format!("HAND {:?} TO {}", hand.slots, hand.to),
                Command::ReloadCertificate => "RELOAD".into(),
                command => command.words(None)[0][1..].join(" "),
            };
            orders.iter().map(|order| (order.pod.clone(), words(&order.command))).collect()
        }
        other => panic!("expected commands, got {other:?}"),
    }
}

/// What a server says that has met nobody.
fn alone(me: Node, info: Info) -> View {
    View { topology: Topology { nodes: vec![me] }, info, doors: Doors::default(), certificate_is_old: false }
}

fn in_sync(offset: usize) -> Info {
    let replication = Replication { in_sync: true, offset: offset as u64, ..Replication::default() };
    Info { replication, ..Info::default() }
}

pub(crate) fn id(at: usize) -> NodeId {
    NodeId::new(&format!("{at:040x}"))
}

pub(crate) fn name(at: usize) -> String {
    format!("redis-{at}.redis.default")
}

pub(crate) fn node(at: usize, myself: bool) -> Node {
    Node {
        hostname: Some(name(at).into()),
        flags: Flags { myself, primary: true, ..Flags::default() },
        ..Node::new(id(at), &Address::new(&format!("10.0.0.{at}"), 6379))
    }
}

pub(crate) fn told(pod: usize, words: &str) -> (String, String) {
    (format!("redis-{pod}"), words.to_owned())
}
