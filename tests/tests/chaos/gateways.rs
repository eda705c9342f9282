//! What goes wrong with gateways, and on their way to Redis.

use std::time::Duration;

use anyhow::Result;
use parlor_tests::link::State;
use rand::Rng;
use tokio::{task::block_in_place, time::sleep};

use super::fault::Saboteur;

impl Saboteur<'_> {
    pub(super) async fn gateway_killed(&mut self, seat: usize) -> Result<()> {
        self.timeline.note(format!("gateway {seat} is killed"));
        self.world.seats[seat].kill()?;
        self.last(3.0).await;
        self.timeline.note(format!("gateway {seat} starts again"));
        self.world.seats[seat].restart().await
    }

    pub(super) async fn gateway_frozen(&mut self, seat: usize, most: Duration) -> Result<()> {
        self.timeline.note(format!("gateway {seat} freezes"));
        self.world.seats[seat].gateway()?.freeze()?;
        self.last(most.as_secs_f64()).await;
        self.timeline.note(format!("gateway {seat} thaws"));
        self.world.seats[seat].gateway()?.thaw()
    }

    pub(super) async fn gateways_replaced(&mut self) -> Result<()> {
        for seat in 0..self.world.seats.len() {
            self.timeline.note(format!("gateway {seat} is drained and replaced"));
            self.world.seats[seat].replace().await?;
        }
        Ok(())
    }

    pub(super) async fn link(&mut self, seat: usize, state: State, most: f64) -> Result<()> {
        self.timeline.note(format!("gateway {seat}'s way to redis: {state:?}"));
        self.world.seats[seat].link.set(state);
        self.last(most).await;
        if state == State::Mute {
            return Ok(());
        }
        self.timeline.note(format!("gateway {seat}'s way to redis: {:?}", State::Open));
        self.world.seats[seat].link.set(State::Open);
        Ok(())
    }

    /// What the gateway asked is done, and the answer is lost.
    pub(super) async fn answers_lost(&mut self, seat: usize) -> Result<()> {
        self.link(seat, State::Mute, 1.5).await?;
        self.link(seat, State::Cut, 0.5).await
    }

    /// One gateway and one server no longer hear each other, or one of them no longer hears the other.
    pub(super) async fn way_to_one_server(&mut self, seat: usize, slot: u16, state: State) -> Result<()> {
        let redis = &self.world.redis;
        let primary = block_in_place(|| redis.primary(slot))?;
        let server = if self.rng.random() { primary } else { block_in_place(|| redis.replica(primary))? };
        let port = redis.nodes[server].port();
        self.timeline.note(format!("gateway {seat}'s way to server {server}: {state:?}"));
        self.world.seats[seat].link.set_for(port, state);
        self.last(8.0).await;
        if matches!(state, State::Mute | State::Deaf) {
            // What was held back meanwhile is lost.
            self.world.seats[seat].link.set_for(port, State::Cut);
            sleep(Duration::from_millis(100)).await;
        }
        self.timeline.note(format!("gateway {seat}'s way to server {server}: {:?}", State::Open));
        self.world.seats[seat].link.set_for(port, State::Open);
        Ok(())
    }
}
