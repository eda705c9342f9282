//! Shards are added and taken away while clients write, whatever happens in between.

use std::time::Instant;

use parlor_operator::redis::{
    passwords::Passwords,
    plan::{self, Member, Shape, Step},
};

use crate::{
    clients::Counting,
    pods::{PATIENCE, Pods, SHAPE},
};

const LARGER: Shape = Shape { shards: 4, replicas: 1 };

/// Slots of each primary, the most first.
fn shares(members: &[Member]) -> Vec<u16> {
    let served = members.iter().filter_map(|member| member.view.as_ref()).filter(|view| view.serves());
    let mut shares: Vec<u16> = served.map(|view| view.myself().slots.len()).collect();
    shares.sort_unstable();
    shares.reverse();
    shares
}

fn nothing_is_on_its_way(members: &[Member]) -> bool {
    members.iter().filter_map(|member| member.view.as_ref()).all(|view| view.myself().moves.is_empty())
}

/// Reconciles until the pods that are one too many can go, and ends them.
async fn shrink(pods: &mut Pods) {
    let started = Instant::now();
    while !plan::can_do_without_surplus(pods.shape, &pods.members().await) {
        assert!(started.elapsed() < PATIENCE, "the surplus servers are still needed");
        pods.reconcile_until(|step, steps| !matches!(step, Step::Run { .. }) || !steps.is_empty()).await;
    }
    pods.shrink();
    pods.reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_added_and_taken_away_again_while_clients_write() {
    let mut pods = Pods::start(93);
    let password = Passwords::settled("secret");
    pods.passwords = Some(password.clone());
    pods.reconcile().await;
    pods.mount(&password);
    let clients = Counting::start(&pods);
    pods.shape = LARGER;
    pods.grow();
    let steps = pods.reconcile().await;
    let members = pods.members().await;
    assert_eq!(shares(&members), [4096; 4], "{steps:#?}");
    assert!(nothing_is_on_its_way(&members));
    assert_eq!(members.iter().filter(|m| m.view.as_ref().unwrap().holds_a_copy()).count(), 8);
    pods.shape = SHAPE;
    shrink(&mut pods).await;
    let members = pods.members().await;
    assert_eq!(shares(&members), [5462, 5461, 5461]);
    assert!(
        members.iter().all(|m| m.view.as_ref().unwrap().topology.nodes.len() == SHAPE.servers()),
        "they are forgotten"
    );
    let counted = clients.verify().await;
    assert!(counted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn resharding_converges_whatever_the_operator_did_before_it_ended() {
    let mut pods = Pods::start(94);
    pods.reconcile().await;
    let clients = Counting::start(&pods);
    pods.shape = LARGER;
    pods.grow();
    pods.reconcile_with_an_operator_that_dies_in_the_middle_of_orders().await;
    let members = pods.members().await;
    assert_eq!(shares(&members), [4096; 4]);
    assert!(nothing_is_on_its_way(&members));
    clients.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_dies_while_slots_move_is_succeeded_and_the_move_goes_on() {
    let mut pods = Pods::start(95);
    pods.reconcile().await;
    pods.shape = LARGER;
    pods.grow();
    // Past the first slot of the new primary, when it has its replica.
    let moved = |steps: &[String]| steps.iter().filter(|step| step.starts_with("move ")).count();
    pods.reconcile_until(|_, steps| moved(steps) >= 4).await;
    let members = pods.members().await;
    let new = members.iter().rposition(|m| m.view.as_ref().unwrap().serves()).unwrap();
    pods.kill(new);
    let generation = 1;
    pods.pods[new] = pods.launch(new, generation);
    let old = pods.primary().await;
    pods.replace(old, 1, true);
    pods.reconcile().await;
    let members = pods.members().await;
    assert_eq!(shares(&members), [4096; 4]);
    assert!(nothing_is_on_its_way(&members));
}
