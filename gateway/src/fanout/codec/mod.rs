//! The server's side of RFC 6455 without I/O: bytes of a client in, messages out; and the frames that we write.
//!
//! Decides what is a violation and which close code it gets. Never touches a socket and never buffers a message that
//! arrives whole. Called by the reactors; encodings use [`frame`].

mod close;
mod decoder;
mod deflate;
mod mask;
#[cfg(test)]
mod tests;

pub use self::{
    decoder::Decoder,
    deflate::{COMPRESSED, deflate},
};

/// Opcodes of what we write, with the final bit.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// What a client sent. Borrows from the bytes read, or from what the decoder kept of earlier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// The peer closes; its code, if it gave one.
    Close(Option<u16>),
}

/// How a client broke the protocol; ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("reserved bits are set")]
    Reserved,
    #[error("unknown opcode")]
    Opcode,
    #[error("client frames must be masked")]
    Unmasked,
    #[error("length is not in its shortest form")]
    Length,
    #[error("control frame is fragmented or too long")]
    Control,
    #[error("continuation of nothing")]
    Continuation,
    #[error("message inside a fragmented message")]
    Interleaved,
    #[error("invalid close frame")]
    Close,
    #[error("text is not UTF-8")]
    Utf8,
    #[error("message is too large")]
    TooLarge,
    #[error("compressed data is broken")]
    Compression,
}

impl Violation {
    /// The code to close with.
    pub fn code(self) -> u16 {
        match self {
            Self::Utf8 | Self::Compression => 1007,
            Self::TooLarge => 1009,
            _ => 1002,
        }
    }

    /// Label of the refusals metric, and the reason in the close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Utf8 => "bad_utf8",
            Self::TooLarge => "too_large",
            Self::Compression => "bad_compression",
            _ => "protocol_error",
        }
    }
}

/// Appends one unmasked frame to `out`; `first` is the opcode with the final bit.
pub fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    // At once, with the longest head that a frame of ours has.
    out.reserve(payload.len() + 10);
    out.push(first);
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame; `reason` is cut at what a control frame holds.
pub fn close_frame(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return frame(out, CLOSE, &[]) };
    let reason = &reason[..reason.floor_char_boundary(123)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(out, CLOSE, &payload);
}
