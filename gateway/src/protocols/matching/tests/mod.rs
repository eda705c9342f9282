//! What a client of the match protocol sends and what it gets, as tables.

mod returning;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{Match, MatchSettings, encoding::InboxEncoding, exit_notice};
use crate::{
    bus::AppendError,
    directory::{
        self,
        pairs::{self, Reply},
    },
    fanout::session::{Answer, Input, PostError},
    protocols::{
        Handshake, Protocol,
        script::{Peer, UNIX, entry, frames, joined, name, person, texts},
    },
    rooms::ProtocolId,
};

const HOLDER: &str = "holder: Origin { gateway: 7, connection: 1 }";
const INBOX: &str = "\u{1}pairs\u{1}10";
const PARTNER: &str = "\u{1}pairs\u{1}11";

fn peer() -> Peer {
    let protocol = Match::new(MatchSettings { key: Arc::from(&b"key"[..]), grace: Duration::from_secs(30) });
    let headers = http::HeaderMap::new();
    let handshake = Handshake { target: "/ws", headers: &headers, public_url: "", unix: UNIX };
    Peer::new(protocol.accept(&handshake).unwrap())
}

fn reply(peer: &mut Peer, reply: Reply) -> Vec<String> {
    peer.input(Input::Answer(Answer::Directory(directory::Reply::Pairs(reply))))
}

fn away(peer: &mut Peer) -> Vec<String> {
    peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(1) }))
}

fn open(peer: &mut Peer) -> Vec<String> {
    let mut answer = joined("x", 0);
    answer.room = pairs::inbox(10);
    peer.input(Input::Answer(Answer::Joined(answer)))
}

