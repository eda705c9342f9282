//! When both copies of a shard are gone, what was in them is: readers are told of a gap and a new epoch, and everything
//! that was acknowledged before and after is accounted for.

use std::time::Duration;

use anyhow::{Result, ensure};
use parlor_tests::audit::{self, Report};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::fault::Saboteur;
use super::timeline::Timeline;
use super::world::World;
use super::{ALONE, seconds, seed};

/// Destroys both copies of a shard so many times; answers the report, and all that is known about the run.
pub(crate) async fn lose_both_copies(times: u64, mistake: Option<&str>) -> Result<(Report, String)> {
    let seed = seed();
    let mut timeline = Timeline::start(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start(2, false, mistake).await?;
    let plan = world.plan(Duration::from_secs(3 + 7 * times), false)?;
    let audit = tokio::spawn({
        let plan = plan.clone();
        async move { audit::run(&plan).await }
    });
    sleep(Duration::from_secs(3)).await;
    for _ in 0..times {
        let freeze = Duration::ZERO;
        let mut saboteur = Saboteur { world: &mut world, rng: &mut rng, timeline: &mut timeline, freeze };
        saboteur.both_copies_lost().await?;
        world.well().await?;
        timeline.note("all is well");
        sleep(Duration::from_secs(2)).await;
    }
    let report = audit.await??;
    let text = format!("{}\n{}", timeline.with(&plan, &report), world.logs());
    Ok((report, text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_with_both_copies_is_announced_as_a_gap_in_a_new_epoch() -> Result<()> {
    let _alone = ALONE.lock().await;
    let (report, text) = lose_both_copies(1 + seconds() / 120, None).await?;
    println!("| {}", report.to_string().trim_end().replace('\n', "\n| "));
    ensure!(report.verdict.faults.is_empty(), "{text}");
    ensure!(report.verdict.gaps > 0, "nobody was told of what is gone\n{text}");
    Ok(())
}
