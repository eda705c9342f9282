//! What gateways read from Redis servers beside streams: answers of scripts, signals, and who holds which slot.

use std::sync::Arc;

use fred::types::Value;
use parlor_gateway::{
    bus::{
        Appended,
        redis::{
            answers::{self, Adopted, Answer, Unwritten},
            signals,
        },
    },
    directory::{
        pairs::{self, redis as pair},
        people::{
            self, redis as person,
            social::{self, redis as contacts},
        },
    },
    fanout::session::Presence,
    redis::{Fault, followers::Followers, health::Role, slot, topology::Topology},
    rooms::{Author, Signal, amendments::Refused},
};
use parlor_redis::{Address, Prefer};
use tokio::time::Instant;

use crate::{
    seed::{lines, split, unescape},
    settings, stored,
};

/// First number that some clients cannot read exactly.
const LARGE: u64 = 1 << 53;

/// Which answer it is on the first line, then its values, one a line: `:5`, `$text` with escapes, `_` for nil, and a list
/// between `[` and `]`. What is read is what such a script would say again.
pub(crate) fn script(data: &[u8]) {
    let (kind, values) = split(data, b"\n");
    let values = values_of(values);
    let count = values.len();
    match kind {
        b"append" => append(Value::Array(values)),
        b"adopt" => {
            let Ok(Adopted { epoch, offset, born }) = known(answers::adopted(Value::Array(values))) else { return };
            let again = [epoch, offset, born].map(|number| Value::from(number.to_string()));
            let again = answers::adopted(Value::Array([vec!["OK".into()], again.into()].concat()));
            assert_eq!(again.ok(), Some(Adopted { epoch, offset, born }));
        }
        b"seed" => drop(known(answers::restored(Value::Array(values)))),
        b"exits" => {
            for exit in values.iter().filter_map(pair::exit) {
                let pairs::Exit { session, account, partner } = exit;
                assert_eq!(pair::exit(&format!("{session}:{account}:{partner}").into()), Some(exit));
            }
        }
        b"pairs" => pair::reply(&values).iter().for_each(paired),
        b"people" => match person::reply(&values) {
            Some(people::Reply::User { id, .. }) => exact(&[id]),
            Some(people::Reply::Blocks(ids)) => {
                assert!(ids.len() < count);
                exact(&ids);
            }
            Some(people::Reply::Queued(frames)) => assert!(frames.len() < count),
            _ => {}
        },
        b"social" => contacts::reply(&values).iter().for_each(|reply| social_reply(reply, count)),
        _ => {}
    }
}

fn append(values: Value) {
    /// Tells a group's own keys from older ones.
    const MARK: u32 = 6;
    let Ok(Answer::Written(written)) = known(answers::answer(values, MARK)) else { return };
    for Appended { seq, time, .. } in written.iter().flatten() {
        assert!((1..LARGE).contains(seq) && *time < LARGE / 1000, "{seq} at {time}");
    }
    let one = |answer: &Result<Appended, Unwritten>| match answer {
        Ok(Appended { seq, epoch, time, duplicate }) => {
            let mark = if *duplicate { String::new() } else { format!(" {MARK}") };
            format!("{seq} {} {time}{mark}", epoch.0).into()
        }
        Err(Unwritten::NoPlace) => Value::Integer(-1),
        Err(Unwritten::Amendment(Refused::NotFound)) => Value::Integer(-2),
        Err(Unwritten::Amendment(Refused::Forbidden)) => Value::Integer(-3),
        Err(Unwritten::Amendment(Refused::Full)) => Value::Integer(-4),
    };
    let again = vec!["OK".into(), "9".into(), "1000".into(), Value::Array(written.iter().map(one).collect())];
    assert_eq!(answers::answer(Value::Array(again), MARK).ok(), Some(Answer::Written(written)));
}

/// What a script says is read, or refused for good or for now; it never means that the connection is gone.
fn known<T>(answer: Result<T, Fault>) -> Result<T, Fault> {
    if let Err(fault) = &answer {
        assert!(matches!(fault, Fault::Refused(_) | Fault::Unfit(_)), "{fault:?}");
    }
    answer
}

