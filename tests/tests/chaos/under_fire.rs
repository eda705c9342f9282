//! Faults that leave one copy of everything: nothing that was acknowledged may go wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parlor_tests::audit;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::time::sleep;

use super::{
    ALONE,
    fault::{Fault, Saboteur},
    seconds, seed,
    timeline::Timeline,
    world::World,
};

/// Between two faults: long enough for posts to flow as if nothing had been.
const BREATH: Duration = Duration::from_secs(1);

async fn wreck(saboteur: &mut Saboteur<'_>, until: Instant) -> Result<()> {
    let mut deck = Vec::new();
    while Instant::now() < until {
        if deck.is_empty() {
            deck.extend(Fault::ALL);
            deck.shuffle(saboteur.rng);
        }
        let Some(fault) = deck.pop() else { break };
        saboteur.inject(fault).await?;
        saboteur.world.well().await?;
        saboteur.timeline.note("all is well");
        sleep(BREATH).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_doubled_or_out_of_order_whatever_breaks() -> Result<()> {
    let _alone = ALONE.lock().await;
    let (seconds, seed) = (seconds(), seed());
    let mut timeline = Timeline::start(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start(3, true, None).await?;
    let plan = world.plan(Duration::from_secs(seconds), true)?;
    timeline.note("the auditor begins");
    let audit = tokio::spawn({
        let plan = plan.clone();
        async move { audit::run(&plan).await }
    });
    sleep(2 * BREATH).await;
    // Half a minute ends every lease and every client's patience; a short run has no time for it.
    let freeze = Duration::from_secs(if seconds < 120 { 8 } else { 30 });
    // The last faults are over before the last posts, which show that all is well.
    let until = Instant::now() + Duration::from_secs(seconds.saturating_sub(5)) - freeze;
    let mut saboteur = Saboteur { world: &mut world, rng: &mut rng, timeline: &mut timeline, freeze };
    let wrecked = wreck(&mut saboteur, until).await;
    if let Err(error) = &wrecked {
        timeline.note(format!("the schedule ended: {error:#}"));
    }
    let report = audit.await??;
    let text = timeline.with(&plan, &report);
    println!("| {}", text.trim_end().replace('\n', "\n| "));
    ensure!(wrecked.is_ok() && report.verdict.is_clean(), "{text}\n{}", world.logs());
    ensure!(report.verdict.acknowledged as f64 > 0.8 * plan.rate * plan.duration.as_secs_f64(), "{text}");
    Ok(())
}
