//! Tokens from outside: what is good, what is refused and why, one wrong thing at a time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod keys;

use parlor_gateway::{
    rooms::{Identity, Role, RoomName},
    tokens::{Checks, ClaimNames, Keys, TokenFault, Verifier},
};
use parlor_tests::signer::Signer;
use serde_json::{Value, json};

/// When tokens are looked at, in seconds since the Unix epoch.
const NOW: u64 = 1_700_000_000;
const SECRET: &str = "a shared secret of 32 bytes, about";

fn checks() -> Checks {
    Checks {
        issuer: Some("https://login.example.com".to_owned()),
        audience: vec!["chat".to_owned(), "chat2".to_owned()],
        claims: ClaimNames::default(),
    }
}

fn verifier(checks: Checks, keys: Keys) -> Verifier {
    let verifier = Verifier::new(checks);
    verifier.replace(keys);
    verifier
}

fn shared() -> Keys {
    Keys::shared(SECRET.as_bytes())
}

/// Claims with everything, and everything right.
fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "42", "name": "Ada", "rooms": ["lobby", "team-*"],
        "role": "moderator", "iat": NOW, "nbf": NOW, "exp": NOW + 60
    })
}

/// The claims with one of them changed; null takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().shift_remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn verify(claims: &Value) -> Result<Identity, TokenFault> {
    let token = Signer::secret(SECRET).token(claims).unwrap();
    verifier(checks(), shared()).verify(&token, NOW * 1000)
}

#[test]
fn a_token_names_a_person_with_a_role_rooms_and_an_end() {
    let Identity { person, role, rooms, expires } = verify(&claims()).unwrap();
    assert_eq!((&*person.id, &*person.name, &person.extra), ("j:42", "Ada", &None));
    assert_eq!((role, expires), (Role::Moderator, Some((NOW + 60) * 1000)));
    let allowed = ["lobby", "team-a", "other"].map(|room| rooms.allows(&RoomName::new(room).unwrap()));
    assert_eq!(allowed, [true, true, false]);
}

#[test]
fn what_a_token_leaves_out_is_the_least() {
    let plain = verify(&with("role", Value::Null)).unwrap();
    assert_eq!(plain.role, Role::Member);
    let anywhere = verify(&with("rooms", Value::Null)).unwrap();
    assert!(anywhere.rooms.allows(&RoomName::new("other").unwrap()));
    let nowhere = verify(&with("rooms", json!([]))).unwrap();
    assert!(!nowhere.rooms.allows(&RoomName::new("lobby").unwrap()));
    assert_eq!(&*verify(&with("name", Value::Null)).unwrap().person.name, "42");
    assert_eq!(&*verify(&with("name", json!("e\u{301}"))).unwrap().person.name, "\u{e9}");
}

