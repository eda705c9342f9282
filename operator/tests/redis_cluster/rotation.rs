//! The password changes while servers restart, also with an old file, and clients write.

use std::time::Instant;

use parlor_operator::redis::{
    access::Access,
    client,
    passwords::{Passwords, Second},
    plan::Member,
};

use crate::{
    clients::Counting,
    pods::{PATIENCE, Pods, SHAPE},
};

fn passwords(current: &str, second: Option<(Second, &str)>) -> Passwords {
    Passwords { second: second.map(|(kind, password)| (kind, password.to_owned())), ..Passwords::settled(current) }
}

/// What the operator writes into the Secret, and what new pods read of it.
async fn turn(pods: &mut Pods, passwords: Passwords) {
    pods.mount(&passwords);
    pods.passwords = Some(passwords);
    settle(pods).await;
}

async fn settle(pods: &Pods) {
    pods.reconcile().await;
    let members = pods.members().await;
    let is_right = |member: &Member| member.view.as_ref().is_some_and(|view| view.doors == Default::default());
    assert!(
        members.iter().all(is_right),
        "{:?}",
        members.iter().map(|m| m.view.as_ref().map(|v| v.doors)).collect::<Vec<_>>()
    );
}

async fn lets_in(pods: &Pods, password: &str) -> usize {
    let access = Access { passwords: Some(Passwords::settled(password)), tls: None };
    let asked = pods.pods.iter().map(|pod| async { client::view(&pod.ip, &access).await.is_ok() });
    futures::future::join_all(asked).await.into_iter().filter(|let_in| *let_in).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_rotated_while_servers_restart_and_clients_write() {
    let mut pods = Pods::start(91);
    turn(&mut pods, passwords("old", None)).await;
    let clients = Counting::start(&pods);
    turn(&mut pods, passwords("old", Some((Second::Next, "new")))).await;
    assert_eq!((lets_in(&pods, "old").await, lets_in(&pods, "new").await), (6, 6));
    // A server that restarts in the middle lets both in, and so do the others let it in.
    let replica = pods.replica().await;
    pods.replace(replica, 1, true);
    settle(&pods).await;
    turn(&mut pods, passwords("new", Some((Second::Former, "old")))).await;
    assert_eq!((lets_in(&pods, "old").await, lets_in(&pods, "new").await), (6, 6));
    // This one was started with the file of the beginning: the kubelet had not written the new one yet.
    pods.mount(&passwords("old", None));
    let primary = pods.primary().await;
    pods.replace(primary, 1, true);
    settle(&pods).await;
    turn(&mut pods, passwords("new", Some((Second::Retired, "old")))).await;
    assert_eq!((lets_in(&pods, "old").await, lets_in(&pods, "new").await), (0, 6));
    pods.mount(&passwords("old", None));
    let replica = pods.replica().await;
    pods.replace(replica, 2, true);
    settle(&pods).await;
    assert_eq!((lets_in(&pods, "old").await, lets_in(&pods, "new").await), (0, 6));
    let (counted, client) = clients.pause().await;
    client.verify_at(&pods).await;
    assert!(counted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_converges_whatever_the_operator_did_before_it_ended() {
    let mut pods = Pods::start(92);
    turn(&mut pods, passwords("old", None)).await;
    let stages = [
        passwords("old", Some((Second::Next, "new"))),
        passwords("new", Some((Second::Former, "old"))),
        passwords("new", Some((Second::Retired, "old"))),
    ];
    for stage in stages {
        pods.mount(&stage);
        pods.passwords = Some(stage);
        pods.reconcile_with_an_operator_that_dies_after_every_order().await;
        settle(&pods).await;
    }
    assert_eq!((lets_in(&pods, "old").await, lets_in(&pods, "new").await), (0, 6));
    let started = Instant::now();
    while pods.members().await.iter().filter(|m| m.view.as_ref().is_some_and(|v| v.holds_a_copy())).count()
        < SHAPE.servers()
    {
        assert!(started.elapsed() < PATIENCE, "not in sync any more");
    }
}
