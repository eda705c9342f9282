//! `kubectl parlor`, as people have it: the operator's program under the name `kubectl-parlor`.

use std::{os::unix::fs::symlink, path::PathBuf, time::Duration};

use parlor_tests::{
    kubectl::{Namespace, condition, eventually, kubectl, name, run},
    programs,
};
use serde_json::Value;

use crate::{
    MINUTE, SECOND,
    lobby::{GATEWAYS, Lobby},
};

/// Under the plugin's name, in a directory of its own; gone when dropped.
struct Plugin(PathBuf);

impl Plugin {
    fn install() -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-plugin-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        symlink(programs::operator().unwrap(), directory.join("kubectl-parlor")).unwrap();
        Self(directory)
    }

    fn run(&self, here: &Namespace, arguments: &[&str]) -> String {
        let program = self.0.join("kubectl-parlor");
        run(program.to_str().unwrap(), &[&["--namespace", here.name()], arguments].concat(), None).unwrap()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn gateways(here: &Namespace) -> Vec<String> {
    here.ready_pods(GATEWAYS).unwrap().iter().map(|pod| name(pod).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_parlor_shows_explains_drains_restarts_pauses_resumes_and_reports() {
    let lobby = Lobby::shared().await;
    let plugin = Plugin::install();
    let parlor = |arguments: &[&str]| plugin.run(&lobby.here, arguments);
    let status = parlor(&["status", "lobby"]);
    assert!(status.contains("lobby: 2 gateways ready") && status.contains("Ready True, Serving"), "{status}");
    let explained = parlor(&["explain", "lobby"]);
    assert!(explained.contains("2 gateways wanted: spec.replicas is 2"), "{explained}");

    let before = gateways(&lobby.here);
    lobby.turn.say(parlor(&["drain", &before[0]]).trim());
    let replaced = || Ok(Some(()).filter(|()| !gateways(&lobby.here).contains(&before[0])));
    eventually(MINUTE, replaced).await.unwrap();
    lobby.whole(2).await;
    assert!(gateways(&lobby.here).contains(&before[1]), "the other gateway was replaced too");

    let before = gateways(&lobby.here);
    lobby.turn.say(parlor(&["restart", "lobby"]).trim());
    let replaced = || Ok(Some(()).filter(|()| gateways(&lobby.here).iter().all(|name| !before.contains(name))));
    eventually(2 * MINUTE, replaced).await.unwrap();
    lobby.whole(2).await;

    lobby.turn.say(parlor(&["pause", "lobby"]).trim());
    let paused = || Ok(Some(()).filter(|()| is_paused(&lobby.here)));
    eventually(MINUTE, paused).await.unwrap();
    lobby.here.kubectl(&["scale", "croom", "lobby", "--replicas=3"]).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(lobby.here.list("pods", GATEWAYS).unwrap().len(), 2, "a paused ChatRoom was scaled");
    lobby.turn.say(parlor(&["resume", "lobby"]).trim());
    lobby.whole(3).await;
    assert!(!is_paused(&lobby.here));
    lobby.here.kubectl(&["scale", "croom", "lobby", "--replicas=2"]).unwrap();
    lobby.whole(2).await;

    let report = parlor(&["report", "lobby"]);
    assert_no_secrets(&lobby, &report);
    for part in ["kubernetes:", "explanation:", "chatRoom:", "pods:", "replicaSets:", "statefulSets:", "events:"] {
        assert!(report.contains(part), "no {part} in the report");
    }
    lobby.turn.say(format_args!("a report of {} lines", report.lines().count()));
    tokio::time::sleep(SECOND).await;
}

fn is_paused(here: &Namespace) -> bool {
    condition(&here.get("chatroom", "lobby").unwrap(), "Paused") == "True"
}

fn assert_no_secrets(lobby: &Lobby, report: &str) {
    let keys = lobby.here.get("secret", "lobby-keys").unwrap();
    let data = keys["data"].as_object().cloned().unwrap_or_default();
    assert!(data.len() >= 4, "{:?}", data.keys());
    for (key, encoded) in data {
        let template = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
        let value = kubectl(&["-n", lobby.here.name(), "get", "secret", "lobby-keys", "-o", &template], None).unwrap();
        let encoded = encoded.as_str().unwrap_or_default();
        assert!(!report.contains(&value) && !report.contains(encoded), "{key} is in the report");
    }
    let read: Value = serde_yaml::from_str(report).unwrap();
    assert!(read["pods"].as_array().is_some_and(|pods| pods.len() >= 8), "{:?}", read["pods"]);
}
