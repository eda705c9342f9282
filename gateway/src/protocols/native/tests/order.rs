//! Posts that name the one before them.

use std::time::Duration;

use proptest::prelude::*;

use super::{ada, error};
use crate::{
    bus::AppendError,
    fanout::session::{Input, PostError},
    protocols::script::Peer,
};

const WHY: &str = "the post that it follows was refused, or too many wait: send that one first";

fn post(peer: &mut Peer, key: &str, follows: Option<&str>) -> Vec<String> {
    let follows = follows.map(|key| format!(r#","follows":"{key}""#)).unwrap_or_default();
    peer.text(&format!(r#"{{"op":"post","id":1,"room":"lobby","key":"{key}","body":{{}}{follows}}}"#))
}

fn out_of_order() -> [String; 2] {
    error(r#""id":1,"#, "out_of_order", WHY)
}

fn goes(tag: u64, key: &str) -> String {
    format!("post {tag} lobby by ada {{}} key {key}")
}

fn fails(peer: &mut Peer, tag: u64) -> Vec<String> {
    peer.input(Input::Posted { tag, result: Err(PostError::Append(AppendError::Unavailable("down".into()))) })
}

#[test]
fn a_post_waits_for_the_one_that_it_follows() {
    let mut peer = ada();
    assert_eq!(post(&mut peer, "a", None), [goes(0, "a")]);
    assert_eq!(post(&mut peer, "b", Some("a")), [""; 0]);
    assert_eq!(post(&mut peer, "c", Some("b")), [""; 0]);
    assert_eq!(peer.posted(0, 8)[1], goes(1, "b"));
    assert_eq!(peer.posted(1, 9)[1], goes(2, "c"));
    assert_eq!(post(&mut peer, "d", Some("a")), [goes(3, "d")], "what it follows is stored already");
}

#[test]
fn what_follows_a_post_that_was_refused_is_refused_until_that_one_comes_again() {
    let mut peer = ada();
    post(&mut peer, "a", None);
    post(&mut peer, "b", Some("a"));
    let told = fails(&mut peer, 0);
    assert_eq!(told[2..], out_of_order(), "what waited");
    assert_eq!(post(&mut peer, "c", Some("b")), out_of_order(), "what was on its way");
    assert_eq!(post(&mut peer, "a", None), [goes(3, "a")]);
    assert_eq!(post(&mut peer, "b", Some("a")), [""; 0]);
    assert_eq!(peer.posted(3, 8)[1], goes(4, "b"));
}

#[test]
fn what_follows_a_post_above_the_rate_is_refused_too() {
    let mut peer = ada();
    let text = r#"{"op":"post","id":1,"room":"lobby","key":"a","body":{}}"#;
    peer.input(Input::Limited { text, retry: Duration::from_millis(50) });
    assert_eq!(post(&mut peer, "b", Some("a")), out_of_order());
}

#[test]
fn posts_that_wait_for_others_are_bounded() {
    let mut peer = ada();
    post(&mut peer, "0", None);
    for next in 1..=16 {
        assert_eq!(post(&mut peer, &next.to_string(), Some(&(next - 1).to_string())), [""; 0]);
    }
    assert_eq!(post(&mut peer, "17", Some("16")), out_of_order());
    let large = format!(
        r#"{{"op":"post","id":1,"room":"lobby","key":"b","body":{{"text":"{}"}},"follows":"a"}}"#,
        "x".repeat(65_536)
    );
    let mut peer = ada();
    post(&mut peer, "a", None);
    assert_eq!(peer.text(&large), out_of_order());
}

proptest! {
    /// A client with several posts under way, which sends again from the first that was refused, as parlor.js does.
    #[test]
    fn whatever_is_refused_the_rest_is_stored_in_order(fates in prop::collection::vec(any::<bool>(), 40), window in 1..12usize) {
        let (mut peer, mut fates) = (ada(), fates.into_iter());
        let (mut outbox, mut stored): (Vec<u32>, Vec<u32>) = ((0..8).collect(), Vec::new());
        while !outbox.is_empty() {
            let mut under_way = Vec::new();
            for (at, key) in outbox.iter().take(window).enumerate() {
                let before = at.checked_sub(1).map(|at| outbox[at].to_string());
                under_way.extend(submitted(&post(&mut peer, &key.to_string(), before.as_deref())));
            }
            while let Some((tag, key)) = under_way.pop() {
                let told = if fates.next().unwrap_or(true) {
                    stored.push(key);
                    outbox.retain(|other| *other != key);
                    peer.posted(tag, 8)
                } else {
                    fails(&mut peer, tag)
                };
                under_way.extend(submitted(&told));
            }
        }
        prop_assert_eq!(stored, (0..8).collect::<Vec<_>>());
    }
}

/// Tags and keys of the posts that went to the bus.
fn submitted(lines: &[String]) -> Vec<(u64, u32)> {
    let read = |line: &String| {
        let rest = line.strip_prefix("post ")?;
        let (tag, rest) = rest.split_once(' ')?;
        let (_, key) = rest.rsplit_once("key ")?;
        Some((tag.parse().ok()?, key.parse().ok()?))
    };
    lines.iter().filter_map(read).collect()
}
