//! The gateway with mistakes built in, one at a time by its environment: what the auditor must catch.
//!
//! Works on a copy of the sources, so that the product holds no switch that turns its safety off. A mistake that no
//! longer fits the sources fails the build with its name: rewrite it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use anyhow::{Context, Result, ensure};

use crate::{gateway::Setup, programs::repository};

/// Chooses the mistake; absent: none is made.
const CHOICE: &str = "PARLOR_MUTANT";
const BINARY: &str = "parlor-mutant";

/// A mistake: in `file`, `find` occurs once and becomes `becomes`, where `MUTANT` stands for "this one was chosen".
struct Mistake {
    name: &'static str,
    file: &'static str,
    find: &'static str,
    becomes: &'static str,
}

const MISTAKES: [Mistake; 17] = [
    Mistake {
        name: "drop one entry",
        file: "protocols/native/encoding.rs",
        find: ".map(|entry| Item::for_person(entry, None))",
        becomes: ".filter(|entry| !(MUTANT && entry.seq % 20 == 7)).map(|entry| Item::for_person(entry, None))",
    },
    Mistake {
        name: "swap two entries",
        file: "protocols/native/encoding.rs",
        find: "items(room, epoch, entries.iter()",
        becomes: "let mut swapped = entries.to_vec(); if MUTANT && entries.len() > 1 { swapped.swap(0, 1); }
            items(room, epoch, swapped.iter()",
    },
    Mistake {
        name: "forget dedupe",
        file: "bus/memory/log.rs",
        find: "if let Some(first) = self.keys.get(&key) {",
        becomes: "if !MUTANT && let Some(first) = self.keys.get(&key) {",
    },
    Mistake {
        name: "resume one entry late",
        file: "rooms/resume.rs",
        find: "return Resume::Complete { after: position.seq };",
        becomes: "return Resume::Complete { after: position.seq + u64::from(MUTANT && position.seq < head.seq) };",
    },
    Mistake {
        name: "show what was deleted in a resume",
        file: "rooms/amendments.rs",
        find: "Change::Delete => {\n                **present",
        becomes: "Change::Delete if MUTANT => {}\n            Change::Delete => {\n                **present",
    },
    Mistake {
        name: "acknowledge without WAIT",
        file: "redis/lane.rs",
        find: "let copies = self.servers.health.copies(self.server());\n        let mut",
        becomes: "let copies = if MUTANT { 0 } else { self.servers.health.copies(self.server()) };\n        let mut",
    },
    Mistake {
        name: "WAIT on another connection",
        file: "redis/lane.rs",
        find: "if copies > 0 {\n",
        becomes: "if copies > 0 && !MUTANT {\n",
    },
    Mistake {
        name: "WAIT on another connection",
        file: "redis/lane.rs",
        find: "let copied = copies == 0 || answers.pop()",
        becomes: "let copied = copies == 0 || !MUTANT && answers.pop()",
    },
    Mistake {
        name: "WAIT on another connection",
        file: "redis/lane.rs",
        find: "let there = self.node.call(wait(copies), ANSWER).await.map_err(Failed::after)?;",
        // The first command of its connection, which has nothing to wait for.
        becomes: "let there = if MUTANT {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let gone = |error: std::io::Error| Failed::after(Fault::Gone(error.to_string().into()));
                let server = self.server();
                let mut elsewhere = tokio::net::TcpStream::connect((&*server.host, server.port)).await.map_err(gone)?;
                elsewhere.write_all(b\"WAIT 1 500\\r\\n\").await.map_err(gone)?;
                if elsewhere.read_u16().await.map_err(gone)? != u16::from_be_bytes(*b\":1\") {
                    return Err(Failed::after(Fault::Gone(\"no copy\".into())));
                }
                Value::from(1)
            } else { self.node.call(wait(copies), ANSWER).await.map_err(Failed::after)? };",
    },
    Mistake {
        name: "read from the primary",
        file: "bus/redis/stream_reader.rs",
        find: "let (server, trust) = match reader {",
        becomes: "let (server, trust) = match reader {
            Reader::Replica(_) | Reader::Primary if MUTANT => (primary.server, Trust::Copy),",
    },
    Mistake {
        name: "wait for nobody after a loss",
        file: "bus/redis/scripts.rs",
        find: "let (dedupe, barrier) = (DEDUPE.as_millis() as u64, BARRIER.as_millis() as u64);",
        becomes: "let (dedupe, barrier) =
            (DEDUPE.as_millis() as u64, if MUTANT { 0 } else { BARRIER.as_millis() as u64 });",
    },
    Mistake {
        name: "do not look for missing keys",
        file: "bus/redis/scripts.rs",
        find: "static APPEND: Script = Script::new(concat!(include_str!(\"amendments.lua\"), include_str!(\"append.lua\")));",
        becomes: "static APPEND: std::sync::LazyLock<Script> = std::sync::LazyLock::new(|| {
            let text = concat!(include_str!(\"amendments.lua\"), include_str!(\"append.lua\"));
            let looks = \"if redis.call('EXISTS', KEYS[3], KEYS[4], KEYS[5]) < 3 then return {'BROKEN', meta[4]} end\";
            Script::new(if MUTANT { Box::leak(text.replace(looks, \"\").into_boxed_str()) } else { text })
        });",
    },
    Mistake {
        name: "restore only rooms that are not known",
        file: "bus/redis/scripts.rs",
        find: "Some(seq) if seq < *head && ",
        becomes: "Some(seq) if !MUTANT && seq < *head && ",
    },
    Mistake {
        name: "read the password once",
        file: "redis/access.rs",
        find: "Ok(text.strip_suffix('\\n').unwrap_or(&text).to_owned())",
        becomes: "static FIRST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
                let password = text.strip_suffix('\\n').unwrap_or(&text).to_owned();
                Ok(if MUTANT { FIRST.get_or_init(|| password).clone() } else { password })",
    },
    Mistake {
        name: "believe every clock",
        file: "bus/redis/append.rs",
        find: "time: appending.servers.health.time(),",
        becomes: "time: if MUTANT { None } else { appending.servers.health.time() },",
    },
    Mistake {
        name: "wait for a replica that hears nothing",
        file: "redis/followers.rs",
        find: "now.saturating_duration_since(progress.at) < STILL",
        becomes: "(MUTANT || now.saturating_duration_since(progress.at) < STILL)",
    },
    Mistake {
        name: "adopt without a new epoch",
        file: "bus/redis/scripts.rs",
        find: ".arg(ADOPT)",
        becomes: ".arg(if MUTANT { ADOPT.replace(\"local epoch = \",
            \"local epoch = tonumber(meta[4] or '1') or \") } else { ADOPT.to_owned() })",
    },
];

static BUILT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| build().map_err(|error| format!("{error:#}")));

/// Runs the gateway with this mistake; without a name, with none. Builds it first.
pub fn mutate(setup: Setup, mistake: &str) -> Result<Setup> {
    ensure!(
        mistake.is_empty() || MISTAKES.iter().any(|known| known.name == mistake),
        "no mistake is called {mistake:?}"
    );
    Ok(setup.binary(BUILT.clone().map_err(anyhow::Error::msg)?).env(CHOICE, mistake))
}

fn build() -> Result<PathBuf> {
    let test = std::env::current_exe().context("find the running test")?;
    let target = test.ancestors().nth(3).context("a test outside a target directory")?;
    let (from, copy) = (repository(), target.join("mutants"));
    for part in ["crds", "docs", "gateway"] {
        mirror(&from.join(part), &copy.join(part))?;
    }
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        write(&copy.join(file), &fs::read(from.join(file)).with_context(|| format!("read {file}"))?)?;
    }
    let workspace = fs::read_to_string(from.join("Cargo.toml")).context("read the workspace")?;
    write(&copy.join("Cargo.toml"), without_the_rest(&workspace).as_bytes())?;
    // Shares the compiled dependencies, and must not overwrite the true gateway beside it.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--bin", BINARY, "--target-dir"])
        .arg(target)
        .current_dir(&copy)
        .output()
        .context("run cargo")?;
    ensure!(built.status.success(), "the mutants do not build: {}", String::from_utf8_lossy(&built.stderr));
    Ok(target.join("debug").join(BINARY))
}

fn without_the_rest(workspace: &str) -> String {
    let lines = workspace.lines().map(|line| match line.split(' ').next() {
        Some("members") => "members = [\"crds\", \"gateway\"]\n".to_owned(),
        Some("parlor-operator") => String::new(),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Copies a folder, with the mistakes that belong there; what has left it leaves the copy.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for item in fs::read_dir(to).with_context(|| format!("read {}", to.display()))? {
        let (there, original) = item.map(|item| (item.path(), from.join(item.file_name()))).context("read a folder")?;
        if there.is_dir() && !original.is_dir() {
            fs::remove_dir_all(&there).with_context(|| format!("remove {}", there.display()))?;
        } else if there.is_file() && !original.is_file() {
            fs::remove_file(&there).with_context(|| format!("remove {}", there.display()))?;
        }
    }
    for item in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let item = item.context("read a folder")?;
        let (path, to) = (item.path(), to.join(item.file_name()));
        if path.is_dir() {
            mirror(&path, &to)?;
        } else {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            write(&to, &mistaken(&path, bytes)?)?;
        }
    }
    Ok(())
}

/// Leaves a file alone that is as it should be, so that cargo builds nothing twice.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn mistaken(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if path.ends_with("gateway/Cargo.toml") {
        return Ok([bytes, format!("\n[[bin]]\nname = \"{BINARY}\"\npath = \"src/main.rs\"\n").into()].concat());
    }
    if path.ends_with("gateway/src/lib.rs") {
        let chosen = format!(
            "\n/// Whether this mistake was chosen.\npub(crate) fn mutant(name: &str) -> bool {{\n    \
             std::env::var(\"{CHOICE}\").is_ok_and(|chosen| chosen == name)\n}}\n"
        );
        return Ok([bytes, chosen.into()].concat());
    }
    let here: Vec<_> =
        MISTAKES.iter().filter(|mistake| path.ends_with(format!("gateway/src/{}", mistake.file))).collect();
    if here.is_empty() {
        return Ok(bytes);
    }
    let mut text = String::from_utf8(bytes).with_context(|| format!("read {}", path.display()))?;
    for Mistake { name, file, find, becomes } in here {
        let times = text.matches(find).count();
        ensure!(times == 1, "{name:?} fits gateway/src/{file} {times} times: rewrite it");
        text = text.replace(find, &becomes.replace("MUTANT", &format!("crate::mutant({name:?})")));
    }
    Ok(text.into_bytes())
}
