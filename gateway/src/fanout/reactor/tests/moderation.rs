//! What moderators did holds for every session, whatever its protocol.

use std::sync::Arc;

use super::rig::{Rig, policy, room, settings};
use crate::{
    fanout::messages::{ToHub, ToReactor},
    moderation::{Action, News, NewsCode},
};

fn news(code: NewsCode) -> Arc<News> {
    Arc::new(News {
        room: room("lobby"),
        person: Some("u1".into()),
        code,
        until: None,
        remaining: None,
        addresses_of: None,
    })
}

#[test]
fn what_a_muted_person_posts_never_reaches_the_hub() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.moderation.suppose(&room("lobby"), Action::Mute { person: "u1".into(), seconds: 0 });
    client.say("post lobby");
    assert_eq!(client.hear(), "muted in this room");
    client.say("post other");
    assert!(matches!(rig.next(), ToHub::Post { post, .. } if post.room == room("other")));
}

#[test]
fn who_asks_is_told_what_is_in_force_and_nothing_of_others() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.moderation.suppose(&room("lobby"), Action::Mute { person: "u2".into(), seconds: 0 });
    rig.moderation.suppose(&room("lobby"), Action::Readonly { on: true, seconds: 0 });
    client.say("standing lobby");
    assert_eq!(client.hear(), "readonly None");
    client.say("standing other");
    client.say("nothing more");
    assert_eq!(client.hear(), "nothing more");
}

#[test]
fn a_banned_person_does_not_become_a_reader() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.moderation.suppose(&room("lobby"), Action::Ban { person: "u1".into(), seconds: 0, address: false });
    client.say("join lobby");
    assert_eq!(client.hear(), "Banned");
    client.say("join other");
    assert!(matches!(rig.next(), ToHub::Join { join, .. } if join.room == room("other")));
}

#[test]
fn who_is_muted_is_told_and_who_is_kicked_is_told_and_closed_with_1008() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    client.say("post lobby");
    let ToHub::Post { from, .. } = rig.next() else { panic!("a post was said") };
    let tell = |rig: &Rig, news| rig.push(from.reactor, vec![ToReactor::Moderated { to: from, news }]);
    tell(&rig, news(NewsCode::Muted));
    assert_eq!(client.hear(), "muted None");
    client.say("still here");
    assert_eq!(client.hear(), "still here");
    tell(&rig, news(NewsCode::Kicked));
    assert_eq!(client.hear(), "kicked None");
    assert_eq!(client.hear(), "(1008 kicked)");
}
