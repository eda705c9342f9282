//! The relay's frames: written from words, read into JSON. Protocol Buffers by hand, so that nothing here repeats a
//! mistake of the gateway's own library.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// What a relay client sends, by its name in the protocol: `SIGN_IN ROOM TOKEN`, `HEARTBEAT`, `MEMBERS`,
/// `MESSAGE ROOM NORMAL|IMPORTANT TEXT`, with `""` for an empty room. None when the words say no frame.
pub fn frame(words: &str) -> Option<Vec<u8>> {
    let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
    let (room, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let room = if room == "\"\"" { "" } else { room };
    Some(match name {
        "SIGN_IN" => request(1, &[bytes(1, rest.as_bytes()), bytes(2, room.as_bytes())].concat()),
        "HEARTBEAT" => request(2, &[]),
        "MESSAGE" => {
            let (level, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let level = number(2, u64::from(level == "IMPORTANT"));
            request(3, &[bytes(1, room.as_bytes()), level, bytes(3, text.as_bytes())].concat())
        }
        "MEMBERS" => request(4, &[]),
        _ => return None,
    })
}

/// What the server sent: `{"type":0,"code":…,"msg":…}`, `{"type":3,"room":…,"level":…,"items":[…]}`, or
/// `{"type":…,"data":"…"}`. Fields that were left out are zero or empty.
pub fn read(frame: &[u8]) -> Result<Value> {
    let mut reply = Fields::read(frame)?;
    let data = reply.bytes(2);
    match reply.number(1) {
        0 => {
            let mut status = Fields::read(&data)?;
            Ok(json!({"type": 0, "code": status.number(1), "msg": text(&status.bytes(2))}))
        }
        3 => {
            let mut message = Fields::read(&data)?;
            let items: Vec<_> = items(&message.bytes(3))?.into_iter().map(text).collect();
            Ok(json!({"type": 3, "room": text(&message.bytes(1)), "level": message.number(2), "items": items}))
        }
        kind => Ok(json!({"type": kind, "data": text(&data)})),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each item is its length as 32 bits, the lowest byte first, then so many bytes.
fn items(mut data: &[u8]) -> Result<Vec<&[u8]>> {
    let mut items = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).context("an item beyond memory")?;
        ensure!(length <= rest.len(), "an item of {length} bytes where {} are left", rest.len());
        let (item, rest) = rest.split_at(length);
        items.push(item);
        data = rest;
    }
    ensure!(data.is_empty(), "{} bytes behind the last item", data.len());
    Ok(items)
}

fn request(kind: u64, data: &[u8]) -> Vec<u8> {
    [number(1, kind), bytes(2, data)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

/// A field of wire type 0; left out when it is zero.
fn number(field: u64, value: u64) -> Vec<u8> {
    if value == 0 { Vec::new() } else { [varint(field << 3), varint(value)].concat() }
}

/// A field of wire type 2; left out when it is empty.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    if value.is_empty() {
        return Vec::new();
    }
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// The fields of a message; those of a wire type that the protocol does not use are an error.
struct Fields {
    numbers: Vec<(u64, u64)>,
    strings: Vec<(u64, Vec<u8>)>,
}

impl Fields {
    fn read(mut message: &[u8]) -> Result<Self> {
        let mut fields = Self { numbers: Vec::new(), strings: Vec::new() };
        while !message.is_empty() {
            let key = take_varint(&mut message)?;
            let value = take_varint(&mut message)?;
            match key & 7 {
                0 => fields.numbers.push((key >> 3, value)),
                2 => {
                    let length = usize::try_from(value).context("a field beyond memory")?;
                    ensure!(length <= message.len(), "a field of {length} bytes where {} are left", message.len());
                    let (bytes, rest) = message.split_at(length);
                    fields.strings.push((key >> 3, bytes.to_vec()));
                    message = rest;
                }
                other => bail!("wire type {other}"),
            }
        }
        Ok(fields)
    }

    fn number(&self, field: u64) -> u64 {
        self.numbers.iter().find(|(at, _)| *at == field).map_or(0, |(_, value)| *value)
    }

    fn bytes(&mut self, field: u64) -> Vec<u8> {
        let found = self.strings.iter_mut().find(|(at, _)| *at == field);
        found.map(|(_, bytes)| std::mem::take(bytes)).unwrap_or_default()
    }
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().context("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number of more than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_frame_is_read_into_its_items() {
        let recorded = b"\x08\x03\x12\x25\x0a\x05room3\x1a\x1c\x0a\0\0\0hello im 2\x0a\0\0\0hello im 2";
        let wanted = json!({"type": 3, "room": "room3", "level": 0, "items": ["hello im 2", "hello im 2"]});
        assert_eq!(read(recorded).unwrap(), wanted);
        assert_eq!(read(b"\x12\x05\x12\x03suc").unwrap(), json!({"type": 0, "code": 0, "msg": "suc"}));
        assert!(read(&recorded[..20]).is_err());
    }

    #[test]
    fn words_become_frames() {
        assert_eq!(frame("HEARTBEAT").unwrap(), b"\x08\x02");
        assert_eq!(frame("SIGN_IN r t").unwrap(), b"\x08\x01\x12\x06\x0a\x01t\x12\x01r");
        assert_eq!(frame("MESSAGE r IMPORTANT a b").unwrap(), b"\x08\x03\x12\x0a\x0a\x01r\x10\x01\x1a\x03a b");
        assert_eq!(frame("SIGN_IN \"\" t").unwrap(), b"\x08\x01\x12\x03\x0a\x01t");
        assert!(frame("{}").is_none());
    }
}
