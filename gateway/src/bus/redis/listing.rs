//! The rooms that a partition knows, some at a time.
//!
//! Decides nothing about rooms. Reads the primary: where a listing continues is known to the server that began it.

use std::time::Duration;

use fred::types::Value;

use super::super::KnownRooms;
use crate::{
    redis::{
        Servers,
        connection::{Command, Fault, list},
    },
    rooms::{Partition, RoomName},
};

/// Rooms that are looked at in one command.
const COUNT: u32 = 100;

const ANSWER: Duration = Duration::from_secs(2);

/// See [`super::super::Bus::rooms`].
pub(super) async fn rooms(servers: &Servers, partition: Partition, after: Option<&str>) -> Result<KnownRooms, Fault> {
    let Ok(cursor) = after.unwrap_or("0").parse::<u64>() else {
        // No server has named such a place, so nothing is behind it.
        return Ok(KnownRooms::default());
    };
    let scan = Command::new("HSCAN").arg(servers.keys.heads(partition)).arg(cursor.to_string()).arg("COUNT").arg(COUNT);
    let primary = servers.cluster.primary(partition)?.server;
    let [next, fields] = <[Value; 2]>::try_from(list(servers.cluster.call(&primary, scan, ANSWER).await?))
        .map_err(|_| Fault::Unfit("HSCAN answers a cursor and fields".into()))?;
    let next = next.into_string().filter(|next| next != "0");
    let fields: Vec<_> = list(fields).into_iter().map(|field| field.into_string().unwrap_or_default()).collect();
    Ok(KnownRooms { rooms: fields.chunks_exact(2).filter_map(|pair| room(&pair[0], &pair[1])).collect(), next })
}

/// A room and its line in the heads. The field without a name that is always there is no room.
fn room(name: &str, line: &str) -> Option<(RoomName, u64)> {
    let room = RoomName::stored(name).ok().filter(|room| !room.is_private())?;
    Some((room, line.split(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_rooms_and_what_is_no_room_are_left_out() {
        let lobby = RoomName::new("lobby").unwrap();
        assert_eq!(room("lobby", "12 3 4567 89"), Some((lobby, 12)));
        assert_eq!(room("", "0"), None);
        assert_eq!(room(RoomName::private("match", 7).as_str(), "1 0 0 0"), None);
        assert_eq!(room("lobby", "x"), None);
    }
}
