//! Signing in with a token from outside: by `auth`, by a join, at the upgrade; renewing, and what ends with the token.

use std::sync::Arc;

use super::{super::identity, KEY, NativeSettings, accepted, error, you};
use crate::{
    protocols::{
        jwt,
        script::{Peer, UNIX, person},
    },
    tokens::{Checks, Keys, Verifier},
};

const SECRET: &[u8] = b"the secret of the login";
/// In seconds.
const NOW: u64 = UNIX / 1000;

fn settings(anonymous: bool) -> NativeSettings {
    let verifier = Verifier::new(Checks::default());
    verifier.replace(Keys::shared(SECRET));
    super::settings(anonymous, Some(Arc::new(verifier)), None)
}

fn peer(anonymous: bool) -> Peer {
    accepted(settings(anonymous), None).unwrap()
}

/// A token of `sub`, good for `seconds`, with more claims.
fn token(sub: &str, seconds: u64, more: &str) -> String {
    jwt::sign(SECRET, &format!(r#"{{"sub":"{sub}","name":"Ada L","exp":{}{more}}}"#, NOW + seconds))
}

fn auth(token: &str) -> String {
    format!(r#"{{"op":"auth","id":1,"token":"{token}"}}"#)
}

fn authenticated(id: &str, role: &str, seconds: u64) -> String {
    let expires = NOW + seconds;
    format!(
        r#"{{"op":"authenticated","id":1,"you":{{"id":"{id}","name":"Ada L"}},"role":"{role}","expires":{expires}}}"#
    )
}

fn join(room: &str) -> String {
    format!(r#"{{"op":"join","room":"{room}"}}"#)
}

const POST: &str = r#"{"op":"post","id":2,"room":"lobby","body":{"text":"hi"}}"#;

#[test]
fn a_token_from_outside_says_who_one_is_and_is_never_replaced() {
    let mut peer = peer(false);
    let token = token("42", 60, r#","role":"moderator""#);
    assert_eq!(peer.text(&auth(&token)), [authenticated("j:42", "moderator", 60)]);
    assert_eq!(peer.text(&join("lobby")), ["join lobby as Ada L encoding 8 presence announce"]);
    let joined = peer.joined("lobby", 3);
    assert!(joined[0].contains(r#""you":{"id":"j:42","name":"Ada L"},"members""#), "{joined:?}");
}

#[test]
fn its_name_counts_whatever_a_join_says() {
    let mut peer = peer(true);
    peer.text(&auth(&token("42", 60, "")));
    assert_eq!(
        peer.text(r#"{"op":"join","room":"lobby","name":"eve"}"#),
        ["join lobby as Ada L encoding 8 presence announce"]
    );
}

#[test]
fn a_join_may_bring_the_token() {
    for anonymous in [true, false] {
        let mut peer = peer(anonymous);
        let join = format!(r#"{{"op":"join","room":"lobby","name":"x","token":"{}"}}"#, token("42", 60, ""));
        assert_eq!(peer.text(&join), ["join lobby as Ada L encoding 8 presence announce"]);
    }
}

#[test]
fn the_upgrade_may_bring_the_token() {
    for scheme in ["Bearer", "bearer"] {
        let bearer = format!("{scheme} {}", token("42", 60, ""));
        let mut peer = accepted(settings(false), Some(&bearer)).unwrap();
        assert_eq!(peer.text(&join("lobby")), ["join lobby as Ada L encoding 8 presence announce"]);
        assert_eq!(peer.pass(60_000 + 30_100).last().unwrap(), "close 1008 expired");
    }
}

#[test]
fn a_wrong_token_at_the_upgrade_is_answered_with_401() {
    let old = format!("Bearer {}", jwt::sign(SECRET, &format!(r#"{{"sub":"42","exp":{}}}"#, NOW - 1)));
    for (authorization, reason) in [("Bearer nonsense", "unauthorized"), (&old, "expired")] {
        let refusal = accepted(settings(true), Some(authorization)).err().unwrap();
        assert_eq!((refusal.status.as_u16(), refusal.reason), (401, reason));
        assert_eq!(refusal.header.unwrap().0, http::header::WWW_AUTHENTICATE);
    }
    let away = NativeSettings { verifier: Some(Arc::new(Verifier::new(Checks::default()))), ..settings(true) };
    let refusal = accepted(away, Some(&format!("Bearer {}", token("42", 60, "")))).err().unwrap();
    assert_eq!((refusal.status.as_u16(), refusal.reason), (503, "unavailable"));
}

#[test]
fn an_authorization_that_is_not_for_the_gateway_is_left_alone() {
    assert!(accepted(settings(true), Some("Basic YTpi")).is_ok());
    let open = NativeSettings { verifier: None, ..settings(true) };
    assert!(accepted(open, Some("Bearer of-the-proxy")).is_ok());
    let closed = NativeSettings { verifier: None, ..settings(false) };
    assert!(accepted(closed, Some("Bearer nonsense")).is_err());
}

#[test]
fn a_token_that_is_refused_says_why() {
    let old = jwt::sign(SECRET, &format!(r#"{{"sub":"42","exp":{NOW}}}"#));
    let foreign = jwt::sign(b"other", &format!(r#"{{"sub":"42","exp":{}}}"#, NOW + 60));
    let table = [
        (auth(&old), "expired", "the token has expired"),
        (auth(&foreign), "unauthorized", "the token's signature is not valid"),
        (auth("a.b.c"), "unauthorized", "the token is not a signed JSON Web Token"),
        (r#"{"op":"auth","id":1}"#.to_owned(), "bad_request", "token is missing"),
        (r#"{"op":"auth","id":1,"token":7}"#.to_owned(), "bad_request", "token is text"),
    ];
    for anonymous in [true, false] {
        for (request, code, message) in &table {
            let mut peer = peer(anonymous);
            assert_eq!(peer.text(request), error(r#""id":1,"#, code, message));
        }
    }
}

#[test]
fn a_join_with_a_token_that_is_refused_makes_nobody_new() {
    let mut peer = peer(true);
    let join = r#"{"op":"join","id":1,"room":"lobby","name":"ada","token":"a.b.c"}"#;
    assert_eq!(peer.text(join), error(r#""id":1,"#, "unauthorized", "the token is not a signed JSON Web Token"));
}

#[test]
fn without_a_token_a_closed_chatroom_shows_nothing() {
    let mut peer = peer(false);
    for request in [
        r#"{"op":"join","room":"lobby","name":"ada"}"#,
        r#"{"op":"history","room":"lobby"}"#,
        r#"{"op":"members","room":"lobby"}"#,
        r#"{"op":"members","room":"lobby","limit":10}"#,
    ] {
        assert_eq!(peer.text(request), error("", "unauthorized", "joining takes a valid token"), "{request}");
    }
}

#[test]
fn rooms_outside_the_token_are_forbidden_to_join_and_to_read() {
    let mut peer = peer(true);
    peer.text(&auth(&token("42", 60, r#","rooms":["lobby","team-*"]"#)));
    for op in ["join", "history", "members"] {
        let request = format!(r#"{{"op":"{op}","room":"other"}}"#);
        assert_eq!(peer.text(&request), error("", "forbidden", "your token is not for this room"), "{op}");
    }
    assert_eq!(peer.text(&join("team-a")), ["join team-a as Ada L encoding 8 presence announce"]);
}

/// A peer with a token for a minute who is in rooms lobby and team.
fn in_two_rooms() -> Peer {
    let mut peer = peer(true);
    peer.text(&auth(&token("42", 60, "")));
    for room in ["lobby", "team"] {
        peer.text(&join(room));
        peer.joined(room, 0);
    }
    peer
}

#[test]
fn renewing_keeps_everything_and_moves_the_end() {
    let mut peer = in_two_rooms();
    peer.pass(50_000);
    assert_eq!(peer.text(&auth(&token("42", 600, ""))), [authenticated("j:42", "member", 600)]);
    assert!(!peer.pass(60_000).contains(&"close 1008 expired".to_owned()));
    assert_eq!(peer.text(POST), [r#"post 0 lobby by Ada L {"text":"hi"}"#]);
}

#[test]
fn a_moderator_of_some_rooms_moderates_those() {
    let mut peer = peer(true);
    peer.text(&auth(&token("42", 60, r#","role":"moderator","rooms":["lobby"]"#)));
    let kick = |room: &str| format!(r#"{{"op":"moderate","room":"{room}","action":"kick","person":"u2"}}"#);
    assert_eq!(peer.text(&kick("other")), error("", "forbidden", "your token is not for this room"));
    assert_ne!(peer.text(&kick("lobby"))[0], "refused forbidden");
}

#[test]
fn renewing_is_for_the_same_person_only() {
    let mut peer = in_two_rooms();
    let another = "a connection is one person: another needs another connection";
    assert_eq!(peer.text(&auth(&token("43", 60, ""))), error(r#""id":1,"#, "bad_request", another));
    let anonymous = identity::token(KEY, &person("u1", "ada"), None);
    assert_eq!(peer.text(&auth(&anonymous)), error(r#""id":1,"#, "bad_request", another));
    assert_eq!(peer.text(POST), [r#"post 0 lobby by Ada L {"text":"hi"}"#]);
}

#[test]
fn a_renewed_token_for_fewer_rooms_leaves_the_others() {
    let mut peer = in_two_rooms();
    let renewed = peer.text(&auth(&token("42", 60, r#","rooms":["lobby"]"#)));
    assert_eq!(
        renewed,
        [
            "leave team asked".to_owned(),
            r#"{"op":"left","room":"team"}"#.to_owned(),
            authenticated("j:42", "member", 60)
        ]
    );
    assert_eq!(peer.text(r#"{"op":"typing","room":"team"}"#)[0], "refused forbidden");
}

#[test]
fn who_was_anonymous_signs_in_and_speaks_as_themselves_from_then_on() {
    let mut peer = peer(true);
    peer.text(r#"{"op":"join","room":"lobby","name":"ada"}"#);
    assert!(peer.joined("lobby", 0)[0].contains(&you("ada").0));
    assert_eq!(peer.text(&auth(&token("42", 60, ""))), [authenticated("j:42", "member", 60)]);
    assert_eq!(peer.text(POST), [r#"post 0 lobby by Ada L {"text":"hi"}"#]);
}

#[test]
fn at_its_end_posting_stops_and_half_a_minute_later_everything() {
    let mut peer = in_two_rooms();
    peer.pass(59_999);
    assert_eq!(peer.text(POST), [r#"post 0 lobby by Ada L {"text":"hi"}"#]);
    peer.pass(1);
    let expired = error(r#""id":2,"#, "expired", "your token has expired: present a new one");
    assert_eq!(peer.text(POST), expired);
    assert_eq!(peer.text(r#"{"op":"typing","id":2,"room":"lobby"}"#), expired);
    assert_eq!(peer.text(r#"{"op":"join","id":2,"room":"other"}"#), expired);
    assert_eq!(peer.text(r#"{"op":"history","room":"lobby"}"#), ["ask history lobby None 50"]);
    let told = peer.pass(30_000);
    assert_eq!(told[told.len() - 2..], ["refused expired", "close 1008 expired"]);
}

#[test]
fn a_new_token_in_the_last_half_minute_saves_the_connection() {
    let mut peer = in_two_rooms();
    peer.pass(80_000);
    peer.text(&auth(&token("42", 600, "")));
    assert!(!peer.pass(60_000).contains(&"close 1008 expired".to_owned()));
    assert_eq!(peer.text(POST), [r#"post 0 lobby by Ada L {"text":"hi"}"#]);
}

#[test]
fn an_end_that_is_far_away_comes_all_the_same() {
    let mut peer = peer(true);
    let days = 3 * 24 * 60 * 60;
    peer.text(&auth(&token("42", days, "")));
    // Pings go unanswered: nobody is there to answer them. The end is what is looked at.
    let mut closed = false;
    for _ in 0..days / 20 + 3 {
        peer.input(crate::fanout::session::Input::Pong);
        closed |= peer.pass(20_000).contains(&"close 1008 expired".to_owned());
    }
    assert!(closed);
}

#[test]
fn a_token_of_this_chatrooms_own_key_signs_in_as_well() {
    let own = identity::token(KEY, &person("u1", "ada"), Some((NOW + 60) as f64));
    let mut peer = peer(false);
    let expires = NOW + 60;
    assert_eq!(
        peer.text(&auth(&own)),
        [format!(
            r#"{{"op":"authenticated","id":1,"you":{{"id":"u1","name":"ada"}},"role":"member","expires":{expires}}}"#
        )]
    );
}

#[test]
fn where_a_token_is_asked_for_a_connection_that_nobody_signs_in_on_ends_after_ten_seconds() {
    let silent = accepted(settings(false), None).unwrap();
    let mut silent = opened(silent);
    assert_eq!(silent.pass(9_000), [""; 0]);
    assert_eq!(silent.pass(1_000), ["refused not_signed_in", "close 1008 unauthorized"]);
    let mut wrong = opened(accepted(settings(false), None).unwrap());
    wrong.text(&auth("x.y.z"));
    assert_eq!(wrong.pass(10_000), ["refused not_signed_in", "close 1008 unauthorized"]);
    let mut known = opened(accepted(settings(false), None).unwrap());
    known.text(&auth(&token("42", 600, "")));
    let mut open = opened(accepted(settings(true), None).unwrap());
    for peer in [&mut known, &mut open] {
        assert_eq!(peer.pass(20_000), [""; 0]);
    }
}

fn opened(mut peer: Peer) -> Peer {
    peer.input(crate::fanout::session::Input::Open);
    peer
}
