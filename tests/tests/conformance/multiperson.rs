//! MutiPersonChat: the broadcast room of stage A, the people and blocks of stages B and C.

use anyhow::Result;

use crate::{SPEC, World};

const BROADCAST: &str = r#"
# PING before anything else is answered, with every field as it came
a .
a > BINARY {"user_name":"ada","user_id":1795172464819,"type":"PING","message":"ping","x":[1.0]}
a = {"user_name":"ada","user_id":1795172464819,"type":"PONG","message":"pong","x":[1.0]}

# INIT is shown to everyone as SYSTEM, in TEXT, with its keys and types as they were
a > BINARY {"user_name":"ada","user_id":1795172464819,"type":"INIT","message":"join"}
a = {"user_name":"ada","user_id":1795172464819,"type":"SYSTEM","message":"join"}
b > {"type":"INIT","user_id":"1795172464820","user_name":"bob","message":"hello"}
b = {"type":"SYSTEM","user_id":"1795172464820","user_name":"bob","message":"join"}
a = {"type":"SYSTEM","user_id":"1795172464820","user_name":"bob","message":"join"}

# everything else is shown as it is, to its sender too
a > BINARY {"user_name":"ada","user_id":1795172464819,"type":"USER","message":"hi there"}
a = {"user_name":"ada","user_id":1795172464819,"type":"USER","message":"hi there"}
b = {"user_name":"ada","user_id":1795172464819,"type":"USER","message":"hi there"}
b > { "type" : "USER", "user_id":"1795172464820", "n":1.50e1, "message":"<p>\u00e9</p>" }
b = { "type" : "USER", "user_id":"1795172464820", "n":1.50e1, "message":"<p>\u00e9</p>" }
a = { "type" : "USER", "user_id":"1795172464820", "n":1.50e1, "message":"<p>\u00e9</p>" }
a > {"type":"CLOSE","user_id":1795172464819}
a = {"type":"CLOSE","user_id":1795172464819}
b = {"type":"CLOSE","user_id":1795172464819}
a > {"type":"WHISPER"}
a = {"type":"WHISPER"}
b = {"type":"WHISPER"}
a > 5
a = 5
b = 5
a > "text"
a = "text"
b = "text"
a > [null]
a = [null]
b = [null]

