//! Other servers moderate: what they do is in force for members, and in the log.

use std::time::Duration;

use parlor_tests::client::native::Native;
use serde_json::json;
use tokio::time::sleep;

use crate::{Api, get, memory, post};

/// Within this time an action is in force.
const IN_FORCE: Duration = Duration::from_millis(250);

impl Api {
    async fn moderate(&self, room: &str, action: &str) -> (u16, serde_json::Value) {
        self.ask(post(&format!("/v1/rooms/{room}/moderation"), action)).await
    }
}

#[tokio::test]
async fn a_person_who_is_muted_may_not_post_and_the_log_says_who_did_it() {
    let api = memory().await;
    let mut bob = Native::connect(&api.gateway.url("/chat")).await.unwrap();
    let joined = bob.ask_for(json!({"op": "join", "room": "lobby", "name": "bob"}), "joined").await.unwrap();
    let id = &joined["you"]["id"];
    let action = json!({"action": "mute", "person": id, "seconds": 600});
    assert_eq!(api.moderate("lobby", &action.to_string()).await, (200, json!({})));
    let notice = bob.push("notice").await.unwrap();
    assert_eq!((&notice["room"], &notice["code"]), (&json!("lobby"), &json!("muted")));
    let refused = bob.ask(json!({"op": "post", "room": "lobby", "body": {"text": "hi"}})).await.unwrap();
    assert_eq!(refused["code"], "muted");
    let said = format!(r#"{{"body":{{}},"from":{{"id":{id},"name":"bob"}}}}"#);
    let (status, refused) = api.publish("lobby", &said).await;
    assert_eq!((status, &refused["code"]), (403, &json!("muted")), "nor in somebody else's words");
    let (status, log) = api.ask(get("/v1/moderation/log")).await;
    let logged = &log["actions"][0];
    let wanted = json!({
        "number": 1, "time": logged["time"], "until": logged["time"].as_u64().unwrap() + 600_000, "room": "lobby",
        "by": {"id": "api:shop", "name": "shop"}, "action": "mute", "person": id, "seconds": 600,
    });
    assert_eq!((status, &log), (200, &json!({"actions": [wanted], "more": false})));
    let undone = json!({"action": "unmute", "person": id});
    assert_eq!(api.moderate("lobby", &undone.to_string()).await.0, 200);
    sleep(IN_FORCE).await;
    assert_eq!(api.publish("lobby", &said).await.0, 200);
}

#[tokio::test]
async fn messages_of_a_person_are_deleted_and_members_are_told() {
    let api = memory().await;
    let mut ada = Native::connect(&api.gateway.url("/chat")).await.unwrap();
    ada.join("lobby", "ada").await.unwrap();
    for person in ["u2", "u3", "u2", "u2"] {
        let said = format!(r#"{{"body":{{"text":"hi"}},"from":{{"id":"{person}","name":"{person}"}}}}"#);
        assert_eq!(api.publish("lobby", &said).await.0, 200);
    }
    ada.messages(4).await.unwrap();
    assert_eq!(api.moderate("lobby", r#"{"action":"delete","seq":1}"#).await, (200, json!({})));
    let told = &ada.push("messages").await.unwrap()["items"][0];
    assert_eq!(
        (&told["amends"], &told["kind"], &told["from"]["id"]),
        (&json!(1), &json!("delete"), &json!("api:shop"))
    );
    assert_eq!(api.moderate("lobby", r#"{"action":"purge","person":"u2"}"#).await, (200, json!({})));
    let (_, page) = api.ask(get("/v1/rooms/lobby/messages?before=5")).await;
    let gone = page["items"].as_array().unwrap().iter().map(|item| item["deleted"] == true);
    assert_eq!(gone.collect::<Vec<_>>(), [true, false, true, true], "{page}");
    let (status, answer) = api.moderate("lobby", r#"{"action":"delete","seq":100}"#).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));
    let (_, log) = api.ask(get("/v1/moderation/log")).await;
    let actions: Vec<_> = log["actions"].as_array().unwrap().iter().map(|logged| logged["action"].clone()).collect();
    assert_eq!(actions, ["purge", "delete"], "what was not found was not done");
    assert_eq!((&log["actions"][0]["person"], &log["actions"][1]["seq"]), (&json!("u2"), &json!(1)));
}

#[tokio::test]
async fn the_log_is_read_page_by_page_the_newest_action_first() {
    let api = memory().await;
    for n in 1..=5 {
        api.moderate("lobby", &format!(r#"{{"action":"slow","seconds":{n}}}"#)).await;
    }
    let read = async |query: &str| {
        let (status, log) = api.ask(get(&format!("/v1/moderation/log{query}"))).await;
        assert_eq!(status, 200, "{log}");
        let numbers = log["actions"].as_array().unwrap().iter().map(|action| action["number"].as_u64().unwrap());
        (numbers.collect::<Vec<_>>(), log["more"].as_bool().unwrap())
    };
    assert_eq!(read("?limit=2").await, (vec![5, 4], true));
    assert_eq!(read("?before=4&limit=3").await, (vec![3, 2, 1], false));
    assert_eq!(read("?before=1").await, (vec![], false));
    for wrong in ["limit=0", "limit=101", "limit=x", "before=-1"] {
        let (status, answer) = api.ask(get(&format!("/v1/moderation/log?{wrong}"))).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn an_action_that_is_wrong_is_refused_by_the_name_of_its_field() {
    let api = memory().await;
    let table = [
        ("lobby", "not json", "expected"),
        ("lobby", "[]", "action"),
        ("lobby", r#"{"person":"u2"}"#, "action"),
        ("lobby", r#"{"action":"hug","person":"u2"}"#, "action"),
        ("lobby", r#"{"action":"mute"}"#, "person"),
        ("lobby", r#"{"action":"mute","person":""}"#, "person"),
        ("lobby", r#"{"action":"mute","person":"u2","seconds":-1}"#, "seconds"),
        ("lobby", r#"{"action":"slow","seconds":21601}"#, "seconds"),
        ("lobby", r#"{"action":"ban","person":"u2","address":1}"#, "address"),
        ("lobby", r#"{"action":"readonly"}"#, "on"),
        ("lobby", r#"{"action":"delete"}"#, "seq"),
        ("lobby", r#"{"action":"delete","seq":0}"#, "seq"),
        ("lobby", r#"{"action":"purge","seq":1}"#, "person"),
        ("%01", r#"{"action":"kick","person":"u2"}"#, "a room"),
    ];
    for (room, body, field) in table {
        let (status, answer) = api.moderate(room, body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{body}: {answer}");
        assert!(answer["message"].as_str().unwrap().starts_with(field), "{body}: {answer}");
    }
    assert_eq!(api.moderate("lobby", &" ".repeat(8193)).await.0, 413);
    let (_, log) = api.ask(get("/v1/moderation/log")).await;
    assert_eq!(log["actions"], json!([]), "nothing of it was done");
}
