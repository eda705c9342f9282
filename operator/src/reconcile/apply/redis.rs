//! The managed Redis Cluster: one step, or one restart.

use super::Run;
use crate::reconcile::decide::RedisPlan;
use crate::redis::client;
use crate::redis::plan::Step;
use crate::redis::upgrade::Upgrade;
use k8s_openapi::api::core::v1::Pod;

impl Run<'_> {
    pub(super) async fn redis(&mut self, redis: &RedisPlan) {
        match &redis.step {
            Step::Wait(what) => self.wait_for(Some(what)),
            Step::Settled => self.wait_for(None),
            Step::Run { why, orders } => {
                self.wait_for(None);
                let mut done = true;
                for order in orders {
                    let result = client::carry_out(order).await;
                    done &= self.asked(result);
                }
                if done {
                    self.did("RedisStep", format!("Redis Cluster: {why}"));
                }
            }
        }
        if let Some(upgrade) = &redis.upgrade {
            self.upgrade(upgrade).await;
        }
    }

    /// Notes since when the plan has been waiting for the same thing.
    fn wait_for(&mut self, what: Option<&str>) {
        let now = self.now;
        self.ctx.memories.with(self.key, |memory| match what {
            None => memory.redis_wait = None,
            Some(what) if memory.redis_wait.as_ref().is_some_and(|(known, _)| known == what) => {}
            Some(what) => memory.redis_wait = Some((what.to_owned(), now)),
        });
    }

    async fn upgrade(&mut self, upgrade: &Upgrade) {
        match upgrade {
            Upgrade::Restart(pod) => {
                if self.delete::<Pod>(pod).await {
                    self.did("RedisRestarted", format!("Redis server {pod} restarts with the new template"));
                }
            }
            Upgrade::HandOver(order) => {
                let result = client::carry_out(order).await;
                if self.asked(result) {
                    self.did(
                        "RedisHandOver",
                        format!("Redis server {} takes over from its outdated primary", order.pod),
                    );
                }
            }
        }
    }
}
