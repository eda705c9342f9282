//! The frames in `docs/protocol.md` are what a gateway says, and `docs/metrics.md` lists the metrics of both programs.

use std::{fmt::Write, fs, path::Path};

use parlor_operator::metrics::{Metrics, Outcome, Room, RoomCondition, Watched};

use crate::World;

/// Fenced blocks that are tables, each with the line where it begins.
fn blocks(markdown: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (at, line) in markdown.lines().enumerate() {
        match (inside, line) {
            (false, "```frames") => {
                inside = true;
                found.push((at + 1, String::new()));
            }
            (true, "```") => inside = false,
            (true, line) => {
                found.iter_mut().next_back().into_iter().for_each(|(_, block)| *block += &format!("{line}\n"))
            }
            (false, _) => {}
        }
    }
    found
}

#[tokio::test]
async fn every_exchange_in_the_protocol_reference_happens_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let blocks = blocks(&fs::read_to_string(path).unwrap());
    assert!(blocks.len() >= 10, "the reference has examples");
    let world = World::memory("protocols: {native: {}}\nredis: {memory: {}}\nreplicas: 1\n").await;
    for (line, block) in blocks {
        // Each block begins in an empty room.
        let table = block.replace("\"lobby\"", "\"ROOM\"");
        world.play(&format!("docs/protocol.md:{line}"), &table, &format!("lobby-{line}"), |_| "/chat").await.unwrap();
    }
}

const HEAD: &str = "# Metrics

<!-- Generated from the programs: change the help texts there, then run
     UPDATE=1 cargo test -p parlor-tests --test conformance documented -->

Both programs serve metrics in the OpenMetrics text format under `/metrics`: a gateway on its admin port (9100), the
operator on its port for probes. [operations.md](operations.md) says what to do when one of them is not as it should be.
";

/// Labels, and what they are.
const LABELS: [(&str, &str); 12] = [
    ("protocol", "`native`, `onlyone`, `relay`, `match` or `multiperson`; `none` before it is known"),
    ("reason", "why something was refused; the protocols' tables in `tests/tests/conformance` list them"),
    ("shard", "number of a shard of Redis, counted from 0 by the lowest hash slot"),
    ("action", "`disconnected` or `skipped`, by `limits.slowConsumer`"),
    ("route", "method and path of a route of the server API; `none` for paths that there are not"),
    ("status", "class of an HTTP status, such as `2xx`"),
    ("result", "`ok`, `apply` if an object could not be applied, or the step of the pass that failed"),
    ("kind", "kind of a watched object"),
    ("condition", "type of a condition of the ChatRoom"),
    ("namespace", "of the ChatRoom"),
    ("name", "of the ChatRoom"),
    ("le", "upper bound of a histogram's bucket"),
];

#[tokio::test]
async fn every_metric_is_documented() {
    let world = World::memory("protocols: {native: {}}\nredis: {memory: {}}\nreplicas: 1\n").await;
    let (_, gateway) = world.gateways[0].admin_get("/metrics").await.unwrap();
    let wanted = format!(
        "{HEAD}\n## Gateway\n\n{}\n## Operator\n\n{}\n## Labels\n\n{}",
        table(&gateway),
        table(&of_the_operator()),
        labels()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    let command = "UPDATE=1 cargo test -p parlor-tests --test conformance documented";
    assert!(written == wanted, "docs/metrics.md is old: run {command}");
}

/// The operator's metrics, each with a sample: those by label show nothing before.
fn of_the_operator() -> String {
    let metrics = Metrics::default();
    let room = Room { namespace: "n".into(), name: "r".into() };
    drop(metrics.passes.get_or_create(&Outcome { result: "ok" }));
    drop(metrics.watch_errors.get_or_create(&Watched { kind: "Pod" }));
    drop(metrics.redis_memory.get_or_create(&room));
    for gauge in [&metrics.wanted, &metrics.ready, &metrics.draining, &metrics.connections, &metrics.redis_servers] {
        drop(gauge.get_or_create(&room));
    }
    let condition = RoomCondition { namespace: "n".into(), name: "r".into(), condition: "Ready".into() };
    drop(metrics.conditions.get_or_create(&condition));
    let text = metrics.text().unwrap();
    let source = include_str!("../../../operator/src/metrics.rs");
    let (registered, shown) = (source.matches(".register(").count(), text.matches("# TYPE ").count());
    assert_eq!(shown, registered, "give every metric of the operator a sample here");
    text
}

/// Name, type and help of each metric in an OpenMetrics text.
fn table(text: &str) -> String {
    let mut out = "| metric | type | meaning |\n|---|---|---|\n".to_owned();
    let described = |kind: &'static str| text.lines().filter_map(move |line| line.strip_prefix(kind)?.split_once(' '));
    for (name, help) in described("# HELP ") {
        let (_, kind) = described("# TYPE ").find(|(other, _)| *other == name).unwrap();
        let samples = if kind == "counter" { "_total" } else { "" };
        writeln!(out, "| `{name}{samples}` | {kind} | {} |", help.trim_end_matches('.')).unwrap();
    }
    out
}

fn labels() -> String {
    let mut out = "| label | meaning |\n|---|---|\n".to_owned();
    LABELS.iter().for_each(|(label, meaning)| writeln!(out, "| `{label}` | {meaning} |").unwrap());
    out
}
