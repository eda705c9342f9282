//! What a client learns of a post that the bus refused.

use std::time::Duration;

use super::{bounds::Problem, reply::Code};
use crate::{bus::AppendError, rooms::amendments::Refused};

/// When to try again where nobody knows better.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// When to try again while a rollout is under way.
const OLDER_GATEWAY_RETRY: Duration = Duration::from_secs(10);

/// The error that a client receives for a post that the bus refused, and after how long another try may help.
pub(super) fn refused(error: &AppendError) -> (Problem, Option<Duration>) {
    let (code, message, retry) = match error {
        AppendError::NotDurable => (Code::NotDurable, "only one copy of the room exists", None),
        AppendError::Denied(_) | AppendError::Unavailable(_) | AppendError::Lost => {
            (Code::Unavailable, "the message may not have been kept: send it again", Some(RETRY))
        }
        AppendError::OlderGateway => {
            let message = "messages cannot be changed while a gateway of an older release is running";
            (Code::Unavailable, message, Some(OLDER_GATEWAY_RETRY))
        }
        AppendError::Amendment(Refused::NotFound) => (Code::NotFound, "the history has no such message", None),
        AppendError::Amendment(Refused::Forbidden) => (Code::Forbidden, "somebody else wrote the message", None),
        AppendError::Amendment(Refused::Full) => (Code::TooLarge, "the message has all reactions it can have", None),
    };
    (Problem::new(code, message), retry)
}
