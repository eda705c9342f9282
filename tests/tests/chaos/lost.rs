//! When Redis has lost data, all of a shard or parts of it, gateways restore what they hold: readers receive a gap and a
//! new epoch, seqs continue, and everything that was acknowledged before and after is accounted for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_gateway::bus::RESTORE_SKIP;
use parlor_tests::{
    audit::{self, Report},
    client::native::Native,
    redis::RedisNode,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use tokio::{task::block_in_place, time::sleep};

use super::{ALONE, fault::Saboteur, losses::Loss, seconds, seed, timeline::Timeline, world::World};

/// Destroys both copies of a shard; answers the report, the number of messages in all histories, and all that is known
/// about the run.
pub(crate) async fn lose_both_copies(mistake: Option<&str>) -> Result<(Report, u64, String)> {
    let seed = seed();
    let mut timeline = Timeline::start(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start(2, false, mistake).await?;
    let plan = world.plan(Duration::from_secs(10), false)?;
    let audit = tokio::spawn({
        let plan = plan.clone();
        async move { audit::run(&plan).await }
    });
    sleep(Duration::from_secs(3)).await;
    let freeze = Duration::ZERO;
    let mut saboteur = Saboteur { world: &mut world, rng: &mut rng, timeline: &mut timeline, freeze };
    saboteur.lose(Loss::BothCopies).await?;
    world.well().await?;
    timeline.note("all is well");
    let report = audit.await??;
    let mut client = Native::connect(&plan.native[0]).await?;
    let mut kept = 0;
    for room in &plan.rooms {
        client.join(room, "reader").await?;
        kept += history(&mut client, room).await?.len() as u64;
    }
    let text = format!("{}\n{}", timeline.with(&plan, &report), world.logs());
    Ok((report, kept, text))
}

/// The texts of a room's whole history with their seqs, oldest first.
async fn history(client: &mut Native, room: &str) -> Result<Vec<(u64, String)>> {
    let mut items = Vec::new();
    loop {
        let before = items.last().map_or(json!(null), |(seq, _): &(u64, String)| json!(seq));
        let mut request = json!({"op": "history", "room": room, "limit": 100});
        if !before.is_null() {
            request["before"] = before;
        }
        let page = client.ask_for(request, "history").await?;
        let read = page["items"].as_array().context("a page without items")?.iter().rev();
        items.extend(read.map(|item| {
            let text = item["body"]["text"].as_str().unwrap_or_default();
            (item["seq"].as_u64().unwrap_or(0), text.to_owned())
        }));
        if page["more"] != true {
            items.reverse();
            return Ok(items);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gateways_hold_of_a_lost_shard_comes_back_into_its_history() -> Result<()> {
    let _alone = ALONE.lock().await;
    let mut world = World::start(2, false, None).await?;
    let room = world.rooms[0].as_str().to_owned();
    let mut clients = Vec::new();
    for seat in &world.seats {
        let mut client = Native::connect(&seat.gateway()?.url("/chat")).await?;
        client.join(&room, "ada").await?;
        clients.push(client);
    }
    for n in 1..=60 {
        ensure!(clients[n % 2].post(&room, &format!("key {n}"), &format!("text {n}")).await? == n as u64);
    }
    for client in &mut clients {
        client.messages(60).await?;
    }
    world.redis.nodes.iter_mut().try_for_each(RedisNode::kill)?;
    block_in_place(|| world.redis.nodes.iter_mut().try_for_each(RedisNode::restart))?;
    world.well().await?;
    for client in &mut clients {
        let gap = client.push("gap").await?;
        let next = 60 + RESTORE_SKIP;
        ensure!((&gap["from"], &gap["to"]) == (&json!(61), &json!(next)), "{gap}");
    }
    // An author without an acknowledgement posts again; readers see the message once.
    let again = json!({"op": "post", "room": room, "key": "key 60", "body": {"text": "text 60"}});
    let posted = clients[0].ask_for(again, "posted").await?;
    ensure!((&posted["seq"], &posted["duplicate"]) == (&json!(60), &json!(true)), "{posted}");
    let new = clients[1].post(&room, "key 61", "text 61").await?;
    ensure!(new == 61 + RESTORE_SKIP, "seq {new}");
    let expected = (1..=60).map(|n| (n, format!("text {n}"))).chain([(new, "text 61".to_owned())]);
    let expected: Vec<_> = expected.collect();
    for client in &mut clients {
        ensure!(client.messages(1).await? == [(new, "text 61".to_owned())]);
        ensure!(history(client, &room).await? == expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_with_both_copies_is_announced_as_a_gap_in_a_new_epoch() -> Result<()> {
    let _alone = ALONE.lock().await;
    for _ in 0..1 + seconds() / 120 {
        let (report, kept, text) = lose_both_copies(None).await?;
        println!("| {}", report.to_string().trim_end().replace('\n', "\n| "));
        ensure!(report.verdict.faults.is_empty(), "{text}");
        ensure!(report.verdict.gaps > 0, "nobody received a gap\n{text}");
        ensure!(kept + report.verdict.excused >= report.verdict.acknowledged, "{kept} are in the history\n{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_part_of_its_data_redis_loses_nobody_misses_a_message_untold() -> Result<()> {
    let _alone = ALONE.lock().await;
    let (seed, seconds) = (seed(), (seconds() / 5).clamp(15, 120));
    let mut timeline = Timeline::start(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start(2, true, None).await?;
    let plan = world.plan(Duration::from_secs(seconds), false)?;
    let audit = tokio::spawn({
        let plan = plan.clone();
        async move { audit::run(&plan).await }
    });
    let until = Instant::now() + Duration::from_secs(seconds - 6);
    let mut deck = Vec::new();
    sleep(Duration::from_secs(2)).await;
    while Instant::now() < until {
        if deck.is_empty() {
            deck.extend(Loss::ALL);
            deck.shuffle(&mut rng);
        }
        let Some(loss) = deck.pop() else { break };
        let freeze = Duration::ZERO;
        let mut saboteur = Saboteur { world: &mut world, rng: &mut rng, timeline: &mut timeline, freeze };
        saboteur.lose(loss).await?;
        world.well().await?;
        timeline.note("all is well");
        sleep(Duration::from_secs(1)).await;
    }
    let report = audit.await??;
    let text = format!("{}\n{}", timeline.with(&plan, &report), world.logs());
    println!("| {}", report.to_string().trim_end().replace('\n', "\n| "));
    ensure!(report.verdict.faults.is_empty(), "{text}");
    // After a loss, new rooms wait for three seconds.
    ensure!(report.verdict.acknowledged as f64 > 0.5 * plan.rate * plan.duration.as_secs_f64(), "{text}");
    Ok(())
}
