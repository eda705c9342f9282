//! What stays, and what goes, when a ChatRoom or the operator is deleted.

use std::collections::BTreeSet;

use parlor_tests::{
    audit::{self, Plan},
    client::{Socket, native::Native},
    kubectl::{Namespace, eventually, kubectl, run},
    programs::repository,
};

use crate::{MINUTE, READY_WITHIN, SECOND, example, ingress, lobby::routed, turn::Turn, url};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_chatroom_removes_all_that_was_made_but_its_volumes_which_still_hold_the_messages() {
    let turn = Turn::take().await;
    let here = Namespace::fresh("storage-test").await.unwrap();
    let before = objects(&here);
    let manifest =
        format!("{}  route:\n    hosts: [storage.test]\n    ingressClassName: traefik\n", example("storage.yaml"));
    here.apply(&manifest).unwrap();
    here.room_ready("storage", READY_WITHIN).await.unwrap();
    turn.say("Ready");
    person("ada").await.post("kept", "k1", "before").await.unwrap();
    here.kubectl(&["delete", "chatroom", "storage"]).unwrap();
    turn.say("deleted");
    let volumes: BTreeSet<String> = (0..6).map(|n| format!("PersistentVolumeClaim/data-storage-redis-{n}")).collect();
    let expected = &before | &volumes;
    let only_volumes = || {
        let left = objects(&here);
        anyhow::ensure!(left == expected, "{left:?} is left instead of {expected:?}");
        Ok(Some(()))
    };
    eventually(2 * MINUTE, only_volumes).await.unwrap();
    turn.say("only its volumes are left; applied again");
    here.apply(&manifest).unwrap();
    here.room_ready("storage", READY_WITHIN).await.unwrap();
    turn.say("Ready");
    let history = serde_json::json!({"op": "history", "room": "kept"});
    let history = person("bob").await.ask_for(history, "history").await.unwrap();
    assert_eq!(history["items"][0]["body"]["text"], "before", "{history}");
    here.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstalling_leaves_chatrooms_that_go_on_and_one_that_is_deleted_then_still_goes() {
    let turn = Turn::take().await;
    let here = Namespace::fresh("orphan-test").await.unwrap();
    let before = objects(&here);
    here.apply(&routed("orphan.test")).unwrap();
    here.room_ready("lobby", READY_WITHIN).await.unwrap();
    turn.say("Ready; helm uninstall");
    let uninstalled = Uninstalled::now();
    kubectl(&["get", "crd", "chatrooms.parlor.chat"], None).unwrap();
    here.get("chatroom", "lobby").unwrap();
    turn.say("no operator; 20 people chat");
    let plan = Plan {
        native: vec![url("orphan.test", "/chat")],
        via: Some(ingress()),
        rate: 20.0,
        duration: 5 * SECOND,
        ..Plan::default()
    };
    let report = audit::run(&plan).await.unwrap();
    assert!(report.verdict.is_clean() && report.verdict.acknowledged == 100, "{report}");
    here.kubectl(&["delete", "chatroom", "lobby", "--timeout=60s"]).unwrap();
    turn.say("deleted");
    let nothing = || {
        let left = objects(&here);
        anyhow::ensure!(left == before, "{left:?} is left");
        Ok(Some(()))
    };
    eventually(2 * MINUTE, nothing).await.unwrap();
    turn.say("gone; helm install");
    drop(uninstalled);
    here.apply(&routed("orphan.test")).unwrap();
    here.room_ready("lobby", READY_WITHIN).await.unwrap();
    turn.say("Ready again");
    here.remove().await.unwrap();
}

/// Kind and name of everything in the namespace.
fn objects(here: &Namespace) -> BTreeSet<String> {
    here.everything().unwrap().into_keys().collect()
}

async fn person(name: &str) -> Native {
    let socket = Socket::dial_via(&url("storage.test", "/chat"), ingress()).await.unwrap();
    let mut person = Native::over(socket);
    person.join("kept", name).await.unwrap();
    person
}

/// The chart is not installed; installed again as it was when this is dropped, for the other tests.
struct Uninstalled {
    values: String,
}

impl Uninstalled {
    fn now() -> Self {
        let values = run("helm", &["--namespace", "parlor", "get", "values", "parlor", "-o", "yaml"], None).unwrap();
        run("helm", &["--namespace", "parlor", "uninstall", "parlor", "--wait", "--timeout=60s"], None).unwrap();
        Self { values }
    }
}

impl Drop for Uninstalled {
    fn drop(&mut self) {
        let chart = repository().join("charts/parlor");
        let install =
            ["install", "parlor", chart.to_str().unwrap_or_default(), "--wait", "--timeout=90s", "--values", "-"];
        if let Err(error) = run("helm", &[&["--namespace", "parlor"], &install[..]].concat(), Some(&self.values)) {
            eprintln!("the chart could not be installed again: {error:#}");
        }
    }
}
