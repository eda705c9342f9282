//! Asks single Redis servers for their view and carries orders out.
//!
//! A connection per server and pass, one command after another, one attempt, everything under one deadline: what fails is
//! simply seen again at the next pass. It decides nothing. Called by `observe` and `apply`.

use std::time::Duration;

pub use super::server::{ClientError, PORT};
use super::{
    access::Access,
    handing,
    passwords::Doors,
    plan::{Command, Order},
    server::{Entered, Server},
    view::View,
};

/// Longest conversation with one server; a healthy one answers within milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);
/// Longest conversation in which slots are handed over; what is not done by then is continued by the next pass.
const HANDING_DEADLINE: Duration = Duration::from_secs(10);

/// Asks the server at `ip` for its view of the cluster and of itself.
pub async fn view(ip: &str, access: &Access) -> Result<View, ClientError> {
    within(DEADLINE, ip, async {
        let (mut server, Entered { open, certificate_is_old }) = Server::connect(ip, access).await?;
        let doors = match &access.passwords {
            Some(passwords) if !open => server.doors(passwords).await?,
            _ => Doors { open, ..Doors::default() },
        };
        let nodes = server.ask(&["CLUSTER", "NODES"]).await?;
        let info = server.ask(&["INFO", "replication", "memory", "persistence"]).await?;
        let view = View::parse(&nodes, &info).map_err(|source| ClientError::View { ip: ip.to_owned(), source })?;
        Ok(View { doors, certificate_is_old, ..view })
    })
    .await
}

/// Gives one order to its server.
pub async fn carry_out(order: &Order, access: &Access) -> Result<(), ClientError> {
    let Order { pod: _, ip, command } = order;
    if let Command::Hand(hand) = command {
        return within(HANDING_DEADLINE, ip, handing::hand(ip, hand, access)).await;
    }
    within(DEADLINE, ip, async {
        let (mut server, _) = Server::connect(ip, access).await?;
        if *command == Command::ReloadCertificate {
            return server.reload_certificate().await;
        }
        let words = command.words(access.passwords.as_ref());
        if words.is_empty() {
            return Ok(());
        }
        server.order(&words).await
    })
    .await
}

async fn within<T>(
    limit: Duration,
    ip: &str,
    talk: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let ended = tokio::time::timeout(limit, talk).await;
    ended.unwrap_or_else(|_| Err(ClientError::Deadline { ip: ip.to_owned(), limit }))
}
