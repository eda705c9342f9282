//! Other people's servers: one room each, as their own guides set them up for speed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use parlor_tests::redis::{RedisNode, free_port};

use super::{Server, child::Child, install};
use crate::generator::Dialect;

const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Socket.IO 4 with its adapter for Redis streams.
    SocketIo,
    /// ws, with Redis pub/sub through ioredis.
    Ws,
    /// nginx with nchan, which keeps its channels in Redis.
    Nchan,
    /// A program over the Centrifuge library, its broker in Redis.
    Centrifuge,
    /// uWebSockets as Bun carries it, with its own pub/sub: no bus, no history.
    UWebSockets,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] = [Self::SocketIo, Self::Ws, Self::Nchan, Self::Centrifuge, Self::UWebSockets];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SocketIo => "Socket.IO + redis-streams adapter",
            Self::Ws => "ws + Redis pub/sub",
            Self::Nchan => "nchan + Redis",
            Self::Centrifuge => "Centrifuge + Redis",
            Self::UWebSockets => "uWebSockets (Bun), no bus",
        }
    }

    /// Starts it on a free port, with a Redis of its own where it uses one.
    pub(crate) fn start(self) -> Result<Server> {
        let directory = install::directory();
        let redis = if self == Self::UWebSockets { None } else { Some(RedisNode::start()?) };
        let port = redis.as_ref().map(|redis| redis.port().to_string()).unwrap_or_default();
        let script = |program: &Path, name: &str| {
            let path = directory.join(name).to_string_lossy().into_owned();
            Child::start(name, program, &[&path], &[("REDIS_PORT", &port), ("NODE_ENV", "production")])
        };
        let (child, dialect) = match self {
            Self::SocketIo => (script(Path::new("node"), "socketio.js")?, Dialect::SocketIo),
            Self::Ws => (script(Path::new("node"), "ws.js")?, Dialect::Plain),
            Self::Nchan => (nchan(&directory, &port)?, Dialect::Plain),
            Self::Centrifuge => (
                Child::start("centrifuge", &directory.join(install::CENTRIFUGE), &[], &[("REDIS_PORT", &port)])?,
                Dialect::Centrifuge,
            ),
            Self::UWebSockets => (script(&bun(&directory)?, "uws.js")?, Dialect::Plain),
        };
        Server::other(child, dialect, redis)
    }
}

fn nchan(directory: &Path, redis_port: &str) -> Result<Child> {
    ensure!(Path::new(NCHAN).exists(), "{NCHAN} is missing (apt: libnginx-mod-nchan)");
    let port = free_port()?;
    let template = std::fs::read_to_string(directory.join("nchan.conf")).context("read nchan.conf")?;
    let path = directory.to_string_lossy();
    let text =
        template.replace("REDIS_PORT", redis_port).replace("PORT", &port.to_string()).replace("DIRECTORY", &path);
    let file = directory.join("nginx.conf");
    std::fs::write(&file, text).context("write nginx.conf")?;
    let file = file.to_string_lossy();
    Child::on_port("nchan", Path::new("/usr/sbin/nginx"), &["-p", &path, "-c", &file], port, "/room")
}

/// The program that npm brought for this machine.
fn bun(directory: &Path) -> Result<PathBuf> {
    let packages = directory.join("node_modules/@oven");
    let found = std::fs::read_dir(&packages).with_context(|| format!("read {}", packages.display()))?;
    let mut programs = found.filter_map(|entry| Some(entry.ok()?.path().join("bin/bun"))).filter(|path| path.exists());
    programs.next().with_context(|| format!("npm brought no Bun for this machine into {}", packages.display()))
}
