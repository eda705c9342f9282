//! Clusters form, and heal from what pods and volumes do.

use std::time::{Duration, Instant};

use parlor_operator::redis::{
    access::Access,
    client,
    journal::Journal,
    passwords::Passwords,
    plan::{self, Member, Order, Step, next_step},
};

use crate::{
    clients::Counting,
    pods::{PATIENCE, Pods, SHAPE},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_forms_and_stays_as_it_is() {
    let pods = Pods::start(81);
    let steps = pods.reconcile().await;
    assert!(!steps.is_empty());
    assert_eq!(pods.reconcile().await, Vec::<String>::new(), "a settled cluster needs no step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_pods_all_came_back_elsewhere_heals_with_its_data() {
    let mut pods = Pods::start(82);
    pods.reconcile().await;
    let before: Vec<String> = ids(&pods.members().await);
    for at in 0..SHAPE.servers() {
        pods.kill(at);
    }
    for at in 0..SHAPE.servers() {
        pods.pods[at] = pods.launch(at, 1);
    }
    pods.reconcile().await;
    assert_eq!(ids(&pods.members().await), before, "the same servers, at new addresses");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_lost_its_volume_is_succeeded_by_its_replica_and_joins_as_one() {
    let mut pods = Pods::start(83);
    pods.reconcile().await;
    let primary = pods.primary().await;
    pods.replace(primary, 1, false);
    pods.reconcile().await;
    let members = pods.members().await;
    let me = members[primary].view.as_ref().unwrap().myself();
    assert!(me.slots.is_empty() && me.replica_of.is_some(), "{me:?}");
    assert!(
        members.iter().all(|m| m.view.as_ref().unwrap().topology.nodes.len() == SHAPE.servers()),
        "the dead server is forgotten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lost_every_volume_forms_again() {
    let mut pods = Pods::start(84);
    pods.reconcile().await;
    for at in 0..SHAPE.servers() {
        pods.replace(at, 1, false);
    }
    pods.reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_restored_from_copies_of_its_files_that_were_made_while_it_served() {
    let mut pods = Pods::start(96);
    pods.reconcile().await;
    let before = Counting::start(&pods);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (counted, client) = before.pause().await;
    pods.back_up().await;
    // What is written after the backup is lost with the volumes.
    let later = Counting::start(&pods);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(later.pause().await);
    pods.restore(1);
    pods.reconcile().await;
    client.verify_at(&pods).await;
    assert!(counted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_of_primaries_that_lost_their_volumes_is_taken_over() {
    let mut pods = Pods::start(85);
    pods.reconcile().await;
    let members = pods.members().await;
    let primaries: Vec<usize> =
        (0..members.len()).filter(|at| !members[*at].view.as_ref().unwrap().myself().slots.is_empty()).collect();
    pods.replace(primaries[0], 1, false);
    pods.replace(primaries[1], 1, false);
    let steps = pods.reconcile().await;
    assert!(steps.iter().any(|step| step.contains("promote")), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_came_back_empty_is_given_a_primary_while_another_is_absent() {
    let mut pods = Pods::start(86);
    pods.reconcile().await;
    let members = pods.members().await;
    let replicas: Vec<usize> =
        (0..members.len()).filter(|at| members[*at].view.as_ref().unwrap().myself().replica_of.is_some()).collect();
    pods.kill(replicas[0]);
    pods.replace(replicas[1], 1, false);
    let absent = Step::Wait(format!("no answer from redis-{}", replicas[0]));
    pods.reconcile_until(|step, _| *step == absent).await;
    let members = pods.members().await;
    assert!(members[replicas[1]].view.as_ref().unwrap().myself().replica_of.is_some(), "it copies a primary");
}

#[tokio::test(flavor = "multi_thread")]
async fn primaries_that_are_absent_for_long_are_taken_over_though_their_pods_may_come_back() {
    let mut pods = Pods::start(87);
    pods.reconcile().await;
    let members = pods.members().await;
    let primaries: Vec<usize> = (0..members.len()).filter(|at| members[*at].view.as_ref().unwrap().serves()).collect();
    pods.kill(primaries[0]);
    pods.kill(primaries[1]);
    let absent = |step: &Step| matches!(step, Step::Wait(what) if what.starts_with("no answer from"));
    let promoted = |steps: &[String]| steps.iter().any(|step| step.contains("promote"));
    // Right after their death the operator waits for them as well.
    pods.reconcile_until(|step, steps| absent(step) && promoted(steps)).await;
    let members = pods.members().await;
    assert_eq!(members.iter().filter(|m| m.view.as_ref().is_some_and(|view| view.serves())).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_about_to_go_hands_over_before_it_goes() {
    let pods = Pods::start(88);
    pods.reconcile().await;
    let primary = pods.primary().await;
    let (started, mut journal) = (Instant::now(), Journal::default());
    loop {
        assert!(started.elapsed() < PATIENCE, "nobody took over");
        let mut members = pods.members().await;
        if !members[primary].view.as_ref().unwrap().serves() {
            return;
        }
        members[primary].leaving = true;
        journal.note(Instant::now(), &members);
        if let Step::Run { orders, .. } = next_step(SHAPE, &members, &journal) {
            for order in &orders {
                journal.ordered(order);
                client::carry_out(order, &pods.access()).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_were_started_without_a_password_are_given_one_and_stay_in_sync() {
    let mut pods = Pods::start(89);
    pods.reconcile().await;
    pods.passwords = Some(Passwords::settled("correct"));
    let steps = pods.reconcile().await;
    assert_eq!(steps, ["give 6 servers their password"]);
    let members = pods.members().await;
    assert!(members.iter().all(|m| m.view.as_ref().is_some_and(|view| !view.doors.open && view.holds_a_copy())));
    for password in [None, Some("wrong")] {
        let access = Access { passwords: password.map(Passwords::settled), tls: None };
        let refused = client::view(&pods.pods[0].ip, &access).await.unwrap_err().to_string();
        assert!(refused.contains("NOAUTH") || refused.contains("WRONGPASS"), "{refused}");
        assert!(!refused.contains("wrong ") && !refused.contains("correct"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_added_and_taken_away_again_while_every_slot_is_served() {
    let mut pods = Pods::start(90);
    pods.reconcile().await;
    pods.shape.replicas = 2;
    for at in SHAPE.servers()..pods.shape.servers() {
        let pod = pods.launch(at, 0);
        pods.pods.push(pod);
    }
    pods.reconcile().await;
    let replicas = |members: &[Member]| {
        members.iter().filter(|m| m.view.as_ref().is_some_and(|v| v.holds_a_copy() && !v.serves())).count()
    };
    assert_eq!(replicas(&pods.members().await), 6);
    // A primary is among those that are one too many afterwards.
    let heir = pods.members().await.into_iter().skip(SHAPE.servers()).find(|m| !m.view.as_ref().unwrap().serves());
    let heir = heir.expect("a replica among the added servers");
    let order = Order { pod: heir.pod.clone(), ip: heir.ip.clone(), command: plan::Command::HandOver };
    client::carry_out(&order, &pods.access()).await.unwrap();
    pods.shape.replicas = 1;
    let started = Instant::now();
    while !plan::can_do_without_surplus(SHAPE, &pods.members().await) {
        assert!(started.elapsed() < PATIENCE, "the added servers are still needed");
        pods.reconcile_until(|step, _| !matches!(step, Step::Run { .. })).await;
    }
    (SHAPE.servers()..pods.pods.len()).for_each(|at| pods.kill(at));
    pods.pods.truncate(SHAPE.servers());
    pods.reconcile().await;
    let members = pods.members().await;
    assert_eq!(replicas(&members), 3);
    assert!(members.iter().all(|m| m.view.as_ref().unwrap().topology.nodes.len() == SHAPE.servers()));
}

fn ids(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.view.as_ref().unwrap().myself().id.to_string()).collect()
}
