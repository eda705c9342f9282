//! What is built and decided, from folders of YAML.
//!
//! `golden/objects/*.yaml` are ChatRooms; beside each lies everything that is built for it. `golden/plans/*/` hold a ChatRoom and
//! what was observed (`CURRENT` stands for the hash of the present template); beside them lies what is decided.
//! `INSTA_UPDATE=always cargo test -p parlor-operator --test golden` writes them again: then look at what changed. A changed
//! hash of a template means that an upgrade of the operator restarts every gateway, which needs a reason in the changelog.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use parlor_crds::ChatRoom;
use parlor_operator::reconcile::{
    build::{self, Defaults, Objects, secret::Fresh},
    decide,
    observed::Observed,
    validate::ValidRoom,
};

#[test]
fn objects_are_built_as_written() {
    for path in entries("objects").into_iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        let objects = build(&room(&path), &Observed::default());
        let name = format!("{}.objects", path.file_stem().unwrap().to_string_lossy());
        snapshot(path.parent().unwrap(), &name, &yaml(objects));
    }
}

#[test]
fn plans_are_decided_as_written() {
    for folder in entries("plans").into_iter().filter(|path| path.is_dir()) {
        let room = room(&folder.join("chatroom.yaml"));
        let set = build(&room, &Observed::default()).replica_set.metadata.name.unwrap();
        let hash = set.rsplit_once('-').unwrap().1;
        let observed = fs::read_to_string(folder.join("observed.yaml")).unwrap().replace("CURRENT", hash);
        let observed: Observed = serde_yaml::from_str(&observed).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let plan = decide::decide(ValidRoom::check(&room).unwrap(), &build(&room, &observed), &observed);
        snapshot(&folder, "plan", &format!("{plan:#?}").replace(hash, "CURRENT"));
    }
}

fn entries(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// As the API server would hand it out: checked, with its defaults.
fn room(path: &Path) -> ChatRoom {
    let mut room = parlor_crds::load(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    room.metadata.namespace = Some("chat".into());
    room.metadata.uid = Some("00000000-0000-0000-0000-000000000001".into());
    room
}

fn build(room: &ChatRoom, observed: &Observed) -> Objects {
    let defaults =
        Defaults { gateway_image: "parlor-gateway:1".into(), namespace: "parlor-system".into(), fixed_users: true };
    let keys = ["first", "second", "third", "fourth", "fifth"].map(str::to_owned);
    let fresh = Fresh { keys, ..Fresh::default() };
    build::build(ValidRoom::check(room).unwrap(), &defaults, observed.secret.as_ref(), &fresh, &observed.named_keys)
        .unwrap()
}

fn yaml(objects: Objects) -> String {
    let Objects {
        service_account,
        secret,
        manifest,
        replica_set,
        services,
        disruption_budget,
        network_policy,
        ingress,
        http_route,
        redis,
    } = objects;
    let mut all = vec![
        document(&service_account),
        document(&secret),
        document(&manifest),
        document(&replica_set),
        document(&disruption_budget),
        document(&network_policy),
    ];
    all.extend(services.iter().map(document));
    all.extend(ingress.iter().map(document));
    all.extend(http_route.iter().map(document));
    if let Some(redis) = &redis {
        all.extend([document(&redis.config_map), document(&redis.service), document(&redis.stateful_set)]);
        all.extend([document(&redis.disruption_budget), document(&redis.network_policy)]);
    }
    all.join("---\n")
}

fn document(object: &impl serde::Serialize) -> String {
    let text = serde_yaml::to_string(object).unwrap();
    assert!(!text.contains(": null"), "null is not absent in server-side apply:\n{text}");
    text
}

fn snapshot(folder: &Path, name: &str, content: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), content));
}
