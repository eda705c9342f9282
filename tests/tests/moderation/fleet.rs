//! What a moderator does on one gateway, as people of every protocol are shown it on another: real sockets, two gateways, a
//! Redis Cluster, and a third gateway that starts later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use parlor_tests::{
    client::{Frame, Refused, Socket, http::Request, native::Native, onlyone::OnlyOne, relay},
    gateway::{Gateway, Setup},
    redis::RedisCluster,
    signer::Signer,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SECRET: &str = "the secret that login and gateway share";

const SPEC: &str = "
protocols:
  native: {}
  onlyone: {rooms: [block]}
  relay: {}
  match: {}
  multiperson: {room: block}
auth: {jwt: {keys: {secretRef: {name: login, key: secret}}}}
limits: {trustedProxies: 1}
replicas: 2
redis: {managed: {}}
";
const ROOM: &str = "block";
/// Where everybody comes from, and who is to be kept out.
const HOME: &str = "192.0.2.1";
const AWAY: &str = "192.0.2.99";
const PATHS: [&str; 5] = ["/chat", "/onlyone", "/room", "/ws", "/multiperson"];

struct World {
    _redis: RedisCluster,
    setup: Setup,
    a: Gateway,
    b: Gateway,
}

impl World {
    async fn start() -> Result<Self> {
        let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await??;
        let setup = Setup::spec(SPEC).secret("login/secret", SECRET).redis(&redis.seeds());
        let (a, b) = (Gateway::start(&setup).await?, Gateway::start(&setup).await?);
        Ok(Self { _redis: redis, setup, a, b })
    }
}

/// A socket from behind a proxy that says where its client is.
async fn dial(gateway: &Gateway, path: &str, from: &str) -> Result<Socket> {
    let mut request = gateway.url(path).into_client_request()?;
    request.headers_mut().insert("x-forwarded-for", from.parse()?);
    Socket::upgrade(request, None).await
}

async fn native(gateway: &Gateway, from: &str) -> Result<Native> {
    Ok(Native::over(dial(gateway, "/chat", from).await?))
}

/// A moderator who has signed in.
async fn moderator(gateway: &Gateway) -> Result<Native> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"sub": "mod", "name": "mod", "role": "moderator", "exp": now + 3600});
    let mut native = native(gateway, HOME).await?;
    native.ask_for(json!({"op": "auth", "token": Signer::secret(SECRET).token(&claims)?}), "authenticated").await?;
    Ok(native)
}

async fn act(moderator: &mut Native, mut action: Value) -> Result<()> {
    action["op"] = "moderate".into();
    action["room"] = ROOM.into();
    moderator.ask_for(action, "moderated").await?;
    Ok(())
}

/// `posted`, or the code of the error.
async fn post(person: &mut Native) -> Result<String> {
    let answer = person.ask(json!({"op": "post", "room": ROOM, "body": {"text": "hello"}})).await?;
    Ok(answer["code"].as_str().unwrap_or("posted").to_owned())
}

