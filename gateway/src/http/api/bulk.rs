//! Many messages in one request: a line each in, a line each out, in the same order.
//!
//! Decides how many lines are appended together: all that have come while the group before was stored, up to a bound. The
//! next ones are read when those are answered and the caller has taken the answers: that is the back-pressure.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, BodyDataStream, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    fault::Fault,
    guard::Caller,
    lines::{Lines, TooLong},
    read::{content_type, json},
    shapes::{Line, Published},
    state::Api,
};
use crate::fanout::poster::Message;

const NDJSON: &str = "application/x-ndjson";
/// Lines that are appended together: some milliseconds of work for all shards.
const GROUP: usize = 2048;
/// Bytes of lines that are appended together; one line more at most.
const GROUP_BYTES: usize = 1 << 20;
/// Bytes of a line beside the message's body: room, key, sender and the names of the fields.
const AROUND: usize = 4096;
/// A request on which nothing comes for so long ends.
const IDLE: Duration = Duration::from_secs(20);

/// Publishes many messages: one JSON object per line in, one per line out, in the same order.
///
/// A line that is refused is answered with an error in its place and does not stop the others. Empty lines have no answer.
/// Read the answers while you send: the gateway reads on when they are taken. A request on which nothing comes for 20
/// seconds ends.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "messages",
    request_body(content = Line, content_type = "application/x-ndjson", description = "One message per line"),
    responses(
        (status = 200, description = "One answer per line: the message is kept, or why it was refused", content((Published = "application/x-ndjson"))),
        Fault
    )
)]
pub(super) async fn publish_all(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    content_type(&headers, NDJSON)?;
    let lines = Lines::new(api.body_limit.0 + AROUND);
    let bulk = Bulk { api, caller, body: body.into_data_stream(), lines, ended: false };
    let answers = stream::unfold(bulk, |mut bulk| async move {
        let group = bulk.group().await?;
        let answers = bulk.publish(group).await;
        Some((Ok::<_, Infallible>(answers), bulk))
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON))], Body::from_stream(answers)).into_response())
}

/// A bulk request that is being answered.
struct Bulk {
    api: Arc<Api>,
    caller: Caller,
    body: BodyDataStream,
    lines: Lines,
    ended: bool,
}

/// A line of the request.
type Cut = Result<Bytes, TooLong>;

impl Bulk {
    /// The next lines: waits for one, and takes those that are there already. None: nothing more comes.
    async fn group(&mut self) -> Option<Vec<Cut>> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        loop {
            while group.len() < GROUP && bytes < GROUP_BYTES {
                let Some(line) = self.lines.next() else { break };
                bytes += line.as_ref().map_or(0, Bytes::len);
                group.push(line);
            }
            if self.ended || group.len() >= GROUP || bytes >= GROUP_BYTES {
                break;
            }
            let more = if group.is_empty() {
                timeout(IDLE, self.body.next()).await.ok().flatten()
            } else {
                let Some(more) = self.body.next().now_or_never() else { break };
                more
            };
            match more {
                Some(Ok(more)) => self.lines.push(&more),
                // The caller is gone, or has said all: what is there is published.
                None | Some(Err(_)) => {
                    self.ended = true;
                    group.extend(self.lines.last());
                }
            }
        }
        (!group.is_empty()).then_some(group)
    }

    /// Appends what can be appended, and answers every line. Borrows it alone, because nobody may share the body.
    async fn publish(&mut self, group: Vec<Cut>) -> Bytes {
        let mut messages = Vec::with_capacity(group.len());
        let refused: Vec<Option<Fault>> = group
            .into_iter()
            .map(|line| match self.message(line) {
                Ok(message) => {
                    messages.push(message);
                    None
                }
                Err(fault) => Some(fault),
            })
            .collect();
        self.api.meter.published(messages.len() as u64);
        let mut fates = self.api.poster.post_all(messages).await.into_iter();
        let mut out = Vec::with_capacity(refused.len() * 64);
        for refused in refused {
            let fate = match refused {
                Some(fault) => Err(fault),
                None => fates.next().map_or_else(
                    || Err(Fault::unavailable("no answer")),
                    |fate| fate.map(Published::from).map_err(Fault::from),
                ),
            };
            match fate {
                Ok(published) => write(&published, &mut out),
                Err(fault) => write(&fault, &mut out),
            }
        }
        out.into()
    }

    fn message(&self, line: Cut) -> Result<Message, Fault> {
        let line = line.map_err(|TooLong| Fault::too_large("a line is longer than a message may be"))?;
        json::<Line<'_>>(&line)?.message(&self.caller, self.api.body_limit)
    }
}

fn write<T: Serialize>(answer: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, answer).expect("writing strings and numbers into memory cannot fail");
    out.push(b'\n');
}
