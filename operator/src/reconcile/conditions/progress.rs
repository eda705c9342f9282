//! `Progressing`: whether the operator still works towards what the ChatRoom asks for.

use super::{
    claim::{Claim, Truth},
    gateways,
};
use crate::{
    reconcile::{apply::Applied, decide::rotation::Rotation},
    redis::{
        plan::{Command, Step},
        upgrade::Upgrade,
    },
};

pub(super) fn claim(applied: &Applied) -> Claim {
    let (truth, reason, message) = verdict(applied);
    Claim::new("Progressing", truth, reason, message)
}

fn verdict(applied: &Applied) -> (Truth, &'static str, String) {
    let Applied { plan, observed, changed_templates, failures, .. } = applied;
    let fleet = &plan.fleet;
    if *changed_templates {
        return (Truth::True, "Applying", "a template was changed in this pass".into());
    }
    if fleet.outdated > 0 {
        let facts = format!("{} gateways of former templates still serve", fleet.outdated);
        return (Truth::True, "RollingOut", gateways::with_trouble(facts, observed));
    }
    let (_, ready) = gateways::counts(observed);
    let wanted = plan.size.wanted as usize;
    if ready < wanted {
        let facts = format!("{ready} of {wanted} gateways are ready");
        return (Truth::True, "Scaling", gateways::with_trouble(facts, observed));
    }
    if fleet.draining > 0 {
        return (Truth::True, "Draining", format!("{} gateways drain", fleet.draining));
    }
    if let Some(redis) = &plan.redis {
        if matches!(redis.upgrade, Some(Upgrade::Restart(_) | Upgrade::HandOver(_))) {
            return (
                Truth::True,
                "RedisUpgrading",
                "Redis servers of a former template are restarted one by one".into(),
            );
        }
        if let Rotation::Waits(what) = &redis.rotation {
            return (Truth::True, "RedisRotating", format!("the password of Redis changes; waiting: {what}"));
        }
        match &redis.step {
            Step::Settled => {}
            Step::Wait(what) => return (Truth::True, "RedisHealing", format!("Redis Cluster: waiting: {what}")),
            Step::Run { why, orders } => {
                let moves = orders.iter().any(|order| matches!(order.command, Command::Hand(_)));
                let reason = if moves { "RedisResharding" } else { "RedisHealing" };
                return (Truth::True, reason, format!("Redis Cluster: {why}"));
            }
        }
    }
    match failures.first() {
        Some(failure) => (Truth::True, "Retrying", failure.to_string()),
        None => (Truth::False, "Settled", "everything is as the ChatRoom asks".into()),
    }
}
