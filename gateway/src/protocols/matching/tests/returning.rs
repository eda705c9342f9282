//! A client comes back for the account that it had, and a connection loses the account that another took.

use std::sync::Arc;

use super::{HOLDER, INBOX, ada, away, open, peer, reply};
use crate::{
    directory::pairs::{self, Reply},
    fanout::session::{Answer, Input, Presence},
    protocols::script::{Peer, UNIX, entry, name, person},
    rooms::{Epoch, Position, ProtocolId},
};

#[test]
fn a_reconnect_replays_what_came_since_the_last_sign_of_life() {
    let before = vec![(5, 100), (6, 101), (7, 102)];
    let table = [(&before, UNIX + 101, 5), (&before, UNIX + 999, 7), (&before, 0, 4), (&vec![], 5, 0)];
    for (times, seen, after) in table {
        let mut peer = peer();
        let reconnect = r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"t"}"#;
        assert_eq!(
            peer.text(reconnect),
            [format!(r#"ask Pairs(Reconnect {{ account: 10, token: "t", {HOLDER}, grace: 30s }})"#)]
        );
        let back = Reply::Back { nick: "ada".into(), seen, read: None };
        assert_eq!(reply(&mut peer, back), [format!("ask history {INBOX} None 1000")]);
        let entries = times
            .iter()
            .map(|(seq, time)| {
                let mut one = (*entry(*seq, &person("m", "m"), ProtocolId::Match, "{}", Some(b"{}"))).clone();
                one.time = UNIX + time;
                Arc::new(one)
            })
            .collect();
        assert_eq!(
            peer.input(Input::Answer(Answer::History {
                head: Position { epoch: Epoch(5), seq: 0 },
                entries,
                more: false
            })),
            [format!("join {INBOX} as 10 encoding 32 after 5:{after} presence announce")]
        );
        assert_eq!(
            open(&mut peer),
            [
                r#"{"cmd":"RECONNECT_RESP","code":0}"#.to_owned(),
                format!("ask Pairs(Enter {{ account: 10, {HOLDER} }})")
            ]
        );
        reply(&mut peer, Reply::Done);
        assert_eq!(peer.text(r#"{"cmd":"MATCH_REQ","accountId":10}"#).len(), 1, "the account acts again");
    }
}

#[test]
fn a_reconnect_with_a_wrong_token_is_code_4_and_one_that_fails_is_code_2() {
    let mut peer = peer();
    let reconnect = r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"t"}"#;
    peer.text(reconnect);
    assert_eq!(reply(&mut peer, Reply::NotFound), ["refused token", r#"{"cmd":"RECONNECT_RESP","code":4}"#]);
    peer.text(reconnect);
    assert_eq!(away(&mut peer), ["refused unavailable", r#"{"cmd":"RECONNECT_RESP","code":2}"#]);
    peer.text(reconnect);
    reply(&mut peer, Reply::Back { nick: "ada".into(), seen: 1, read: None });
    let release = format!("tell Pairs(Release {{ account: 10, {HOLDER} }})");
    let told = r#"{"cmd":"RECONNECT_RESP","code":2}"#;
    assert_eq!(away(&mut peer), ["refused unavailable", &release, told]);
}

#[test]
fn a_reconnect_on_the_connection_that_holds_the_account_changes_nothing() {
    let mut peer = ada();
    peer.text(r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"t"}"#);
    assert_eq!(
        reply(&mut peer, Reply::Back { nick: "ada".into(), seen: 1, read: None }),
        [r#"{"cmd":"RECONNECT_RESP","code":0}"#.to_owned(), format!("ask Pairs(Enter {{ account: 10, {HOLDER} }})")]
    );
}

#[test]
fn a_connection_whose_account_was_taken_over_loses_it() {
    let mut peer = ada();
    let enter = format!("ask Pairs(Enter {{ account: 10, {HOLDER} }})");
    let presence = |who: &str| Input::Presence {
        room: pairs::inbox(10),
        presence: Arc::new(Presence { members: 2, joined: vec![person(who, "10")], left: vec![] }),
    };
    assert_eq!(peer.input(presence("m10-7-1")), [""; 0], "its own joining");
    assert_eq!(peer.input(presence("m10-8-1")), [enter.as_str()]);
    assert_eq!(reply(&mut peer, Reply::Done), [""; 0], "it was the one before");
    assert_eq!(peer.input(presence("m10-8-2")), [enter]);
    assert_eq!(reply(&mut peer, Reply::NotHeld), ["refused taken_over", &format!("leave {INBOX}")]);
    let lost = ["refused not_held", r#"{"cmd":"MATCH_RESP","code":2}"#];
    assert_eq!(peer.text(r#"{"cmd":"MATCH_REQ","accountId":10}"#), lost);
    assert_eq!(peer.input(Input::Closed { read: &[] }), [""; 0]);
}

#[test]
fn a_goodbye_tells_up_to_where_the_inbox_was_read_and_a_reconnect_goes_on_from_there() {
    let read = Position { epoch: Epoch(5), seq: 7 };
    let noted = format!("tell Pairs(Read {{ account: 10, {HOLDER}, read: Position {{ epoch: Epoch(5), seq: 7 }} }})");
    let released = format!("tell Pairs(Release {{ account: 10, {HOLDER} }})");
    let told = ada().input(Input::Closed { read: &[(name("lobby"), read), (pairs::inbox(10), read)] });
    assert_eq!(told, [noted, released]);
    let mut peer = peer();
    peer.text(r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"t"}"#);
    assert_eq!(
        reply(&mut peer, Reply::Back { nick: "ada".into(), seen: 1, read: Some(read) }),
        [format!("join {INBOX} as 10 encoding 32 after 5:7 presence announce")]
    );
    let told = [
        format!("tell Pairs(Read {{ account: 10, {HOLDER}, read: {read:?} }})"),
        format!("tell Pairs(Release {{ account: 10, {HOLDER} }})"),
    ];
    let failed = ["refused unavailable", &told[0], &told[1], r#"{"cmd":"RECONNECT_RESP","code":2}"#];
    assert_eq!(away(&mut peer), failed, "the next reconnect begins there too");
    peer.text(r#"{"cmd":"RECONNECT_REQ","accountId":10,"token":"t"}"#);
    reply(&mut peer, Reply::Back { nick: "ada".into(), seen: 1, read: Some(read) });
    assert_eq!(open(&mut peer)[0], r#"{"cmd":"RECONNECT_RESP","code":0}"#);
}

#[test]
fn whatever_a_client_sends_after_a_message_shows_that_it_has_it() {
    let mut peer = ada();
    let seen = format!("tell Pairs(Seen {{ account: 10, {HOLDER} }})");
    assert_eq!(peer.text("{}"), ["refused malformed"], "there is nothing to show");
    let came = |peer: &mut Peer, room| assert_eq!(peer.input(Input::Notice { room }), [""; 0]);
    came(&mut peer, pairs::inbox(10));
    assert_eq!(peer.text("{}"), [seen.as_str(), "refused malformed"]);
    assert_eq!(peer.text("{}"), ["refused malformed"], "once is enough");
    came(&mut peer, pairs::inbox(10));
    assert_eq!(peer.input(Input::Pong), [seen.as_str()]);
    came(&mut peer, pairs::inbox(11));
    assert_eq!(peer.input(Input::Pong), [""; 0], "the inbox of another");
    came(&mut peer, pairs::inbox(10));
    let viewed = r#"{"cmd":"VIEWED_ACK_REQ","sessionId":20,"accountId":10,"msgId":12}"#;
    assert_eq!(peer.text(viewed)[0], seen);
}