fn paired(reply: &pairs::Reply) {
    match reply {
        pairs::Reply::Created { account } => exact(&[*account]),
        pairs::Reply::Matched { session, partner, .. } => exact(&[*session, *partner]),
        pairs::Reply::Partner { partner, message, .. } => exact(&[*partner, *message]),
        pairs::Reply::Back { .. } | pairs::Reply::Done | pairs::Reply::NotFound | pairs::Reply::NotHeld => {}
    }
}

fn social_reply(reply: &social::Reply, count: usize) {
    match reply {
        social::Reply::People(people) => {
            assert!(people.len() < count && people.is_sorted());
            people.iter().for_each(|person| exact(&[person.id]));
        }
        social::Reply::Blocks(blocks) => {
            assert!(blocks.len() < count && blocks.is_sorted());
            blocks.iter().for_each(|block| exact(&[block.id, block.owner]));
        }
        social::Reply::Conversations(with) => assert!(with.len() < count.min(social::CONVERSATIONS + 1)),
        social::Reply::Created(block) => exact(&[block.id, block.owner]),
        social::Reply::Done | social::Reply::Unknown | social::Reply::Full => {}
    }
}

/// Clients read them as numbers.
fn exact(numbers: &[u64]) {
    assert!(numbers.iter().all(|number| *number < LARGE), "{numbers:?}");
}

fn values_of(data: &[u8]) -> Vec<Value> {
    let mut open = vec![Vec::new()];
    for line in lines(data) {
        let value = match line.split_first() {
            Some((b'[', _)) => {
                open.push(Vec::new());
                continue;
            }
            Some((b']', _)) if open.len() > 1 => Value::Array(open.pop().unwrap_or_default()),
            Some((b':', number)) => match String::from_utf8_lossy(number).parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => continue,
            },
            Some((b'$', text)) => match String::from_utf8(unescape(text)) {
                Ok(text) => text.into(),
                Err(error) => Value::Bytes(error.into_bytes().into()),
            },
            Some((b'_', _)) => Value::Null,
            _ => continue,
        };
        if let Some(list) = open.last_mut() {
            list.push(value);
        }
    }
    // A list that is not closed is one that was cut.
    open.swap_remove(0)
}

/// Most texts of an input: more are only slower.
const TEXTS: usize = 16;

/// Published texts, one a line: each is skipped or shown, and so are the people named in them when they are counted.
pub(crate) fn published(data: &[u8]) {
    let readers = settings::protocols(&settings::stores(), false);
    let (mut joined, mut left): (Vec<Author>, Vec<Author>) = Default::default();
    let texts = lines(data).take(TEXTS).map(String::from_utf8_lossy);
    let heard: Vec<_> = texts.filter_map(|text| signals::read(&text)).collect();
    for (room, signal) in &heard {
        stored::shown(&readers, room, signal);
        match signal {
            Signal::Joined { who, .. } => joined.push(who.clone()),
            Signal::Left { who, .. } => left.push(who.clone()),
            Signal::Typing { .. } | Signal::Count | Signal::WhoIsHere { .. } | Signal::Here { .. } => {}
        }
    }
    let presence = Arc::new(Presence { members: heard.len() as u64, joined, left });
    heard.first().iter().for_each(|(room, _)| stored::counted(&readers, room, &presence));
}

/// `CLUSTER NODES`, an empty line, `INFO replication`: each slot has one primary at most that is asked.
pub(crate) fn topology(data: &[u8]) {
    let (table, info) = split(data, b"\n\n");
    let (table, info) = (String::from_utf8_lossy(table), String::from_utf8_lossy(info));
    if let Some(Role::Primary { followers }) = Role::parse(&info, &mut Followers::default(), Instant::now()) {
        assert!(followers < info.lines().count());
    }
    let asked: Address = "10.0.0.9:6379".parse().expect("a constant with host and port");
    let Ok(topology) = Topology::parse(&table, &asked, Prefer::HostName) else { return };
    assert!(topology.members().count() <= table.lines().count());
    assert!(topology.replaces(&topology));
    for slot in parlor_gateway::rooms::Partition::all().map(slot) {
        let Some(primary) = topology.primary(slot) else { continue };
        assert!(primary.node.votes() && primary.node.slots.contains(slot), "{slot}");
        assert!(topology.replicas(primary).all(|replica| replica.node.replica_of.as_ref() == Some(&primary.node.id)));
    }
}
