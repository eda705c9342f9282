//! Who a connection is: made afresh for each, as these clients expect, from what is unique about it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::names::full_name;
use crate::{
    protocols::json,
    rooms::{Author, Entry, Origin, ProtocolId},
};

/// From 1582-10-15 to 1970-01-01 in 100 ns: where the clock of a UUID v1 starts.
const GREGORIAN: u64 = 0x01b2_1dd2_1381_4000;

/// A person as these clients are shown one.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct User<'a> {
    #[serde(rename = "userId")]
    id: &'a str,
    avatar: String,
    username: &'a str,
    register_time: u64,
}

/// What an author of this protocol carries along.
#[derive(Serialize, Deserialize)]
struct Extra {
    avatar: String,
    register_time: u64,
}

/// A new person on the connection `origin`; `base` is the start of the avatar's URL.
pub(super) fn new_person(origin: Origin, unix: u64, base: &str) -> Author {
    let seed: [u8; 32] = Sha256::new()
        .chain_update(origin.gateway.to_be_bytes())
        .chain_update(origin.connection.to_be_bytes())
        .chain_update(unix.to_be_bytes())
        .finalize()
        .into();
    let avatar = format!("{base}/avatar/{}", avatar_file(&seed));
    Author {
        id: uuid_v1(&seed, unix).to_string().into(),
        name: full_name(seed[30], seed[31]).into(),
        extra: Some(json::write(&Extra { avatar, register_time: unix }).into()),
    }
}

/// How the author of an entry looks; people of other protocols get an avatar that follows from their id.
pub(super) fn author<'a>(entry: &'a Entry, base: &str) -> User<'a> {
    let known = (entry.protocol == ProtocolId::OnlyOne).then(|| own(&entry.from)).flatten();
    known.unwrap_or_else(|| {
        let seed: [u8; 32] = Sha256::digest(entry.from.id.as_bytes()).into();
        let avatar = format!("{base}/avatar/{}", avatar_file(&seed));
        User { id: &entry.from.id, avatar, username: &entry.from.name, register_time: entry.time }
    })
}

/// How a person of this protocol looks; None for others.
pub(super) fn own(who: &Author) -> Option<User<'_>> {
    let Extra { avatar, register_time } = serde_json::from_str(who.extra.as_deref()?).ok()?;
    Some(User { id: &who.id, avatar, username: &who.name, register_time })
}

fn avatar_file(seed: &[u8; 32]) -> String {
    format!("{:08x}.svg", u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]))
}

fn uuid_v1(seed: &[u8; 32], unix: u64) -> Uuid {
    // The clock counts in 100 ns; what is finer than a millisecond comes from the seed.
    let fine = u64::from(u16::from_be_bytes([seed[4], seed[5]])) % 10_000;
    let ticks = GREGORIAN.wrapping_add(unix.wrapping_mul(10_000)).wrapping_add(fine);
    let high = ((ticks >> 48) as u16 & 0x0fff) | 0x1000;
    let mut rest = [0; 8];
    rest.copy_from_slice(&seed[6..14]);
    // RFC 9562: the variant, and a node that is no network card's address.
    rest[0] = (rest[0] & 0x3f) | 0x80;
    rest[2] |= 0x01;
    Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, high, &rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::script::{UNIX, entry, person};

    #[test]
    fn a_new_person_has_a_uuid_v1_a_full_name_and_an_avatar() {
        let who = new_person(Origin { gateway: 1, connection: 2 }, UNIX, "https://chat.example.com");
        let id = Uuid::parse_str(&who.id).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (1, uuid::Variant::RFC4122));
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, UNIX / 1000);
        assert_eq!(who.name.split(' ').count(), 2);
        let user = own(&who).unwrap();
        assert!(user.avatar.starts_with("https://chat.example.com/avatar/") && user.avatar.ends_with(".svg"));
        assert_eq!(user.register_time, UNIX);
        assert_ne!(new_person(Origin { gateway: 1, connection: 3 }, UNIX, "").id, who.id);
    }

    #[test]
    fn a_person_of_another_protocol_keeps_one_avatar() {
        let bob = person("u2", "bob");
        let one = entry(1, &bob, ProtocolId::Native, "{}", None);
        let two = entry(2, &bob, ProtocolId::Native, "{}", None);
        let shown = author(&one, "https://h");
        assert_eq!((shown.id, shown.username), ("u2", "bob"));
        assert_eq!(shown.avatar, author(&two, "https://h").avatar);
    }
}