async fn notice(person: &mut Native) -> Result<Value> {
    let mut notice = person.push("notice").await?;
    ensure!(notice["room"] == ROOM, "{notice}");
    notice.as_object_mut().context("an object")?.retain(|name, _| name != "op" && name != "room");
    Ok(notice)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_is_seen_on_the_other_gateway_by_people_of_every_protocol() -> Result<()> {
    let world = World::start().await?;
    let mut moderator = moderator(&world.a).await?;
    deletes(&world, &mut moderator).await.context("delete and purge")?;
    speaks_native(&world, &mut moderator).await.context("native")?;
    speaks_onlyone(&world, &mut moderator).await.context("onlyone")?;
    speaks_relay(&world, &mut moderator).await.context("relay")?;
    speaks_multiperson(&world, &mut moderator).await.context("multiperson")?;
    addresses(&world, &mut moderator).await.context("addresses")?;
    Ok(())
}

async fn deletes(world: &World, moderator: &mut Native) -> Result<()> {
    let mut bob = native(&world.b, HOME).await?;
    let joined = bob.ask_for(json!({"op": "join", "room": ROOM, "name": "bob"}), "joined").await?;
    for _ in 0..3 {
        ensure!(post(&mut bob).await? == "posted");
    }
    act(moderator, json!({"action": "delete", "seq": 1})).await?;
    act(moderator, json!({"action": "purge", "person": joined["you"]["id"]})).await?;
    let mut reader = native(&world.b, HOME).await?;
    reader.ask_for(json!({"op": "join", "room": ROOM, "name": "ada"}), "joined").await?;
    let history = reader.ask_for(json!({"op": "history", "room": ROOM}), "history").await?;
    let items = history["items"].as_array().context("items")?;
    let (said, done) = items.split_at_checked(3).context("three messages")?;
    ensure!(said.iter().all(|item| item["deleted"] == true && item["body"].is_null()), "{history}");
    let amended: Vec<_> = done.iter().map(|item| (&item["amends"], &item["from"]["name"])).collect();
    let by = json!("mod");
    ensure!(amended == [(&json!(1), &by), (&json!(2), &by), (&json!(3), &by)], "{history}");
    for (seq, code) in [(9, "not_found"), (0, "bad_request")] {
        let refused = moderator.ask(json!({"op": "moderate", "room": ROOM, "action": "delete", "seq": seq})).await?;
        ensure!(refused["code"] == code, "{seq}: {refused}");
    }
    Ok(())
}

async fn speaks_native(world: &World, moderator: &mut Native) -> Result<()> {
    let mut bob = native(&world.b, HOME).await?;
    let joined = bob.ask_for(json!({"op": "join", "room": ROOM, "name": "bob"}), "joined").await?;
    let (person, token) = (joined["you"]["id"].clone(), joined["you"]["token"].clone());
    act(moderator, json!({"action": "mute", "person": person, "seconds": 600})).await?;
    let muted = notice(&mut bob).await?;
    ensure!(muted["code"] == "muted" && muted["until"].as_u64() > Some(1_700_000_000_000), "{muted}");
    ensure!(muted["remaining"].as_u64().is_some_and(|left| (590_000..=600_000).contains(&left)), "{muted}");
    ensure!(post(&mut bob).await? == "muted");
    act(moderator, json!({"action": "unmute", "person": person})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "muted", "until": 0}));
    ensure!(post(&mut bob).await? == "posted");

    act(moderator, json!({"action": "slow", "seconds": 60})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "slow", "seconds": 60}));
    ensure!(post(&mut bob).await? == "posted" && post(&mut bob).await? == "slow_mode");
    act(moderator, json!({"action": "slow", "seconds": 0})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "slow", "seconds": 0, "until": 0}));
    act(moderator, json!({"action": "readonly", "on": true})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "readonly"}));
    ensure!(post(&mut bob).await? == "read_only");
    moderator.ask_for(json!({"op": "join", "room": ROOM}), "joined").await?;
    ensure!(post(moderator).await? == "posted", "moderators are exempt");
    let mut late = native(&world.a, HOME).await?;
    late.ask_for(json!({"op": "join", "room": ROOM, "name": "late"}), "joined").await?;
    ensure!(notice(&mut late).await? == json!({"code": "readonly"}), "told at the join");
    reads_the_log(&mut late, moderator).await?;
    act(moderator, json!({"action": "readonly", "on": false})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "readonly", "until": 0}));

    act(moderator, json!({"action": "kick", "person": person})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "kicked"}));
    ensure!(bob.socket.close_code().await? == 1008);
    let again = json!({"op": "join", "room": ROOM, "name": "bob", "token": token});
    let mut bob = native(&world.b, HOME).await?;
    bob.ask_for(again.clone(), "joined").await?;
    act(moderator, json!({"action": "ban", "person": person})).await?;
    ensure!(notice(&mut bob).await? == json!({"code": "banned"}));
    ensure!(bob.socket.close_code().await? == 1008);
    // A gateway that starts later knows it too.
    let late = Gateway::start(&world.setup).await?;
    for gateway in [&world.a, &world.b, &late] {
        let refused = native(gateway, HOME).await?.ask(again.clone()).await?;
        ensure!(refused["code"] == "banned", "{refused}");
    }
    act(moderator, json!({"action": "unban", "person": person})).await?;
    let mut bob = native(&world.a, HOME).await?;
    bob.ask_for(again, "joined").await?;
    Ok(())
}

