//! The protocols by name and number: the one list from which every other list of the gateway derives.
//!
//! Decides which protocols exist. Never knows what a protocol does; `protocols` is where that is.

use std::ops::Index;

use serde::{Deserialize, Serialize};

/// Writes the enum and everything that must name each of its variants.
macro_rules! protocols {
    ($($(#[$about:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Which protocol a connection speaks. The number is written into entries: never reuse one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum ProtocolId {
            $($(#[$about])* #[serde(rename = $name)] $variant = $number,)*
        }

        /// The index of each protocol in [`ProtocolId::ALL`].
        enum Place {
            $($(#[$about])* $variant,)*
        }

        impl ProtocolId {
            /// Every protocol, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$($(#[$about])* Self::$variant,)*];

            /// As manifests, metrics and logs name it.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$about])* Self::$variant => $name,)*
                }
            }

            const fn index(self) -> usize {
                match self {
                    $($(#[$about])* Self::$variant => Place::$variant as usize,)*
                }
            }
        }
    };
}

protocols! {
    Native = 1, "native";
    OnlyOne = 2, "onlyone";
    Relay = 3, "relay";
    Match = 4, "match";
    MultiPerson = 5, "multiperson";
    #[cfg(any(test, feature = "echo"))]
    Echo = 15, "echo";
}

impl ProtocolId {
    /// How many protocols there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Numbers fit into four bits, because encodings are numbered by them.
    pub const MAX_NUMBER: u8 = 15;

    /// As entries and encodings number it.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The protocol that `number` was given to; None: none that this version knows.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|protocol| protocol.number() == number)
    }
}

const _: () = {
    let mut index = 0;
    while index < ProtocolId::COUNT {
        let number = ProtocolId::ALL[index].number();
        assert!(1 <= number && number <= ProtocolId::MAX_NUMBER, "a protocol's number is 1 to 15");
        assert!(index == 0 || ProtocolId::ALL[index - 1].number() < number, "protocols are listed by their numbers");
        index += 1;
    }
};

/// One value for each protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerProtocol<T>([T; ProtocolId::COUNT]);

impl<T> PerProtocol<T> {
    /// The value that `of` has for each.
    pub fn from_fn(mut of: impl FnMut(ProtocolId) -> T) -> Self {
        Self(std::array::from_fn(|index| of(ProtocolId::ALL[index])))
    }

    /// Every protocol with its value.
    pub fn iter(&self) -> impl Iterator<Item = (ProtocolId, &T)> {
        ProtocolId::ALL.iter().copied().zip(&self.0)
    }
}

impl<T> Index<ProtocolId> for PerProtocol<T> {
    type Output = T;

    fn index(&self, protocol: ProtocolId) -> &T {
        &self.0[protocol.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_number_and_under_its_own_place() {
        let places = PerProtocol(ProtocolId::ALL.to_vec().try_into().unwrap());
        for protocol in ProtocolId::ALL {
            assert_eq!(ProtocolId::from_number(protocol.number()), Some(*protocol));
            assert_eq!(places[*protocol], *protocol);
        }
        assert_eq!(ProtocolId::from_number(0), None);
    }

    #[test]
    fn a_protocol_is_written_as_it_is_named() {
        for protocol in ProtocolId::ALL {
            assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.name());
        }
    }
}
