//! What a close frame of a client says.

use super::Violation;

/// Codes that a peer may send: those of RFC 6455 section 7.4.1, what IANA has registered since (1012 to 1014), and what
/// libraries (3000) and applications (4000) use among themselves.
fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code in a close frame's payload; None when it is empty.
pub(super) fn parse(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Close),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_allowed(code) {
                return Err(Violation::Close);
            }
            std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
            Ok(Some(code))
        }
    }
}
