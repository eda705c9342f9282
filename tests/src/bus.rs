//! The gateway's bus, as one gateway of a ChatRoom opens it.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use parlor_gateway::bus::{
    Bus, History,
    redis::{Redis, Settings},
};

/// What rooms keep.
pub const HISTORY: History = History { messages: 300, age: Duration::from_secs(3600) };

/// Of the ChatRoom that all tests on these servers share; `gateway` tells its gateways apart.
pub fn settings(seeds: Vec<String>, gateway: &str) -> Settings {
    Settings {
        seeds,
        username: None,
        password: None,
        tls: None,
        prefix: "ns/chat".into(),
        history: HISTORY,
        gateway: gateway.into(),
    }
}

/// The bus of a gateway with these [`settings`].
pub async fn connect(seeds: Vec<String>, gateway: &str) -> Result<Arc<dyn Bus>> {
    Ok(Arc::new(Redis::connect(settings(seeds, gateway)).await?))
}
