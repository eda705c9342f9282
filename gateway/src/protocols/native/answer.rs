//! Says things to the client: a reply, or why a request was refused.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{
    bounds::Problem,
    fate::RETRY,
    reply::{Code, Milliseconds, Reply},
};
use crate::fanout::session::{Effect, Effects};

/// Says what was wrong with a request, if something was.
pub(super) fn answer_fault(id: Option<&RawValue>, done: Result<(), Problem>, out: &mut Effects) {
    if let Err(problem) = done {
        let retry = (problem.code == Code::Unavailable).then_some(RETRY);
        refuse(id, problem, retry, out);
    }
}

pub(super) fn say(reply: &Reply<'_>, out: &mut Effects) {
    out.push(Effect::Text(reply.text()));
}

pub(super) fn refuse(id: Option<&RawValue>, problem: Problem, retry: Option<Duration>, out: &mut Effects) {
    let Problem { code, message } = problem;
    out.push(Effect::Refused(code.label()));
    say(&Reply::Error { id, code, message, retry: retry.map(Milliseconds::at_least) }, out);
}