# no JSON: ignored
a > {"type":
a > BINARY ping
a > HEX ff fe
a .

# the older names of the fields; a client that talks before INIT is in the room
c > {"type":"USER","id":3,"username":"cid","message":"early"}
c = {"type":"USER","id":3,"username":"cid","message":"early"}
a = {"type":"USER","id":3,"username":"cid","message":"early"}
b = {"type":"USER","id":3,"username":"cid","message":"early"}
c > {"type":"INIT","id":3,"username":"cid"}
c = {"type":"SYSTEM","id":3,"username":"cid","message":"join"}
a = {"type":"SYSTEM","id":3,"username":"cid","message":"join"}
b = {"type":"SYSTEM","id":3,"username":"cid","message":"join"}

# nobody sees that someone left
b >x
a > {"type":"USER","user_id":1795172464819,"user_name":"ada","message":"seen"}
a = {"type":"USER","user_id":1795172464819,"user_name":"ada","message":"seen"}
c <~ {"message":"seen"}
"#;

/// Who is called by name while away is shown it when they enter again; `n` sees by the count that they are away.
const MENTION: &str = r#"
a > {"type":"INIT","user_id":51,"user_name":"meg","message":"join"}
a < {"type":"SYSTEM","user_id":51}
b > {"type":"INIT","user_id":52,"user_name":"max","message":"join"}
b < {"type":"SYSTEM","user_id":52}
a < {"type":"SYSTEM","user_id":52}
b >x 1000
n ? {"op":"members","id":1,"room":"0"} => {"op":"members","count":1}
# that max is away is noted beside the count
a . 1000
a > {"type":"USER","user_id":51,"user_name":"meg","message":"are you there, @max"}
a < {"type":"USER"}
a > {"type":"USER","user_id":51,"user_name":"meg","message":"@max and @maximilian"}
a < {"type":"USER"}
a > {"type":"USER","user_id":51,"user_name":"meg","message":"@maxi only"}
a < {"type":"USER"}
b > {"type":"INIT","user_id":52,"user_name":"max","message":"join"}
b = {"type":"USER","user_id":51,"user_name":"meg","message":"are you there, @max"}
b = {"type":"USER","user_id":51,"user_name":"meg","message":"@max and @maximilian"}
b = {"type":"SYSTEM","user_id":52,"user_name":"max","message":"join"}
a < {"type":"SYSTEM","user_id":52}
# once
c > {"type":"INIT","user_id":52,"user_name":"max","message":"join"}
c < {"type":"SYSTEM","user_id":52}
a < {"type":"SYSTEM","user_id":52}
b < {"type":"SYSTEM","user_id":52}
"#;

const PEOPLE: &str = r#"
w > POST /ws/login [content-type: application/json] {"name":"ROOM-ada"}
w < 200 {"code":200,"message":"","data":{"user_id":"$ada","user_name":"ROOM-ada"}}
v > POST /ws/login [content-type: application/json] {"user_name":"ROOM-bob"}
v < 200 {"code":200,"message":"","data":{"user_id":"$bob","user_name":"ROOM-bob"}}
v > POST /ws/login [content-type: application/json] {"name":"ROOM-ada"}
v < 200 {"code":200,"data":{"user_id":"$ada"}}

# INIT is answered with what shows nothing: clients that hear nothing reconnect for ever; ids are numbers or text
a .
a > BINARY {"type":"INIT","from_user_id":"$ada","message":"init"}
a = {"type":"PONG","message":"pong","from_user_id":"0"}
b > {"type":"INIT","from_user_id":"${bob}","message":"init"}
b = {"type":"PONG","message":"pong","from_user_id":"0"}
a > {"type":"PING","from_user_id":"${ada}","message":"ping"}
a = {"type":"PONG","message":"pong","from_user_id":"0"}

# to a person: confirmed with the id it got, and shown in TEXT with that id, keys and types as they were
a > BINARY {"type":"MESSAGE","from_user_id":"${ada}","message_id":"-2","message":"<p>hi</p>","chat_type":"PTP","send_time":1795172515238,"to_user_id":"${bob}","temp_id":"t1"}
a < {"type":"CONFIRM","from_user_id":"*","message_id":"$m1","message":"<p>hi</p>","temp_id":"t1"}
b = {"type":"MESSAGE","from_user_id":"${ada}","message_id":"${m1}","message":"<p>hi</p>","chat_type":"PTP","send_time":1795172515238,"to_user_id":"${bob}","temp_id":"t1"}
b > {"type":"CONFIRM","from_user_id":"${ada}","message_id":"${m1}","message":"<p>hi</p>","chat_type":"PTP","send_time":1795172515238,"to_user_id":"${bob}","temp_id":"t1"}
b > {"type":"MESSAGE","from_user_id":"$bob","message_id":-2,"message":"back","chat_type":"PTP","to_user_id":"$ada","temp_id":7}
b < {"type":"CONFIRM","message_id":"$m2>m1","temp_id":7}
a = {"type":"MESSAGE","from_user_id":${bob},"message_id":"${m2}","message":"back","chat_type":"PTP","to_user_id":${ada},"temp_id":7}

# the same again is confirmed with the first id, and not shown again
a > {"type":"MESSAGE","from_user_id":"${ada}","message_id":"-2","message":"<p>hi</p>","chat_type":"PTP","to_user_id":"${bob}","temp_id":"t1"}
a < {"type":"CONFIRM","message_id":"$m1","temp_id":"t1"}

# to a block: everyone in it but the sender; group_id is an older name of it
b > {"type":"MESSAGE","from_user_id":"${bob}","message_id":"-2","message":"all","chat_type":"BLOCK","block_id":"1","temp_id":"t3"}
b < {"type":"CONFIRM","message_id":"$m3","temp_id":"t3"}
a = {"type":"MESSAGE","from_user_id":"${bob}","message_id":"${m3}","message":"all","chat_type":"BLOCK","block_id":"1","temp_id":"t3"}
b > {"type":"MESSAGE","from_user_id":"${bob}","message":"group","chat_type":"BLOCK","group_id":1,"temp_id":"t4"}
b < {"type":"CONFIRM","message_id":"$m4>m3"}
a < {"type":"MESSAGE","message_id":"$m4","message":"group"}
a > {"type":"CONFIRM","from_user_id":"${bob}","message_id":"${m2}"}
a > {"type":"CONFIRM","from_user_id":"${bob}","message_id":"${m3}"}
a > {"type":"CONFIRM","from_user_id":"${bob}","message_id":"${m4}"}

# in the name of someone who is here on another connection: neither shown nor confirmed
b > {"type":"MESSAGE","from_user_id":"${ada}","message":"forged","chat_type":"PTP","to_user_id":"${bob}","temp_id":"f"}
b .

# what is no JSON, or no message, is ignored
b > {"type":"MESSAGE"
b > {"type":"MESSAGE","from_user_id":"${bob}","message":"to nobody"}
b > {"type":"MESSAGE","from_user_id":"bob","message":"x","to_user_id":"${ada}"}
b > {"type":"CONFIRM"}
b > {"type":"DANCE"}
b .

# who is away finds what was not confirmed when they enter again, the oldest first
b > {"type":"CLOSE","from_user_id":"${bob}"}
b x 1006
a > {"type":"MESSAGE","from_user_id":"${ada}","message":"one","chat_type":"PTP","to_user_id":"${bob}","temp_id":"t5"}
a < {"type":"CONFIRM","message_id":"$m5>m2"}
a > {"type":"MESSAGE","from_user_id":"${ada}","message":"two","chat_type":"BLOCK","block_id":"1","temp_id":"t6"}
a < {"type":"CONFIRM","message_id":"$m6>m4"}
d > {"type":"INIT","from_user_id":"${bob}","message":"init"}
d < {"type":"PONG"}
d < {"type":"MESSAGE","message_id":"$m5","message":"one","temp_id":"t5"}
d < {"type":"MESSAGE","message_id":"$m6","message":"two","temp_id":"t6"}
d > {"type":"CONFIRM","from_user_id":"${ada}","message_id":"${m5}"}
d .
# entering elsewhere takes the account over; only what was not confirmed comes again. The one before may still send, as two
# tabs of one person do; one that never had the account may not
c > {"type":"INIT","from_user_id":"${bob}","message":"init"}
c < {"type":"PONG"}
c < {"type":"MESSAGE","message_id":"$m6","message":"two"}
d > {"type":"MESSAGE","from_user_id":"${bob}","message":"from the old one","chat_type":"PTP","to_user_id":"${ada}","temp_id":"t7"}
d < {"type":"CONFIRM","temp_id":"t7"}
a < {"type":"MESSAGE","message":"from the old one"}
e > {"type":"MESSAGE","from_user_id":"${bob}","message":"from another","chat_type":"PTP","to_user_id":"${ada}","temp_id":"t9"}
e . 200
c > {"type":"MESSAGE","from_user_id":"${bob}","message":"from the new one","chat_type":"PTP","to_user_id":"${ada}","temp_id":"t8"}
c < {"type":"CONFIRM","temp_id":"t8"}
a < {"type":"MESSAGE","message":"from the new one"}
"#;

const WELCOMED: &str = r#"
a > {"type":"INIT","from_user_id":7,"message":"init"}
a = {"type":"MESSAGE","from_user_id":"1","to_user_id":"7","message":"<p>Welcome!</p>","message_id":"0000000000000002","chat_type":"PTP","send_time":${*}}
# the broadcast dialect is not welcomed
b > {"type":"INIT","user_id":8,"user_name":"bea","message":"join"}
b = {"type":"SYSTEM","user_id":8,"user_name":"bea","message":"join"}
"#;

pub(crate) async fn speaks(world: &World) -> Result<()> {
    let path = |_: &str| "/multiperson";
    world.play("multiperson A", BROADCAST, "", path).await?;
    let path = |name: &str| if name == "n" { "/chat" } else { "/multiperson" };
    world.play("multiperson A, mentions", MENTION, "", path).await?;
    world.play("multiperson C", PEOPLE, "people", path).await
}

#[tokio::test]
async fn multiperson_is_spoken_to_the_letter() {
    speaks(&World::memory(SPEC).await).await.unwrap();
}

#[tokio::test]
async fn multiperson_welcomes_people_when_configured() {
    let world = World::memory("protocols: {multiperson: {welcome: true}}").await;
    world.play("welcome", WELCOMED, "", |_| "/multiperson").await.unwrap();
}
