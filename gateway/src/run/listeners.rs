//! Opens the listeners and says where they are.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    fanout::reactor,
    http::{
        routes::{Public, upgrade_required},
        upgrade::{Scope, Upgrades},
    },
    rooms::rates::Rate,
    run::{RunError, environment::Environment},
};

/// The addresses from the command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listeners {
    pub(super) shared: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Listeners {
    /// Binds the shared port, and each protocol's own ports on the same address. An own port that is taken is an error
    /// in a pod; elsewhere a warning, so that two gateways can run on one machine.
    pub(super) async fn open(
        self,
        environment: &Environment,
        page: Router,
        rate: Rate,
        upgrades: &Arc<Upgrades>,
        own_ports: Vec<Vec<u16>>,
    ) -> Result<Vec<(Public, TcpListener)>, RunError> {
        let addresses = &upgrades.addresses;
        let public = |scope, router| Public {
            upgrades: Arc::clone(upgrades),
            scope,
            router,
            rate,
            addresses: addresses.clone(),
        };
        let mut open = vec![(public(Scope::Shared, page), bind("shared", "http", self.shared)?)];
        for (index, ports) in own_ports.into_iter().enumerate() {
            let protocol = &upgrades.served[index].protocol;
            for port in ports {
                match bind(protocol.id().name(), "ws", SocketAddr::new(self.shared.ip(), port)) {
                    Ok(listener) => {
                        let routes = upgrades.refusals.watch(protocol.id(), protocol.routes());
                        let router = routes.fallback(upgrade_required);
                        open.push((public(Scope::Own(index), router), listener));
                    }
                    Err(error) if environment.is_pod() => return Err(error),
                    Err(error) => tracing::warn!("{error}"),
                }
            }
        }
        Ok(open)
    }
}

/// Connections that wait to be accepted: a fleet's clients may come back at once, and a full queue costs each of them a
/// second. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// `[::]` takes IPv4 as well, but a node without IPv6 has no such address.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match listen_at(address) {
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            listen_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        listening => listening,
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    reactor::prepare_listener(&socket)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds one listener and logs where it is.
pub(super) fn bind(what: &'static str, scheme: &str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let failed = |source: io::Error| RunError::Listen { what, address, source };
    let listener = listen(address).map_err(failed)?;
    tracing::info!("listening: {what} {scheme}://{}", listener.local_addr().map_err(failed)?);
    Ok(listener)
}
