//! What amendments cost Redis beside messages: a measurement, not a test.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::History,
    rooms::{Partition, Post},
};
use parlor_tests::{
    bus::{HISTORY, open, settings},
    redis::RedisNode,
};

use super::{
    Gateway,
    amendments::{amendment, react},
    post, room,
};

/// What posting costs Redis: CPU of scripts in microseconds, and bytes of memory, each per post.
async fn cost(redis: &RedisNode, bus: &Gateway, posts: &[Post], group: usize) -> Result<(f64, f64)> {
    let number = |section: &str, name: &str| -> Result<f64> {
        let info = redis.call(&["INFO", section])?;
        let value = info.text().lines().find_map(|line| line.split_once(name)?.1.split([',', '\r']).next());
        value.context(name.to_owned())?.parse().with_context(|| name.to_owned())
    };
    redis.call(&["CONFIG", "RESETSTAT"])?;
    let before = number("memory", "used_memory:")?;
    for group in posts.chunks(group) {
        let answers = bus.append(Partition::of(&posts[0].room), group).await?;
        ensure!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let number_of_posts = posts.len() as f64;
    let calls: f64 = number("commandstats", "cmdstat_evalsha:calls=")?;
    let usec = number("commandstats", &format!("cmdstat_evalsha:calls={calls},usec="))?;
    Ok((usec / number_of_posts, (number("memory", "used_memory:")? - before) / number_of_posts))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures and prints; run it alone, on an idle machine, with --release"]
async fn what_a_reaction_costs_redis_beside_a_message() -> Result<()> {
    for size in [1, 16, 128] {
        let redis = RedisNode::start()?;
        let history = History { messages: 100_000, ..HISTORY };
        let bus: Gateway = Arc::new(open(settings(vec![redis.address()]), history, "a").await?);
        let room = room("cost");
        let text = "x".repeat(100);
        let message = |n: usize| post(&room, "u1", &format!("m{n}"), &text);
        let reaction = |n: usize| amendment(&room, &format!("u{n}"), &format!("r{n}"), 1 + n as u64 / 900, react("👍"));
        let posts = 128 * 50;
        // The first of each kind load the script and find the messages.
        cost(&redis, &bus, &(0..256).map(message).collect::<Vec<_>>(), 128).await?;
        let messages = cost(&redis, &bus, &(256..256 + posts).map(message).collect::<Vec<_>>(), size).await?;
        let reactions = cost(&redis, &bus, &(0..posts).map(reaction).collect::<Vec<_>>(), size).await?;
        println!(
            "groups of {size:3}: a message {:.1} us and {:.0} bytes, a reaction {:.1} us and {:.0} bytes",
            messages.0, messages.1, reactions.0, reactions.1
        );
    }
    Ok(())
}