#[test]
fn each_wrong_claim_is_refused_by_itself() {
    let claim = |what| TokenFault::Claim(what);
    let name = claim("the claim with the name is no name: 1 to 64 characters on one line, with something to see");
    let rooms = claim("the claim with the rooms is a list of at most 1,000 names, or of beginnings that end in *");
    let role = claim("the claim with the role is member or moderator");
    let sub = claim("sub is missing, or is not text of 1 to 255 bytes without control characters");
    let exp = claim("exp is missing or no number: tokens must end");
    let table = [
        ("iss", Value::Null, TokenFault::Issuer),
        ("iss", json!("https://login.example.com/"), TokenFault::Issuer),
        ("iss", json!(["https://login.example.com"]), TokenFault::Issuer),
        ("aud", Value::Null, TokenFault::Audience),
        ("aud", json!("other"), TokenFault::Audience),
        ("aud", json!(["other"]), TokenFault::Audience),
        ("aud", json!([]), TokenFault::Audience),
        ("aud", json!({"chat": true}), TokenFault::Audience),
        ("exp", Value::Null, exp),
        ("exp", json!("1800000000"), exp),
        ("exp", json!(NOW), TokenFault::Expired),
        ("exp", json!(NOW - 1), TokenFault::Expired),
        ("exp", json!(-1), TokenFault::Expired),
        ("nbf", json!(NOW + 6), TokenFault::NotYet),
        ("nbf", json!("soon"), claim("nbf is no number")),
        ("iat", json!(NOW + 6), TokenFault::NotYet),
        ("iat", json!([]), claim("iat is no number")),
        ("sub", Value::Null, sub),
        ("sub", json!(""), sub),
        ("sub", json!(42), sub),
        ("sub", json!("a\nb"), sub),
        ("sub", json!("x".repeat(256)), sub),
        ("name", json!(""), name),
        ("name", json!(7), name),
        ("name", json!("x".repeat(65)), name),
        ("name", json!("\u{202e}eve"), name),
        ("rooms", json!("lobby"), rooms),
        ("rooms", json!([1]), rooms),
        ("rooms", json!(vec!["r"; 1001]), rooms),
        ("role", json!("admin"), role),
        ("role", json!(["moderator"]), role),
    ];
    for (claim, value, fault) in table {
        assert_eq!(verify(&with(claim, value.clone())), Err(fault), "{claim}: {value}");
    }
}

#[test]
fn times_are_kept_to_the_second_that_they_allow() {
    for (claim, value) in [
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW as f64 + 0.001)),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW + 5)),
        ("nbf", Value::Null),
        ("iat", json!(NOW + 5)),
        ("iat", Value::Null),
        ("iat", json!(0)),
    ] {
        assert!(verify(&with(claim, value.clone())).is_ok(), "{claim}: {value}");
    }
}

#[test]
fn one_of_several_audiences_is_enough() {
    for audience in [json!("chat2"), json!(["other", "chat"])] {
        assert!(verify(&with("aud", audience)).is_ok());
    }
}

#[test]
fn issuer_and_audience_are_looked_at_only_where_the_chatroom_names_them() {
    let token = Signer::secret(SECRET).token(&json!({"sub": "42", "exp": NOW + 60})).unwrap();
    assert!(verifier(Checks::default(), shared()).verify(&token, NOW * 1000).is_ok());
}

#[test]
fn claims_have_the_names_that_the_chatroom_gives_them() {
    let claims = ClaimNames { name: "nick".to_owned(), rooms: "chats".to_owned(), role: "chat_role".to_owned() };
    let verifier = verifier(Checks { claims, ..Checks::default() }, shared());
    let claims = json!({
        "sub": "42", "exp": NOW + 60, "nick": "Countess", "chats": ["a"], "chat_role": "moderator", "role": "admin"
    });
    let who = verifier.verify(&Signer::secret(SECRET).token(&claims).unwrap(), NOW * 1000).unwrap();
    assert_eq!((&*who.person.name, who.role), ("Countess", Role::Moderator));
    assert!(!who.rooms.allows(&RoomName::new("b").unwrap()));
}

#[test]
fn what_is_no_token_is_refused_before_anything_is_computed() {
    let verifier = verifier(Checks::default(), shared());
    let good = Signer::secret(SECRET).token(&claims()).unwrap();
    let (head, _) = good.split_once('.').unwrap();
    let table = [
        (String::new(), TokenFault::Malformed),
        ("a.b".to_owned(), TokenFault::Malformed),
        ("a.b.c".to_owned(), TokenFault::Malformed),
        (format!("{good}.x"), TokenFault::Malformed),
        (format!("{head}.{head}"), TokenFault::Malformed),
        (good.replace('.', ".\u{e9}"), TokenFault::Malformed),
        (format!("{}{good}", "x".repeat(8 * 1024)), TokenFault::TooLong),
    ];
    for (token, fault) in table {
        assert_eq!(verifier.verify(&token, NOW * 1000), Err(fault), "{}", &token[..token.len().min(40)]);
    }
}
