//! One room, every protocol: each person writes once, each reads all the others, with their names, in one order.

use anyhow::Result;

use crate::World;

/// Room 1 is the broadcast room of multiperson's stage A and the block that all of stage C are in.
pub(crate) const SPEC: &str = "
protocols:
  native: {}
  onlyone: {rooms: ['1']}
  relay: {tokenKey: {secretRef: {name: relay, key: token}}}
  multiperson: {room: '1'}
replicas: 2
redis: {managed: {}}
";

/// Names: `an` native, `bo` OnlyOne, `cr` relay, `da` multiperson A, `ec` multiperson C.
const TABLE: &str = r#"
an > {"op":"join","room":"1","name":"nat"}
an < {"op":"joined"}
bo > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"1"}}
bo <~ {"code":0,"data":{"user":{"userId":"$bo","username":"$bob"}}}
bo <~ {"route":"room.join"}
w > POST /tk [content-type: application/json] {"uid":"77"}
w < 200 {"data":"$token"}
cr > SIGN_IN 1 ${token}
cr < {"code":0,"msg":"suc"}
da > {"type":"INIT","user_id":40,"user_name":"ann","message":"join"}
da < {"type":"SYSTEM","user_name":"ann"}
an < {"op":"messages","items":[{"seq":1,"from":{"name":"ann"},"body":{"text":"join"}}]}
bo < {"route":"room.chat","data":{"chat_message":{"type":"text","content":"join"},"sender":{"username":"ann"}}}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"ann\",\"content\":\"join\"}"]}
w > POST /ws/login [content-type: application/json] {"name":"cyd"}
w < 200 {"data":{"user_id":"$cyd"}}
ec > {"type":"INIT","from_user_id":"$cyd","message":"init"}
ec < {"type":"PONG"}

an > {"op":"post","room":"1","body":{"text":"from native"}}
an < {"op":"messages","items":[{"seq":2,"from":{"name":"nat"},"body":{"text":"from native"}}]}
bo < {"route":"room.chat","data":{"room_id":"1","chat_message":{"type":"text","content":"from native"},"sender":{"username":"nat"}}}
cr < {"type":3,"room":"1","level":0,"items":["{\"type\":\"text\",\"from\":\"nat\",\"content\":\"from native\"}"]}
da < {"user_name":"nat","type":"USER","message":"from native"}
ec < {"type":"MESSAGE","user_name":"nat","message":"from native","chat_type":"BLOCK","block_id":"1"}

bo > {"route":"chatHandler.chat","data":{"room_id":"1","chat_message":{"type":"text","content":"from onlyone"}}}
an < {"op":"messages","items":[{"seq":3,"from":{"id":"$bo","name":"$bob"},"body":{"text":"from onlyone"}}]}
bo < {"route":"room.chat","data":{"chat_message":{"content":"from onlyone"},"sender":{"userId":"$bo","username":"$bob"}}}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"${bob}\",\"content\":\"from onlyone\"}"]}
da < {"user_name":"$bob","type":"USER","message":"from onlyone"}
ec < {"type":"MESSAGE","user_name":"$bob","message":"from onlyone"}

cr > MESSAGE 1 NORMAL from relay
an < {"op":"messages","items":[{"seq":4,"from":{"name":"77"},"body":{"text":"from relay"}}]}
bo < {"route":"room.chat","data":{"chat_message":{"content":"from relay"},"sender":{"username":"77"}}}
cr < {"type":3,"items":["from relay"]}
da < {"user_name":"77","type":"USER","message":"from relay"}
ec < {"type":"MESSAGE","user_name":"77","message":"from relay"}

da > {"type":"USER","user_id":40,"user_name":"ann","message":"from A"}
an < {"op":"messages","items":[{"seq":5,"from":{"name":"ann"},"body":{"text":"from A"}}]}
bo < {"route":"room.chat","data":{"chat_message":{"content":"from A"},"sender":{"username":"ann"}}}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"ann\",\"content\":\"from A\"}"]}
da = {"type":"USER","user_id":40,"user_name":"ann","message":"from A"}
ec < {"type":"MESSAGE","user_name":"ann","message":"from A"}

# no echo to the sender in stage C, whose frames name nobody: their names are those they logged in with
ec > {"type":"MESSAGE","from_user_id":"$cyd","message":"from C","chat_type":"BLOCK","block_id":"1","temp_id":"c"}
ec < {"type":"CONFIRM","temp_id":"c"}
an < {"op":"messages","items":[{"seq":6,"from":{"id":"m${cyd}","name":"cyd"},"body":{"text":"from C"}}]}
bo < {"route":"room.chat","data":{"chat_message":{"content":"from C"},"sender":{"userId":"m${cyd}","username":"cyd"}}}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"cyd\",\"content\":\"from C\"}"]}
da < {"user_id":"m${cyd}","user_name":"cyd","type":"USER","message":"from C"}

# others are shown nothing of what is changed, and later histories have it as it is then
an > {"op":"edit","room":"1","seq":2,"body":{"text":"edited"}}
an < {"op":"messages","items":[{"seq":7,"amends":2,"kind":"edit"}]}
an > {"op":"react","room":"1","seq":4,"emoji":"👍"}
an < {"op":"messages","items":[{"seq":8,"amends":4,"kind":"react"}]}
an > {"op":"post","room":"1","body":{"text":"slip"}}
an < {"op":"messages","items":[{"seq":9}]}
an > {"op":"delete","room":"1","seq":9}
an < {"op":"messages","items":[{"seq":10,"amends":9,"kind":"delete"}]}
an > {"op":"post","room":"1","body":{"text":"last"}}
an < {"op":"messages","items":[{"seq":11}]}
bo < {"route":"room.chat","data":{"chat_message":{"content":"slip"}}}
bo < {"route":"room.chat","data":{"chat_message":{"content":"last"}}}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"nat\",\"content\":\"slip\"}"]}
cr < {"type":3,"items":["{\"type\":\"text\",\"from\":\"nat\",\"content\":\"last\"}"]}
da < {"user_name":"nat","type":"USER","message":"slip"}
da < {"user_name":"nat","type":"USER","message":"last"}
ec < {"type":"MESSAGE","user_name":"nat","message":"slip"}
ec < {"type":"MESSAGE","user_name":"nat","message":"last"}
w > GET /ws/messages
w < 200 {"messageList":[{"message":"join"},{"message":"edited"},{"message":"from onlyone"},{"message":"from relay"},{"message":"from A"},{"message":"from C"},{"message":"last"}]}

# all of them count
an ? {"op":"members","id":9,"room":"1"} => {"op":"members","count":5}
cr ? MEMBERS => {"type":4,"data":"5"}
bo ? {"requestId":3,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"1"}} => {"data":5}
"#;

pub(crate) async fn shared(world: &World) -> Result<()> {
    let path = |name: &str| match name {
        "an" => "/chat",
        "bo" => "/onlyone",
        "cr" => "/room",
        _ => "/multiperson",
    };
    world.play("a room that all protocols share", TABLE, "", path).await
}

#[tokio::test]
async fn one_room_is_shared_by_all_protocols_in_one_order() {
    shared(&World::memory(SPEC).await).await.unwrap();
}