/// A peer who holds account 10, called ada.
fn ada() -> Peer {
    let mut peer = peer();
    peer.text(r#"{"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}"#);
    reply(&mut peer, Reply::Created { account: 10 });
    open(&mut peer);
    reply(&mut peer, Reply::Done);
    peer
}

fn found(partner: u64, live: bool) -> Reply {
    Reply::Partner { partner, message: 12, live }
}

#[test]
fn an_account_is_answered_once_its_inbox_is_read_and_may_then_be_matched() {
    let mut peer = peer();
    let ask = peer.text(r#"{"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}"#);
    assert!(ask[0].starts_with(r#"ask Pairs(Create { nick: "ada", token: ""#), "{ask:?}");
    assert!(ask[0].ends_with(&format!("{HOLDER}, grace: 30s }})")), "{ask:?}");
    assert_eq!(
        reply(&mut peer, Reply::Created { account: 10 }),
        [format!("join {INBOX} as 10 encoding 32 presence announce")]
    );
    let lines = open(&mut peer);
    let (told, token) = lines[0].split_once(r#""token":""#).unwrap();
    assert_eq!(told, r#"{"cmd":"CRT_ACCOUNT_RESP","code":0,"nickName":"ada","accountId":10,"#);
    let token = token.strip_suffix(r#""}"#).unwrap();
    assert!(token.len() == 30 && token.bytes().all(|b| b.is_ascii_alphanumeric()), "{token}");
    assert!(ask[0].contains(token));
    assert_eq!(lines[1..], [format!("ask Pairs(Enter {{ account: 10, {HOLDER} }})")]);
    assert_eq!(reply(&mut peer, Reply::Done), [""; 0]);
}

#[test]
fn an_account_that_cannot_be_made_is_code_2() {
    let failed = r#"{"cmd":"CRT_ACCOUNT_RESP","code":2,"nickName":"ada","accountId":0,"token":""}"#;
    let mut peer = peer();
    let create = r#"{"CMD":"CRT_ACCOUNT_REQ","nickname":"ada"}"#;
    peer.text(create);
    assert_eq!(away(&mut peer), ["refused not_created", failed]);
    peer.text(create);
    assert_eq!(reply(&mut peer, Reply::NotFound), ["refused not_created", failed]);
    peer.text(create);
    reply(&mut peer, Reply::Created { account: 10 });
    let release = format!("tell Pairs(Release {{ account: 10, {HOLDER} }})");
    assert_eq!(peer.input(Input::Answer(Answer::RoomLimit)), [release.as_str(), "refused not_created", failed]);
}

#[test]
fn a_match_is_announced_to_both_and_first_to_the_one_who_asked() {
    let mut peer = ada();
    assert_eq!(
        peer.text(r#"{"cmd":"MATCH_REQ","accountId":10}"#),
        [format!("ask Pairs(Match {{ account: 10, {HOLDER} }})")]
    );
    let matched = Reply::Matched { session: 20, partner: 11, nick: "bob".into() };
    assert_eq!(
        reply(&mut peer, matched),
        [
            r#"{"cmd":"MATCH_RESP","code":0,"partnerId":11,"partnerName":"bob","sessionId":20}"#.to_owned(),
            format!(
                r#"post 0 {PARTNER} by 10 {{"text":""}} verbatim {{"cmd":"PUSH_SIGNAL_REQ","senderId":10,"sessionId":20,"receiverId":11,"signalType":"NewSession","data":{{"accountId":10,"nickName":"ada"}}}}"#
            )
        ]
    );
    assert_eq!(peer.posted(0, 1), [""; 0]);
}

#[test]
fn a_partner_who_could_not_be_notified_is_gone_for_the_one_who_asked() {
    let mut peer = ada();
    peer.text(r#"{"cmd":"MATCH_REQ","accountId":10}"#);
    reply(&mut peer, Reply::Matched { session: 20, partner: 11, nick: "".into() });
    let lost = Err(PostError::Append(AppendError::Unavailable("down".into())));
    assert_eq!(
        peer.input(Input::Posted { tag: 0, result: lost }),
        [
            format!("tell Pairs(End {{ account: 10, {HOLDER}, session: 20 }})"),
            r#"{"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":20,"receiverId":10,"signalType":"PartnerExit","data":{"accountId":11}}"#.to_owned()
        ]
    );
}

#[test]
fn nobody_to_match_with_is_code_4_with_nothing_else() {
    let mut peer = ada();
    let request = r#"{"cmd":"MATCH_REQ","accountId":10}"#;
    peer.text(request);
    assert_eq!(reply(&mut peer, Reply::NotFound), [r#"{"cmd":"MATCH_RESP","code":4}"#]);
    peer.text(request);
    assert_eq!(away(&mut peer), ["refused unavailable", r#"{"cmd":"MATCH_RESP","code":2}"#]);
}

#[test]
fn a_dialogue_is_posted_to_the_partner_and_answered_once_it_is_kept() {
    let mut peer = ada();
    let say = r#"{"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":10,"sessionId":20,"content":"hi\n"}"#;
    assert_eq!(peer.text(say), [format!("ask Pairs(Partner {{ account: 10, {HOLDER}, session: 20, message: true }})")]);
    assert_eq!(
        reply(&mut peer, found(11, true)),
        [format!(
            r#"post 0 {PARTNER} by 10 {{"text":""}} verbatim {{"cmd":"PUSH_DIALOGUE_REQ","msgId":12,"senderId":10,"sessionId":20,"content":"hi\n"}}"#
        )]
    );
    assert_eq!(peer.posted(0, 1), [r#"{"cmd":"DIALOGUE_RESP","code":0,"requestId":"r1","msgId":12}"#]);
    peer.text(say);
    reply(&mut peer, found(11, true));
    let lost = Err(PostError::Append(AppendError::Unavailable("down".into())));
    assert_eq!(
        peer.input(Input::Posted { tag: 1, result: lost }),
        [r#"{"cmd":"DIALOGUE_RESP","code":2,"requestId":"r1","msgId":0}"#]
    );
}

#[test]
fn a_dialogue_in_a_session_that_ended_succeeds_and_says_that_the_partner_left() {
    let mut peer = ada();
    peer.text(r#"{"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":10,"sessionId":20,"content":"hi"}"#);
    assert_eq!(
        reply(&mut peer, found(11, false)),
        [
            r#"{"cmd":"DIALOGUE_RESP","code":0,"requestId":"r1","msgId":12}"#,
            r#"{"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":20,"receiverId":10,"signalType":"PartnerExit","data":{"accountId":11}}"#
        ]
    );
}

#[test]
fn what_concerns_an_unknown_session_or_a_foreign_account_is_code_2_and_goes_nowhere() {
    let mut peer = ada();
    let failed = r#"{"cmd":"DIALOGUE_RESP","code":2,"requestId":"r1","msgId":0}"#;
    peer.text(r#"{"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":10,"sessionId":99,"content":"hi"}"#);
    assert_eq!(reply(&mut peer, Reply::NotFound), ["refused not_found", failed]);
    peer.table(&[
        (
            r#"{"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":11,"sessionId":20,"content":"hi"}"#,
            &["refused not_held", failed],
        ),
        (r#"{"cmd":"MATCH_REQ","accountId":11}"#, &["refused not_held", r#"{"cmd":"MATCH_RESP","code":2}"#]),
        (r#"{"cmd":"PING_RESP","accountId":11}"#, &["refused not_held"]),
        (
            r#"{"cmd":"VIEWED_ACK_REQ","sessionId":20,"accountId":11,"msgId":12}"#,
            &["refused not_held", r#"{"cmd":"VIEWED_ACK_RESP","code":2}"#],
        ),
    ]);
}

#[test]
fn viewed_messages_are_reported_to_the_partner() {
    let mut peer = ada();
    let viewed = r#"{"cmd":"VIEWED_ACK_REQ","sessionId":20,"accountId":10,"msgId":12}"#;
    assert_eq!(
        peer.text(viewed),
        [format!("ask Pairs(Partner {{ account: 10, {HOLDER}, session: 20, message: false }})")]
    );
    assert_eq!(
        reply(&mut peer, found(11, true)),
        [format!(
            r#"post 0 {PARTNER} by 10 {{"text":""}} verbatim {{"cmd":"PUSH_VIEWED_ACK_REQ","sessionId":20,"accountId":10,"msgId":12}}"#
        )]
    );
    assert_eq!(peer.posted(0, 1), [r#"{"cmd":"VIEWED_ACK_RESP","code":0}"#]);
    peer.text(viewed);
    assert_eq!(reply(&mut peer, found(11, false)), [r#"{"cmd":"VIEWED_ACK_RESP","code":0}"#]);
    peer.text(viewed);
    assert_eq!(reply(&mut peer, Reply::NotFound), ["refused not_found", r#"{"cmd":"VIEWED_ACK_RESP","code":2}"#]);
}

#[test]
fn accounts_are_pinged_every_three_seconds_and_released_after_twenty_of_silence() {
    let mut peer = ada();
    let ping = r#"{"cmd":"PING_REQ","accountId":10}"#;
    let seen = format!("tell Pairs(Seen {{ account: 10, {HOLDER} }})");
    assert_eq!(peer.pass(3_000), [ping]);
    assert_eq!(peer.text(r#"{"cmd":"PING_RESP","accountId":10}"#), [seen.as_str()]);
    assert_eq!(peer.text(r#"{"cmd":"PING_REQ","accountId":10}"#), [r#"{"cmd":"PING_RESP","accountId":10}"#, &seen]);
    assert_eq!(peer.text(r#"{"cmd":"PING_REQ","accountId":99}"#), [r#"{"cmd":"PING_RESP","accountId":99}"#]);
    assert_eq!(peer.pass(20_000).len(), 6);
    let release = format!("tell Pairs(Release {{ account: 10, {HOLDER} }})");
    assert_eq!(peer.pass(3_000), ["refused silent", &format!("leave {INBOX}"), &release]);
    assert_eq!(peer.pass(9_000), [""; 0], "the socket stays, the account is gone");
    assert_eq!(peer.input(Input::Closed { read: &[] }), [""; 0]);
}

#[test]
fn a_socket_that_answers_no_ws_ping_for_sixty_seconds_is_cut() {
    let mut peer = peer();
    assert_eq!(peer.pass(54_000), ["ping"]);
    peer.input(Input::Pong);
    assert_eq!(peer.pass(59_000), ["ping"]);
    assert_eq!(peer.pass(1_000), ["terminate"]);
}

#[test]
fn a_closed_connection_releases_what_it_holds() {
    let mut peer = ada();
    assert_eq!(peer.input(Input::Closed { read: &[] }), [format!("tell Pairs(Release {{ account: 10, {HOLDER} }})")]);
    assert_eq!(ada().input(Input::Moved { after: 1 }), ["close 1012 moved"]);
}

#[test]
fn an_account_that_could_not_enter_tries_again_with_the_next_ping() {
    let mut peer = peer();
    peer.text(r#"{"cmd":"CRT_ACCOUNT_REQ"}"#);
    reply(&mut peer, Reply::Created { account: 10 });
    open(&mut peer);
    assert_eq!(away(&mut peer), [""; 0]);
    let enter = format!("ask Pairs(Enter {{ account: 10, {HOLDER} }})");
    assert_eq!(peer.pass(3_000), [r#"{"cmd":"PING_REQ","accountId":10}"#, &enter]);
}

#[test]
fn frames_that_are_no_command_are_ignored() {
    let mut peer = ada();
    for text in [
        "",
        "[]",
        "not json",
        "{}",
        r#"{"cmd":"CRT_ACCOUNT_RESP"}"#,
        r#"{"cmd":"MATCH_REQ","accountId":"10"}"#,
        r#"{"cmd":"MATCH_REQ","accountId":-1}"#,
        r#"{"cmd":"DIALOGUE_REQ","requestId":1,"senderId":10,"sessionId":20,"content":"x"}"#,
        r#"{"cmd":"PUSH_DIALOGUE_RESP","code":0}"#,
    ] {
        assert_eq!(peer.text(text), ["refused malformed"], "{text}");
    }
    assert_eq!(peer.binary(br#"{"cmd":"PING_REQ","accountId":10}"#), ["refused binary"]);
}

#[test]
fn an_inbox_shows_the_frames_that_were_posted_and_nothing_of_others() {
    let run = [
        entry(1, &person("m", "m"), ProtocolId::Match, "{}", Some(b"{\"a\":1}")),
        entry(2, &person("m", "m"), ProtocolId::Native, r#"{"text":"x"}"#, None),
        entry(3, &person("m", "m"), ProtocolId::Match, "{}", Some(b"{\"b\":2}")),
        entry(4, &person("m", "m"), ProtocolId::Match, "{}", Some(b"{\"c\":\xff}")),
    ];
    assert_eq!(texts(frames(&InboxEncoding, "r", Some(1), &run)), [r#"{"a":1}"#, r#"{"b":2}"#]);
    let exit = exit_notice(pairs::Exit { session: 20, account: 10, partner: 11 });
    assert_eq!(
        exit.content.verbatim.unwrap(),
        r#"{"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":20,"receiverId":11,"signalType":"PartnerExit","data":{"accountId":10}}"#
    );
}

#[test]
fn no_client_can_name_an_inbox() {
    assert!(crate::rooms::RoomName::new(INBOX).is_err());
    assert_ne!(pairs::inbox(10), name("pairs10"));
}

proptest! {
    #[test]
    fn no_input_panics_a_session(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let mut peer = ada();
        peer.text(&text);
        peer.binary(&bytes);
    }

    #[test]
    fn no_command_of_any_shape_panics_a_session(
        cmd in "CRT_ACCOUNT_REQ|MATCH_REQ|DIALOGUE_REQ|VIEWED_ACK_REQ|RECONNECT_REQ|PING_REQ|PING_RESP|[A-Z_]{0,9}",
        field in "nickName|accountId|requestId|senderId|sessionId|content|msgId|token",
        value in r#"null|-?[0-9]{1,25}|"[a-z]{0,300}"|\[\]|\{\}|1e9|"\\u[0-9a-f]{4}""#,
    ) {
        let mut peer = ada();
        peer.text(&format!(r#"{{"cmd":"{cmd}","{field}":{value}}}"#));
        away(&mut peer);
    }
}
