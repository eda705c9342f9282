//! The protocols that exist, one line each. Called once, by the wiring.

use std::sync::Arc;

#[cfg(any(test, feature = "echo"))]
use super::echo;
use super::{Protocol, matching, multiperson, native, onlyone, relay};

/// What the ChatRoom says of each protocol; None: not served.
#[derive(Clone, Debug, Default)]
pub struct ProtocolSettings {
    pub native: Option<native::NativeSettings>,
    pub onlyone: Option<onlyone::OnlyOneSettings>,
    pub relay: Option<relay::RelaySettings>,
    pub matching: Option<matching::MatchSettings>,
    pub multiperson: Option<multiperson::MultiPersonSettings>,
    #[cfg(any(test, feature = "echo"))]
    pub echo: Option<echo::EchoSettings>,
}

/// The protocols that are served, in the order of their numbers.
pub fn registry(settings: ProtocolSettings) -> Vec<Arc<dyn Protocol>> {
    let ProtocolSettings {
        native,
        onlyone,
        relay,
        matching,
        multiperson,
        #[cfg(any(test, feature = "echo"))]
        echo,
    } = settings;
    let protocols: [Option<Arc<dyn Protocol>>; _] = [
        native.map(|s| Arc::new(native::Native::new(s)) as _),
        onlyone.map(|s| Arc::new(onlyone::OnlyOne::new(s)) as _),
        relay.map(|s| Arc::new(relay::Relay::new(s)) as _),
        matching.map(|s| Arc::new(matching::Match::new(s)) as _),
        multiperson.map(|s| Arc::new(multiperson::MultiPerson::new(s)) as _),
        #[cfg(any(test, feature = "echo"))]
        echo.map(|echo::EchoSettings| Arc::new(echo::Echo) as _),
    ];
    protocols.into_iter().flatten().collect()
}
