//! The rights that the Redis user needs, and which of them it lacks.
//!
//! Decides nothing: a server checks the rights to a command before it puts it into a transaction, and this one is never
//! carried out. Called once at the start.

use std::time::Duration;

use fred::types::Value;
use parlor_redis::Address;

use super::{
    access::Access,
    connection::{Command, Fault, Node},
    keys::Keys,
};
use crate::rooms::Partition;

/// Every command that a gateway sends or a script calls, with arguments of the right number.
const NEEDED: [&str; 51] = [
    "ASKING",
    "CLUSTER NODES",
    "EVAL return 1 KEY",
    "EVALSHA 0 1 KEY",
    "EXISTS KEY",
    "GET KEY",
    "HDEL KEY f",
    "HEXISTS KEY f",
    "HGET KEY f",
    "HINCRBY KEY f 1",
    "HLEN KEY",
    "HMGET KEY f",
    "HSCAN KEY 0",
    "HSET KEY f v",
    "HSETNX KEY f v",
    "HVALS KEY",
    "INCR KEY",
    "INFO server",
    "PEXPIRE KEY 1",
    "PEXPIREAT KEY 1",
    "PING",
    "PUBLISH CHANNEL m",
    "READONLY",
    "SADD KEY m",
    "SCRIPT LOAD s",
    "SET KEY v",
    "SRANDMEMBER KEY",
    "SREM KEY m",
    "SUBSCRIBE CHANNEL",
    "TIME",
    "UNLINK KEY",
    "UNSUBSCRIBE CHANNEL",
    "WAIT 1 1",
    "XADD KEY * f v",
    "XDEL KEY 1-1",
    "XLEN KEY",
    "XRANGE KEY - +",
    "XREAD STREAMS KEY 0",
    "XREVRANGE KEY + -",
    "XTRIM KEY MAXLEN 1",
    "ZADD KEY 1 m",
    "ZCARD KEY",
    "ZCOUNT KEY 0 1",
    "ZLEXCOUNT KEY - +",
    "ZRANGE KEY 0 1",
    "ZRANGEBYLEX KEY - +",
    "ZRANGEBYSCORE KEY 0 1",
    "ZREM KEY m",
    "ZREMRANGEBYLEX KEY - +",
    "ZREMRANGEBYSCORE KEY 0 1",
    "ZSCORE KEY m",
];

/// How long a server may take.
const ANSWER: Duration = Duration::from_secs(2);

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Command,
    Keys,
    Channels,
}

impl About {
    /// Reads `NOPERM this user has no permissions to …`.
    fn read(words: &str) -> Self {
        match words {
            words if words.contains(" keys ") => Self::Keys,
            words if words.contains(" channels ") => Self::Channels,
            _ => Self::Command,
        }
    }
}

/// Names the rights that the user lacks on one of the seeds; None if it lacks none. Seeds that do not answer are passed over.
pub(super) async fn lacking(seeds: &[Address], access: &Access, keys: &Keys) -> Result<Option<String>, Fault> {
    for seed in seeds {
        let Ok(node) = Node::open(seed, access).await else { continue };
        let refused = refused(&node, keys).await?;
        if !refused.is_empty() {
            return Ok(Some(named(access, &seed.to_string(), &keys.pattern(), &refused)));
        }
    }
    Ok(None)
}

