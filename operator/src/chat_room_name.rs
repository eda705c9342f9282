//! Namespace and name of a ChatRoom: the key of everything that the operator keeps for one.

use std::{fmt, str::FromStr};

use kube::{Resource, ResourceExt};

/// Namespace and name of a ChatRoom.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatRoomName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ChatRoomName {
    /// The name of `object`, which is a ChatRoom.
    pub fn of<K: Resource>(object: &K) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl fmt::Display for ChatRoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ChatRoomName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write NAMESPACE/NAME".into()),
        }
    }
}