/// The newest actions of the room, for moderators alone.
async fn reads_the_log(member: &mut Native, moderator: &mut Native) -> Result<()> {
    let asked = json!({"op": "actions", "room": ROOM, "limit": 2});
    ensure!(member.ask(asked.clone()).await?["code"] == "forbidden");
    let first = moderator.ask_for(asked, "actions").await?;
    let next = json!({"op": "actions", "room": ROOM, "limit": 1, "before": first["before"]});
    let next = moderator.ask_for(next, "actions").await?;
    let actions: Vec<_> = [&first, &next].into_iter().filter_map(|page| page["actions"].as_array()).flatten().collect();
    let names: Vec<_> = actions.iter().map(|action| &action["action"]).collect();
    ensure!(names == ["readonly", "slow", "slow"] && actions[0]["by"]["name"] == "mod", "{first} {next}");
    ensure!(first["more"] == true && actions[2]["seconds"] == 60, "{first} {next}");
    Ok(())
}

async fn speaks_onlyone(world: &World, moderator: &mut Native) -> Result<()> {
    let mut person = OnlyOne::over(dial(&world.b, "/onlyone", HOME).await?);
    let id = person.join(ROOM).await?["userId"].clone();
    let said = json!({"room_id": ROOM, "chat_message": {"type": "text", "content": "hello"}});
    ensure!(person.ask("chatHandler.chat", said.clone()).await?["code"] == 0);
    act(moderator, json!({"action": "mute", "person": id})).await?;
    let mut told = json!(null);
    for _ in 0..50 {
        told = person.ask("chatHandler.chat", said.clone()).await?;
        if told["code"] == 500 {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    ensure!(told["code"] == 500 && told["data"] == "服务器错误", "{told}");
    act(moderator, json!({"action": "kick", "person": id})).await?;
    ensure!(person.socket.close_code().await? == 1008);
    Ok(())
}

async fn speaks_relay(world: &World, moderator: &mut Native) -> Result<()> {
    let token = form(&world.b, "/tk", "uid=77", "").await?["data"].as_str().context("a token")?.to_owned();
    let mut person = dial(&world.b, "/room", HOME).await?;
    let say = |words: String| relay::frame(&words).context("a frame");
    person.binary(say(format!("SIGN_IN {ROOM} {token}"))?).await?;
    ensure!(status(&mut person).await?["code"] == 0);
    let id = find(moderator, |one| one["id"].as_str().is_some_and(|id| id.contains("77"))).await?;
    act(moderator, json!({"action": "readonly", "on": true})).await?;
    let mut told = json!(null);
    for _ in 0..50 {
        person.binary(say(format!("MESSAGE {ROOM} NORMAL hello"))?).await?;
        person.binary(say("HEARTBEAT".to_owned())?).await?;
        told = status(&mut person).await?;
        if told["type"] == 0 {
            break;
        }
    }
    ensure!(told == json!({"type": 0, "code": 100, "msg": "this room is read-only"}), "{told}");
    let posted = form(&world.b, "/msg", &format!("room_id={ROOM}&msg=hello"), &token).await?;
    ensure!(posted["code"] == 0 && posted["msg"] == "this room is read-only", "{posted}");
    act(moderator, json!({"action": "readonly", "on": false})).await?;
    act(moderator, json!({"action": "ban", "person": id})).await?;
    while !matches!(person.soon().await?, Frame::Closed(1008, _)) {}
    let mut person = dial(&world.b, "/room", HOME).await?;
    person.binary(say(format!("SIGN_IN {ROOM} {token}"))?).await?;
    ensure!(status(&mut person).await? == json!({"type": 0, "code": 100, "msg": "banned"}));
    Ok(())
}

/// The answer to a form.
async fn form(gateway: &Gateway, target: &str, body: &str, token: &str) -> Result<Value> {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", token)];
    let request = Request {
        method: "POST".to_owned(),
        target: target.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: body.as_bytes().to_vec(),
    };
    let answer = request.send("localhost", gateway.address("shared")?).await?;
    serde_json::from_str(&answer.body).with_context(|| answer.body)
}

/// The next frame that is no message of the room.
async fn status(person: &mut Socket) -> Result<Value> {
    loop {
        match person.soon().await? {
            Frame::Binary(bytes) => {
                let frame = relay::read(&bytes)?;
                if frame["type"] != 3 {
                    return Ok(frame);
                }
            }
            other => bail!("a frame was expected, {other:?} came"),
        }
    }
}

async fn speaks_multiperson(world: &World, moderator: &mut Native) -> Result<()> {
    let mut person = dial(&world.b, "/multiperson", HOME).await?;
    person.text(json!({"type": "INIT", "user_id": 5, "user_name": "eve", "message": "join"}).to_string()).await?;
    let entered = person.soon_text().await?;
    ensure!(entered.contains("SYSTEM"), "{entered}");
    let id = find(moderator, |one| one["name"] == "eve").await?;
    act(moderator, json!({"action": "mute", "person": id})).await?;
    moderator.ask_for(json!({"op": "ping"}), "pong").await?;
    sleep(Duration::from_millis(250)).await;
    person.text(json!({"type": "USER", "user_id": 5, "user_name": "eve", "message": "hello"}).to_string()).await?;
    person.text(json!({"type": "PING", "user_id": 5, "user_name": "eve", "message": "ping"}).to_string()).await?;
    let next = person.soon_text().await?;
    ensure!(next.contains("PONG"), "a muted person's message was shown: {next}");
    act(moderator, json!({"action": "kick", "person": id})).await?;
    while !matches!(person.soon().await?, Frame::Closed(1008, _)) {}
    Ok(())
}

/// The id of the person in the room of whom `holds`; gateways ask each other who is there once per second.
async fn find(moderator: &mut Native, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut people = json!(null);
    for _ in 0..20 {
        people = moderator.ask_for(json!({"op": "members", "room": ROOM, "limit": 100}), "members").await?;
        if let Some(found) = people["people"].as_array().into_iter().flatten().find(|one| holds(one)) {
            return Ok(found["id"].clone());
        }
        sleep(Duration::from_millis(250)).await;
    }
    bail!("nobody of that kind is in {people}")
}

async fn addresses(world: &World, moderator: &mut Native) -> Result<()> {
    let mut eve = native(&world.b, AWAY).await?;
    let joined = eve.ask_for(json!({"op": "join", "room": ROOM, "name": "eve"}), "joined").await?;
    let person = joined["you"]["id"].clone();
    act(moderator, json!({"action": "ban", "person": person, "address": true})).await?;
    ensure!(eve.socket.close_code().await? == 1008);
    for gateway in [&world.a, &world.b] {
        for path in PATHS {
            let deadline = Instant::now() + Duration::from_secs(5);
            loop {
                match dial(gateway, path, AWAY).await {
                    Err(error) => {
                        let status = error.downcast_ref::<Refused>().map(|refused| refused.status);
                        ensure!(status == Some(403), "{path}: {error:#}");
                        break;
                    }
                    Ok(_) => ensure!(Instant::now() < deadline, "{path} is open"),
                }
                sleep(Duration::from_millis(10)).await;
            }
            dial(gateway, path, HOME).await.with_context(|| format!("{path} from elsewhere"))?;
        }
    }
    act(moderator, json!({"action": "unban", "person": person})).await?;
    sleep(Duration::from_millis(250)).await;
    dial(&world.a, "/chat", AWAY).await.context("after the ban")?;
    Ok(())
}
