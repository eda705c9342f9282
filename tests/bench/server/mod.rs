//! Servers under measurement: Parlor's gateway, the bare sender, and other people's. Each runs on the server's core,
//! its Redis on the other.

pub(crate) mod bare;
mod child;
mod install;
mod peers;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use anyhow::Result;
use parlor_tests::{
    gateway::{Gateway, Setup},
    redis::{RedisCluster, RedisNode},
};

use self::child::Child;
pub(crate) use self::{install::install, peers::Peer};
use crate::{
    generator::{Dialect, Endpoint},
    machine::{SERVER_CORE, cpu, resident},
};

/// A running server; it ends with this value.
pub(crate) struct Server {
    pub(crate) endpoint: Rc<Endpoint>,
    processes: Vec<u32>,
    redis: Vec<u32>,
    running: Running,
}

enum Running {
    Gateway(Gateway),
    /// And its Redis, where it has one.
    Other(Child, Option<RedisNode>),
}

/// The token of a gateway's server API.
pub(crate) const API_TOKEN: &str = "a token of the benchmark";

/// Starts a gateway on the server's core.
fn start(runtime: &tokio::runtime::Runtime, redis: &RedisCluster, setup: Setup) -> Result<Gateway> {
    let core = SERVER_CORE.to_string();
    runtime.block_on(Gateway::start(&setup.redis(&redis.seeds()).through(&["taskset", "-c", &core])))
}

impl Server {
    /// A gateway with that spec and those Redis servers.
    pub(crate) fn parlor(runtime: &tokio::runtime::Runtime, redis: &RedisCluster, spec: &str) -> Result<Self> {
        Self::parlor_with(runtime, redis, Setup::spec(spec))
    }

    /// The same with more in its setup.
    pub(crate) fn parlor_with(runtime: &tokio::runtime::Runtime, redis: &RedisCluster, setup: Setup) -> Result<Self> {
        let gateway = start(runtime, redis, setup)?;
        Self::gateway(redis, gateway)
    }

    fn gateway(redis: &RedisCluster, gateway: Gateway) -> Result<Self> {
        let endpoint = Rc::new(Endpoint::new(gateway.address("shared")?, Dialect::Native)?);
        let redis = redis.nodes.iter().filter_map(RedisNode::pid).collect();
        Ok(Self { endpoint, processes: vec![gateway.pid()], redis, running: Running::Gateway(gateway) })
    }

    /// A gateway with its server API, and where that is.
    pub(crate) fn parlor_with_api(
        runtime: &tokio::runtime::Runtime,
        redis: &RedisCluster,
        spec: &str,
    ) -> Result<(Self, SocketAddr)> {
        let setup = Setup::spec(spec).secret("api/bench", API_TOKEN).argument("--api").argument("127.0.0.1:0");
        let gateway = start(runtime, redis, setup)?;
        let api = gateway.address("api")?;
        Ok((Self::gateway(redis, gateway)?, api))
    }

    /// The bare sender.
    pub(crate) fn bare() -> Result<Self> {
        let program = std::env::current_exe()?;
        let child = Child::start("bare", &program, &["bare"], &[])?;
        Self::other(child, Dialect::Plain, None)
    }

    fn other(child: Child, dialect: Dialect, redis: Option<RedisNode>) -> Result<Self> {
        let endpoint = Rc::new(Endpoint::new(child.address(), dialect)?);
        let pids = redis.iter().filter_map(RedisNode::pid).collect();
        Ok(Self { endpoint, processes: child.processes(), redis: pids, running: Running::Other(child, redis) })
    }

    /// Where members of another protocol connect.
    pub(crate) fn speaking(&self, dialect: Dialect) -> Result<Rc<Endpoint>> {
        Ok(Rc::new(Endpoint::new(self.endpoint.address, dialect)?))
    }

    /// Where members connect who offer to inflate what comes.
    pub(crate) fn inflating(&self) -> Result<Rc<Endpoint>> {
        Ok(Rc::new(Endpoint::new(self.endpoint.address, self.endpoint.dialect)?.inflating()))
    }

    /// Where members connect who bring a token.
    pub(crate) fn signed_in(&self, token: &str) -> Result<Rc<Endpoint>> {
        Ok(Rc::new(Endpoint::new(self.endpoint.address, self.endpoint.dialect)?.signed_in(token)))
    }

    /// CPU time of the server, without Redis.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(&self.processes)
    }

    /// CPU time of its Redis servers together.
    pub(crate) fn redis_cpu(&self) -> Result<Duration> {
        cpu(&self.redis)
    }

    /// Resident memory of the server in bytes, without Redis.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(&self.processes)
    }

    /// Resident memory of its Redis servers together, in bytes.
    pub(crate) fn redis_resident(&self) -> Result<u64> {
        resident(&self.redis)
    }

    /// Of a gateway: system calls so far that wrote to members.
    pub(crate) fn writes(&self, runtime: &tokio::runtime::Runtime) -> Result<u64> {
        match &self.running {
            Running::Gateway(gateway) => runtime.block_on(gateway.counter("writes")),
            Running::Other(..) => anyhow::bail!("only a gateway counts its writes"),
        }
    }

    /// Of the bare sender: CPU time spent in send() so far, and how many there were.
    pub(crate) fn sends(&mut self) -> Result<(Duration, u64)> {
        match &mut self.running {
            Running::Other(child, None) => child.sends(),
            Running::Other(..) | Running::Gateway(_) => anyhow::bail!("only the bare sender counts its sends"),
        }
    }
}