/// The commands that are refused, by name, and why.
async fn refused(node: &Node, keys: &Keys) -> Result<Vec<(&'static str, About)>, Fault> {
    match node.call(Command::new("MULTI"), ANSWER).await {
        Ok(_) => {}
        Err(Fault::Gone(cause)) => return Err(Fault::Gone(cause)),
        // What is sent now would be carried out.
        Err(fault) => {
            tracing::warn!(server = %node.server, %fault, "failed to check the rights of the Redis user, which needs MULTI");
            return Ok(Vec::new());
        }
    }
    // Rights are checked before it is asked whose the slot is.
    let partition = Partition::nth(0);
    let (key, channel) = (keys.meta(partition), keys.signals(partition));
    let command = |words: &&'static str| {
        let mut words = words.split(' ');
        let name = words.next().unwrap_or_default();
        Command::new(name).args(words.map(|word| match word {
            "KEY" => key.clone(),
            "CHANNEL" => channel.clone(),
            word => word.to_owned(),
        }))
    };
    let answers = node.all(NEEDED.iter().map(command).collect(), ANSWER).await?;
    let denied = |(needed, answer): (&&'static str, Result<Value, Fault>)| match answer {
        Err(Fault::Denied(words)) => Some((*needed, About::read(&words))),
        _ => None,
    };
    Ok(NEEDED.iter().zip(answers).filter_map(denied).collect())
}

/// One sentence that names what is lacking.
fn named(access: &Access, server: &str, pattern: &str, lacking: &[(&str, About)]) -> String {
    let user = access.username.as_deref().unwrap_or("default");
    let name = |needed: &str| match needed.split(' ').collect::<Vec<_>>()[..] {
        ["CLUSTER" | "SCRIPT", subcommand, ..] => {
            needed.split(' ').next().unwrap_or_default().to_owned() + " " + subcommand
        }
        [name, ..] => name.to_owned(),
        [] => String::new(),
    };
    let of = |about: About| {
        let names = lacking.iter().filter(|(_, other)| *other == about).map(|(needed, _)| name(needed));
        names.collect::<Vec<_>>().join(", ")
    };
    let parts = [
        (of(About::Command), String::new()),
        (of(About::Keys), format!(" for the keys {pattern}")),
        (of(About::Channels), format!(" for the channels {pattern}")),
    ];
    let parts = parts.iter().filter(|(names, _)| !names.is_empty()).map(|(names, what)| format!("{names}{what}"));
    format!("the user {user} may not do this on {server}: {}", parts.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The words in capitals that follow `before` and a quote in the files of a folder.
    fn words_after(folder: &Path, before: &str, quote: char, found: &mut BTreeSet<String>) {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                words_after(&path, before, quote, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for rest in code.split(&format!("{before}({quote}")).skip(1) {
                let word: String = rest.chars().take_while(char::is_ascii_uppercase).collect();
                if rest[word.len()..].starts_with(quote) {
                    found.insert(word);
                }
            }
        }
    }

    #[test]
    fn every_command_that_is_sent_or_called_is_among_the_rights() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        words_after(&source, "Command::new", '"', &mut found);
        for call in ["redis.call", "redis.pcall", " call", "write"] {
            words_after(&source, call, '\'', &mut found);
        }
        let listed: BTreeSet<_> = NEEDED.iter().filter_map(|needed| needed.split(' ').next()).collect();
        // What checks the rights, and what makes a new history smaller where it may.
        let optional = ["MULTI", "DUMP", "RESTORE"];
        let needed = |name: &&String| !optional.contains(&&***name) && !listed.contains(&***name);
        let missing: Vec<_> = found.iter().filter(needed).collect();
        assert!(found.len() > 30 && missing.is_empty(), "{missing:?} of {found:?}");
    }

    #[test]
    fn what_is_lacking_is_named_with_its_keys_and_channels() {
        let lacking = [
            ("CLUSTER NODES", About::read("NOPERM this user has no permissions to run the 'cluster|nodes' command")),
            (
                "XADD KEY * f v",
                About::read("NOPERM this user has no permissions to access one of the keys used as arguments"),
            ),
            ("XLEN KEY", About::Keys),
            ("PUBLISH CHANNEL m", About::read("NOPERM … to access one of the channels used as arguments")),
        ];
        let access = Access { username: Some("chat".into()), ..Access::default() };
        assert_eq!(
            super::named(&access, "h:1", "ns/chat*", &lacking),
            "the user chat may not do this on h:1: CLUSTER NODES; XADD, XLEN for the keys ns/chat*; PUBLISH for the channels ns/chat*"
        );
    }
}
