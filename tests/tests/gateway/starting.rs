//! How a gateway starts: from a good manifest, from a wrong one, without Redis, and when it is told to end before it has
//! started.

use std::{
    fs::OpenOptions,
    io::Write,
    process::{Command, Stdio},
};

use parlor_tests::{
    gateway::{Gateway, Setup, binary, refusal},
    mistakes::MISTAKES,
};
use rustix::process::{Pid, Signal, kill_process};

use super::SPEC;

#[test]
fn a_gateway_that_is_asked_to_end_while_it_starts_ends() {
    let manifest = std::env::temp_dir().join(format!("parlor-manifest-{}", std::process::id()));
    assert!(Command::new("mkfifo").arg(&manifest).status().unwrap().success());
    let mut gateway = Command::new(binary().unwrap());
    let gateway = gateway.arg(&manifest).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut gateway = gateway.stderr(Stdio::null()).spawn().unwrap();
    // Opens when the gateway reads its manifest, and keeps it there.
    let mut pipe = OpenOptions::new().write(true).open(&manifest).unwrap();
    // It is read once more for how to drain, and then taken for gone.
    std::fs::remove_file(&manifest).unwrap();
    let pid = i32::try_from(gateway.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    pipe.write_all(b"apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {name: test}\nspec: {}\n").unwrap();
    drop(pipe);
    let status = gateway.wait().unwrap();
    // A first process of a container has no default for signals: it would have gone on.
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_wrong_manifest_ends_it_with_64_and_names_the_field() {
    for mistake in MISTAKES {
        let (code, said) = refusal(&Setup::manifest(&mistake.manifest())).await.unwrap();
        assert_eq!(code, 64, "{}: {said}", mistake.what);
        assert!(said.contains(mistake.says), "{}: {said}", mistake.what);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_ends_it_with_66() {
    let gone = Setup::spec("{}").through(&["sh", "-c", r#"exec "$0" /nowhere/chatroom.yaml"#]);
    let (code, said) = refusal(&gone).await.unwrap();
    assert_eq!(code, 66, "{said}");
    assert!(said.contains("/nowhere/chatroom.yaml"), "{said}");
}

#[tokio::test]
async fn managed_redis_on_a_laptop_means_memory_and_a_warning() {
    let gateway = Gateway::start(&Setup::spec(SPEC)).await.unwrap();
    let log = gateway.log().to_lowercase();
    assert!(log.contains("memory") && log.contains("redis"), "{log}");
}

#[tokio::test]
async fn managed_redis_in_a_pod_is_an_error() {
    let (code, said) = refusal(&Setup::spec(SPEC).env("PARLOR_POD", "lobby-0")).await.unwrap();
    assert_ne!(code, 0);
    assert!(said.contains("--redis"), "{said}");
}
