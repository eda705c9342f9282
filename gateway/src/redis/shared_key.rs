//! Keys that gateways share through Redis where nobody gave them one: the first makes it, all use it.
//!
//! Decides which gateway's proposal it is. Where there is an operator, keys are in a Secret and this is not called.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Servers,
    connection::{Command, Fault},
    lane::{Connection, Failed, Lane, Repeat, Request},
};
use crate::rooms::{Cause, Partition};

/// How long it is tried; a gateway that starts tries again after that.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of a key.
const BYTES: usize = 32;

/// The key that gateways of this ChatRoom share under `name`, which two copies hold.
pub(crate) async fn shared_key(servers: &Arc<Servers>, name: &str) -> Result<[u8; BYTES], Fault> {
    let partition = Partition::nth(0);
    let lane = Lane::new(Arc::clone(servers), partition);
    let proposal = Proposal { key: servers.keys.shared(partition, name), mine: rand::random() };
    lane.carry_out(proposal, WITHIN).await
}

struct Proposal {
    key: String,
    mine: [u8; BYTES],
}

impl Request for Proposal {
    type Done = [u8; BYTES];
    const REPEAT: Repeat = Repeat::Always;

    async fn attempt(&mut self, connection: &Connection) -> Result<Self::Done, Failed> {
        let sent = Instant::now();
        connection
            .send(Command::new("SET").arg(self.key.clone()).arg(Bytes::copy_from_slice(&self.mine)).arg("NX"))
            .await?;
        let kept = connection.send(Command::new("GET").arg(self.key.clone())).await?;
        connection.copied(sent).await?;
        let unreadable = || Failed::before(Fault::Unfit(Cause::from(format!("{} holds no key", self.key))));
        kept.into_bytes().and_then(|kept| kept[..].try_into().ok()).ok_or_else(unreadable)
    }
}
