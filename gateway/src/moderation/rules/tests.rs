use super::*;
use crate::rooms::Author;

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

fn person(name: &str) -> Arc<str> {
    name.into()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Applies actions of one room at time 1000, the first of which has number 1.
fn table(actions: &[Action]) -> Table {
    Table::of(actions.iter().zip(1..).map(|(action, number)| record(number, "lobby", action.clone())))
}

fn record(number: u64, name: &str, action: Action) -> Arc<Record> {
    let by = Author { id: "m".into(), name: "mod".into(), extra: None };
    let until = (action.lasts() > 0).then(|| 1000 + action.lasts() * 1000);
    Arc::new(Record { number, time: 1000, until, act: Act { by, room: room(name), action } })
}

fn post(table: &Table, name: &str, who: &str, role: Role, now: u64) -> Result<Option<Duration>, &'static str> {
    let who = Who { person: who, role, address: Some(ip("192.0.2.1")) };
    table.may_post(&room(name), who, now).map_err(|refusal| refusal.code())
}

#[test]
fn who_is_muted_is_refused_in_that_room_alone_and_until_the_end() {
    let table = table(&[Action::Mute { person: person("bob"), seconds: 5 }]);
    assert_eq!(post(&table, "lobby", "bob", Role::Member, 5999), Err("muted"));
    assert_eq!(post(&table, "lobby", "bob", Role::Moderator, 5999), Err("muted"));
    for (name, who, now) in [("lobby", "bob", 6000), ("lobby", "ada", 1000), ("other", "bob", 1000)] {
        assert_eq!(post(&table, name, who, Role::Member, now), Ok(None), "{name} {who} {now}");
    }
}

#[test]
fn what_has_no_end_lasts_until_it_is_undone() {
    let mut table = table(&[Action::Mute { person: person("bob"), seconds: 0 }]);
    assert_eq!(post(&table, "lobby", "bob", Role::Member, u64::MAX), Err("muted"));
    let news = table.apply(&record(2, "lobby", Action::Unmute { person: person("bob") })).unwrap();
    assert_eq!((news.code, news.until), (NewsCode::Muted, Some(0)));
    assert_eq!(post(&table, "lobby", "bob", Role::Member, 1000), Ok(None));
    assert!(table.is_empty());
}

#[test]
fn who_is_banned_neither_joins_nor_posts() {
    let mut table = table(&[Action::Ban { person: person("bob"), seconds: 0, address: false }]);
    let join = |table: &Table, name| table.may_join(&room(name), "bob", None, 1000).map_err(|refusal| refusal.code());
    assert_eq!(join(&table, "lobby"), Err("banned"));
    assert_eq!(post(&table, "lobby", "bob", Role::Member, 1000), Err("banned"));
    assert_eq!(join(&table, "other"), Ok(()));
    table.apply(&record(2, "lobby", Action::Unban { person: person("bob") }));
    assert_eq!(join(&table, "lobby"), Ok(()));
}

#[test]
fn a_banned_address_is_refused_everywhere_and_let_go_with_the_ban_that_it_came_with() {
    let ban = Action::BanAddress { person: person("bob"), address: ip("192.0.2.1"), seconds: 0 };
    let mut table = table(&[Action::Ban { person: person("bob"), seconds: 0, address: true }, ban]);
    let come = |table: &Table, address| table.may_come(Some(ip(address)), 1000).is_ok();
    assert!(!come(&table, "192.0.2.1") && come(&table, "192.0.2.2"));
    assert_eq!(post(&table, "other", "ada", Role::Member, 1000), Err("banned"));
    table.apply(&record(3, "other", Action::Unban { person: person("bob") }));
    assert!(!come(&table, "192.0.2.1"), "another room's ban");
    let unban = Act {
        action: Action::Unban { person: person("bob") },
        ..record(4, "lobby", Action::Slow { seconds: 1 }).act.clone()
    };
    let removed = [(Kind::People, "ban\u{1}lobby\u{1}bob"), (Kind::Addresses, "192.0.2.1")];
    assert_eq!(table.changes(&unban), removed.map(|(kind, row)| Change::Remove(kind, row.to_owned())));
    table.apply(&record(4, "lobby", unban.action));
    assert!(come(&table, "192.0.2.1") && table.is_empty());
}

#[test]
fn moderators_are_exempt_from_slow_and_read_only_rooms() {
    let mut table = table(&[Action::Slow { seconds: 3 }]);
    assert_eq!(post(&table, "lobby", "bob", Role::Member, 1000), Ok(Some(Duration::from_secs(3))));
    assert_eq!(post(&table, "lobby", "bob", Role::Moderator, 1000), Ok(None));
    assert!(table.has_slow_rooms());
    table.apply(&record(2, "lobby", Action::Readonly { on: true, seconds: 0 }));
    assert_eq!(post(&table, "lobby", "bob", Role::Member, 1000), Err("read_only"));
    assert_eq!(post(&table, "lobby", "bob", Role::Moderator, 1000), Ok(None));
    table.apply(&record(3, "lobby", Action::Readonly { on: false, seconds: 0 }));
    table.apply(&record(4, "lobby", Action::Slow { seconds: 0 }));
    assert!(table.is_empty() && !table.has_slow_rooms());
}

#[test]
fn who_missed_actions_is_told_of_those_that_are_in_force() {
    let mute = Action::Mute { person: person("bob"), seconds: 0 };
    let before = table(std::slice::from_ref(&mute));
    let now =
        table(&[mute, Action::Slow { seconds: 3 }, Action::Ban { person: person("eve"), seconds: 0, address: false }]);
    let mut told: Vec<_> = now.news_since(&before, 1000).map(|news| news.code.name()).collect();
    told.sort_unstable();
    assert_eq!(told, ["banned", "slow"]);
    assert_eq!(now.news_since(&now, 1000).count(), 0);
}

#[test]
fn who_joins_is_told_what_is_in_force_for_them_and_for_how_long() {
    let mute = Action::Mute { person: person("bob"), seconds: 60 };
    let ban = Action::Ban { person: person("eve"), seconds: 0, address: false };
    let table = table(&[mute, Action::Slow { seconds: 3 }, ban]);
    let told = |who: &str, now| {
        let news = table.news_of(&RoomName::new("lobby").unwrap(), who, now);
        news.map(|news| (news.code.name(), news.remaining)).collect::<Vec<_>>()
    };
    let until = table.news_of(&RoomName::new("lobby").unwrap(), "bob", 0).next().and_then(|news| news.until).unwrap();
    assert_eq!(told("bob", until - 5_000), [("muted", Some(5_000)), ("slow", None)]);
    assert_eq!(told("bob", until), [("slow", None)], "the mute is over");
    assert_eq!(told("eve", 1000), [("slow", None)], "a banned person does not join");
    assert_eq!(table.news_of(&RoomName::new("other").unwrap(), "bob", 1000).count(), 0);
}
