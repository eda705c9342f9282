//! The memory that peers pin over HTTP: answers that they have not taken, and bodies that they have begun to send.
//!
//! Decides how much that may be in all, and who gives way when it is more: the peers that have pinned theirs for longest, whose
//! connections end. A peer that reads and sends is done in a moment, so these are the ones that do not. Counted is what was made
//! for one peer or came from it; a file of the page is one piece of memory, however many are sent it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::refusals::Refusals;

/// Answers up to this size are within what a peer's place costs anyway.
const SMALL: u64 = 4 * 1024;

/// An answer whose memory other answers share: it is not counted. Set where answers of that kind are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared;

/// What the peers of one kind of listeners pin; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    limit: usize,
    rows: Arc<Mutex<Rows>>,
    refusals: Refusals,
}

#[derive(Debug, Default)]
struct Rows {
    next: u64,
    bytes: usize,
    by_age: BTreeMap<u64, Row>,
}

#[derive(Debug)]
struct Row {
    bytes: usize,
    peer: CancellationToken,
}

impl Rows {
    fn forget(&mut self, number: u64) -> Option<CancellationToken> {
        let Row { bytes, peer } = self.by_age.remove(&number)?;
        self.bytes -= bytes;
        Some(peer)
    }
}

/// One row: what a peer pins for one purpose. It no longer counts when it is dropped.
#[derive(Debug)]
struct Claim {
    number: u64,
    pinned: Pinned,
}

impl Claim {
    /// Counts so many bytes more, and ends the peers for which there is no more room, but never this one for itself.
    fn grow(&self, bytes: usize) {
        let mut rows = self.pinned.rows.lock();
        let Some(row) = rows.by_age.get_mut(&self.number) else { return };
        row.bytes += bytes;
        rows.bytes += bytes;
        let mut gone = Vec::new();
        while rows.bytes > self.pinned.limit {
            let oldest = rows.by_age.iter().find(|(number, row)| row.bytes > 0 && **number != self.number);
            let Some(oldest) = oldest.map(|(number, _)| *number) else { break };
            gone.extend(rows.forget(oldest));
        }
        drop(rows);
        for peer in gone {
            self.pinned.refusals.count(None, "pinned");
            peer.cancel();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.pinned.rows.lock().forget(self.number);
    }
}

/// The memory of an answer, which counts until the last piece of it is gone.
struct Answer {
    bytes: Bytes,
    _claim: Claim,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that counts as it comes, until its request is answered.
pub(super) struct Counted {
    body: Incoming,
    claim: Arc<Uploaded>,
}

/// What has come of a request's body.
#[derive(Debug)]
pub(super) struct Uploaded(Claim);

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.claim.0.grow(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Pinned {
    /// At most `limit` bytes in all. Peers that give way count among `refusals`.
    pub(super) fn new(limit: usize, refusals: Refusals) -> Self {
        Self { limit, rows: Arc::default(), refusals }
    }

    fn claim(&self, peer: &CancellationToken) -> Claim {
        let mut rows = self.rows.lock();
        let number = rows.next;
        rows.next += 1;
        rows.by_age.insert(number, Row { bytes: 0, peer: peer.clone() });
        Claim { number, pinned: self.clone() }
    }

    /// Counts what comes of a request's body for as long as the second is kept.
    pub(super) fn upload(&self, body: Incoming, peer: &CancellationToken) -> (Counted, Arc<Uploaded>) {
        let claim = Arc::new(Uploaded(self.claim(peer)));
        (Counted { body, claim: Arc::clone(&claim) }, claim)
    }

    /// Counts an answer for as long as `peer` has not taken it.
    pub(super) async fn hold(&self, answer: Response<Body>, peer: &CancellationToken) -> Response<Body> {
        let whole = answer.body().size_hint().exact().filter(|size| *size > SMALL);
        if whole.is_none() || answer.extensions().get::<Shared>().is_some() {
            return answer;
        }
        let (head, body) = answer.into_parts();
        // It is in memory already: nothing is waited for.
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let claim = self.claim(peer);
        claim.grow(bytes.len());
        Response::from_parts(head, Body::from(Bytes::from_owner(Answer { bytes, _claim: claim })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 10_000;

    async fn held(answers: &Pinned, size: usize, peer: &CancellationToken) -> Response<Body> {
        answers.hold(Response::new(Body::from(vec![b'a'; size])), peer).await
    }

    #[tokio::test]
    async fn the_peers_that_were_answered_first_give_way_when_there_is_no_room() {
        let answers = Pinned::new(3 * LARGE, Refusals::default());
        let peers: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let mut unread = Vec::new();
        for peer in &peers {
            unread.push(held(&answers, LARGE, peer).await);
        }
        let ended: Vec<_> = peers.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(ended, [true, false, false, false]);
        assert_eq!(answers.rows.lock().bytes, 3 * LARGE);
    }

    #[tokio::test]
    async fn an_answer_counts_until_the_last_piece_of_it_is_gone() {
        let answers = Pinned::new(3 * LARGE, Refusals::default());
        let peer = CancellationToken::new();
        let whole = held(&answers, LARGE, &peer).await.into_body().collect().await.unwrap().to_bytes();
        let piece = whole.slice(5..9);
        drop(whole);
        assert_eq!(answers.rows.lock().bytes, LARGE);
        drop(piece);
        assert_eq!(answers.rows.lock().bytes, 0);
        assert!(!peer.is_cancelled());
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_all_may_be_is_given_alone() {
        let answers = Pinned::new(LARGE, Refusals::default());
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let _unread = held(&answers, 20, &first).await;
        let _unread = held(&answers, LARGE, &first).await;
        let large = held(&answers, 2 * LARGE, &second).await;
        assert!(first.is_cancelled() && !second.is_cancelled());
        assert_eq!(large.into_body().size_hint().exact(), Some(2 * LARGE as u64));
    }

    #[tokio::test]
    async fn what_many_share_and_what_is_small_is_not_counted() {
        let answers = Pinned::new(1, Refusals::default());
        let peer = CancellationToken::new();
        let mut shared = Response::new(Body::from(vec![b'a'; LARGE]));
        shared.extensions_mut().insert(Shared);
        let _unread = (answers.hold(shared, &peer).await, held(&answers, 100, &peer).await);
        assert_eq!(answers.rows.lock().bytes, 0);
    }
}
