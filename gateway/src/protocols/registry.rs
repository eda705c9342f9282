//! The protocols that exist, one line each. Called once, by the wiring.

use std::sync::Arc;

#[cfg(any(test, feature = "echo"))]
use super::echo;
use super::{Protocol, matching, multiperson, native, onlyone, relay};

/// What the ChatRoom says of each protocol; None: not served.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub native: Option<native::Settings>,
    pub onlyone: Option<onlyone::Settings>,
    pub relay: Option<relay::Settings>,
    pub matching: Option<matching::Settings>,
    pub multiperson: Option<multiperson::Settings>,
    #[cfg(any(test, feature = "echo"))]
    pub echo: Option<echo::Settings>,
}

/// The protocols that are served, in the order of their numbers.
pub fn registry(settings: Settings) -> Vec<Arc<dyn Protocol>> {
    let Settings {
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
        echo.map(|echo::Settings| Arc::new(echo::Echo) as _),
    ];
    protocols.into_iter().flatten().collect()
}
