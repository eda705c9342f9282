//! The message relay: BINARY Protocol Buffers, and HTTP for servers that post.

use anyhow::Result;

use crate::{SPEC, World};

/// Tokens that were signed elsewhere, valid until 2100 or wrong in one way: uid 12; uid 13 with HS512; expired; of the
/// future; of another key; with a uid that is no number; unsigned.
const TOKENS: [(&str, &str); 7] = [
    (
        "TWELVE",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6IjEyIn0.yjTkeOWglVjEoRTkOQOZzEl0jadxoPh6NZ_7vudLG1Q",
    ),
    (
        "THIRTEEN",
        "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6IjEzIn0.v4tHcU4zVrf0HO50DGafEf2TiZ2SMOtJ6seuhTOu0OiDytAb4nTru8cgzDELrazKdaCVdg8KEwsnF2zpkcNi-A",
    ),
    (
        "EXPIRED",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxMDAwLCJleHAiOjIwMDAsImN0bSI6IiIsInVpZCI6IjEyIn0.9Ub_pRVluHc31mjw8j6Cf2iXoIP8xBfNhRJQfG49Fqo",
    ),
    (
        "EARLY",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0Ijo0MTAyNDQ0ODAwLCJleHAiOjQxMDI0NDQ5MDAsImN0bSI6IiIsInVpZCI6IjEyIn0.5WYJPoyDQEmXVhWNzOVGBTQNC6uWCO-Tbfww8mmxtOA",
    ),
    (
        "FOREIGN",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6IjEyIn0.v5IJOAAqti1ZepNF2i_TQ--HL75F-DSblFIcTKiJo2Q",
    ),
    (
        "NAMED",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6ImFkYSJ9.WUIC_OsEzfR2KhsUxqJx1Juowpp_XE5Z6rteMStUiQo",
    ),
    (
        "UNSIGNED",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6IjEyIn0.",
    ),
];

const SIGN_IN: &str = r#"
# the server does not speak first; before a sign-in everything else is refused, and the connection stays
a .
a > HEARTBEAT
a = HEX 12 0d 08 64 12 09 e8afb7e799bbe5bd95
a > MEMBERS
a < {"type":0,"code":100,"msg":"请登录"}
a > MESSAGE ROOM NORMAL nobody hears this
a < {"type":0,"code":100,"msg":"请登录"}
a > HEX 08 00
a < {"type":0,"code":100,"msg":"请登录"}
a > HEX 08 09
a < {"type":0,"code":100,"msg":"请登录"}

# a token is refused with its reason, and may be tried again
a > SIGN_IN ROOM nonsense
a < {"type":0,"code":100,"msg":"rpc error: code = Unknown desc = token contains an invalid number of segments"}
a > SIGN_IN ROOM EXPIRED
a < {"type":0,"code":100,"msg":"rpc error: code = Unknown desc = 登录信息过期"}
a > SIGN_IN ROOM EARLY
a < {"type":0,"code":100,"msg":"rpc error: code = Unknown desc = 无效token"}
a > SIGN_IN ROOM FOREIGN
a < {"type":0,"code":100,"msg":"rpc error: code = Unknown desc = signature is invalid"}
a > SIGN_IN ROOM UNSIGNED
a < {"type":0,"code":100}
a > SIGN_IN ROOM NAMED
a < {"type":0,"code":100,"msg":"rpc error: code = Unknown desc = 无效token"}
a > SIGN_IN ROOM
a < {"type":0,"code":100}

# a sign-in that cannot be decoded, and what is no frame, are ignored
a > HEX 08 01 12 03 ffffff
a > HEX ffffffff
a .

# success is of type 0 too, and exactly these seven bytes; any HMAC of the key will do, as TEXT or BINARY
a > SIGN_IN ROOM TWELVE
a = HEX 12 05 12 03 "suc"
b > SIGN_IN ROOM THIRTEEN
b = HEX 12 05 12 03 "suc"
b > TEXT HEARTBEAT
b = HEX 08 02 12 04 "pong"
a > HEX 08 02 12 03 "abc"
a < {"type":2,"data":"pong"}
a ? MEMBERS => {"type":4,"data":"2"}
b ? MEMBERS => {"type":4,"data":"2"}

# other types are ignored, as is what cannot be decoded
a > HEX 08 00
a > HEX 08 09
a > HEX 08 03 12 03 ffffff
a > HEX 12
a .

# the same person may be here many times; connections are counted
c > SIGN_IN ROOM TWELVE
c < {"type":0,"code":0,"msg":"suc"}
b ? MEMBERS => {"type":4,"data":"3"}
c >x
b ? MEMBERS => {"type":4,"data":"2"}
"#;

const MESSAGES: &str = r#"
a > SIGN_IN ROOM TWELVE
a < {"type":0,"code":0}
b > SIGN_IN ROOM THIRTEEN
b < {"type":0,"code":0}

# to everyone, the sender too, each item framed by its length; neither acknowledged
a > MESSAGE ROOM NORMAL hello im 2
a = HEX 08 03 12 17 0a 05 "relay" 1a 0e 0a000000 "hello" 20 "im" 20 "2"
b < {"type":3,"room":"ROOM","level":0,"items":["hello im 2"]}
b > MESSAGE ROOM IMPORTANT now
b = HEX 08 03 12 12 0a 05 "relay" 10 01 1a 07 03000000 "now"
a < {"type":3,"room":"ROOM","level":1,"items":["now"]}

# empty data is an item of no length, long data is whole
a > MESSAGE ROOM NORMAL
a < {"type":3,"items":[""]}
b < {"type":3,"items":[""]}
a > MESSAGE ROOM NORMAL LONG
a < {"type":3,"items":["LONG"]}
b < {"type":3,"items":["LONG"]}

# NORMAL ones are merged or not, IMPORTANT ones are alone, and the order is that of sending
a > MESSAGE ROOM NORMAL 1
a > MESSAGE ROOM NORMAL 2
a > MESSAGE ROOM NORMAL 3
a > MESSAGE ROOM IMPORTANT 4
a > MESSAGE ROOM IMPORTANT 5
a > MESSAGE ROOM NORMAL 6
a > MESSAGE ROOM NORMAL 7
a <+ {"type":3,"room":"ROOM","level":0,"items":["1","2","3"]}
a < {"type":3,"room":"ROOM","level":1,"items":["4"]}
a < {"type":3,"room":"ROOM","level":1,"items":["5"]}
a <+ {"type":3,"room":"ROOM","level":0,"items":["6","7"]}
b <+ {"type":3,"room":"ROOM","level":0,"items":["1","2","3"]}
b < {"type":3,"room":"ROOM","level":1,"items":["4"]}
b < {"type":3,"room":"ROOM","level":1,"items":["5"]}
b <+ {"type":3,"room":"ROOM","level":0,"items":["6","7"]}

# a second sign-in moves the connection, which may still talk to the room it left
a > SIGN_IN ROOM-2 TWELVE
a < {"type":0,"code":0,"msg":"suc"}
a ? MEMBERS => {"type":4,"data":"1"}
b ? MEMBERS => {"type":4,"data":"1"}
a > MESSAGE ROOM NORMAL from outside
b < {"type":3,"room":"ROOM","items":["from outside"]}
b > MESSAGE ROOM-2 NORMAL and back
a < {"type":3,"room":"ROOM-2","items":["and back"]}

# in the empty room nobody is reached
a > SIGN_IN "" TWELVE
a = HEX 12 05 12 03 "suc"
a > MESSAGE "" NORMAL anyone
a > HEARTBEAT
a < {"type":2,"data":"pong"}
"#;

const ENDPOINTS: &str = r#"
w > POST /tk [content-type: application/x-www-form-urlencoded] uid=77
w < 200 [content-type: application/json] [access-control-allow-origin: *] {"code":1,"data":"$token","msg":"suc"}
v > POST /tk
v = 200 {"code":1,"data":"${*}","msg":"suc"}
a > SIGN_IN ROOM ${token}
a < {"type":0,"code":0,"msg":"suc"}

# a form, a multipart form, JSON, with and without Bearer; what comes is IMPORTANT, a JSON string with HTML's escapes
w > POST /msg [authorization: Bearer ${token}] [content-type: application/x-www-form-urlencoded] room_id=ROOM&msg=%7B%22a%22%3A1%7D
w = 200 {"code":1,"msg":"suc"}
a < {"type":3,"room":"ROOM","level":1,"items":["\"{\\\"a\\\":1}\""]}
v > POST /msg [authorization: ${token}] [content-type: application/json] {"room_id":"ROOM","msg":"<b> & ü"}
v = 200 {"code":1,"msg":"suc"}
a < {"type":3,"room":"ROOM","level":1,"items":["\"\\u003cb\\u003e \\u0026 ü\""]}
w > POST /msg [authorization: Bearer ${token}] [content-type: multipart/form-data; boundary=x] --x\r\nContent-Disposition: form-data; name="room_id"\r\n\r\nROOM\r\n--x\r\nContent-Disposition: form-data; name="msg"\r\n\r\nparts\r\n--x--\r\n
w = 200 {"code":1,"msg":"suc"}
a < {"type":3,"room":"ROOM","level":1,"items":["\"parts\""]}

# no token, or a bad one: 1001; anything else: 0
w > POST /msg [content-type: application/json] {"room_id":"ROOM","msg":"x"}
w = 200 {"code":1001,"msg":"无效token"}
w > POST /msg [authorization: Bearer nonsense] [content-type: application/json] {"room_id":"ROOM","msg":"x"}
w = 200 {"code":1001,"msg":"rpc error: code = Unknown desc = token contains an invalid number of segments"}
w > POST /msg [authorization: Bearer EXPIRED] [content-type: application/json] {"room_id":"ROOM","msg":"x"}
w = 200 {"code":1001,"msg":"rpc error: code = Unknown desc = 登录信息过期"}
w > POST /msg [authorization: Bearer TWELVE] [content-type: application/json] {"room_id":"ROOM"}
w = 200 {"code":0,"msg":"参数错误"}
w > POST /msg [authorization: Bearer TWELVE] [content-type: application/json] {"msg":"x"}
w = 200 {"code":0,"msg":"参数错误"}
w > POST /msg [authorization: Bearer TWELVE] [content-type: application/json] {"room_id":
w = 200 {"code":0,"msg":"参数错误"}
w > POST /msg [authorization: Bearer TWELVE] nothing that is a form
w = 200 {"code":0,"msg":"参数错误"}
a .

# browsers ask first; other methods are refused
w > OPTIONS /msg
w < 200 ""
w > OPTIONS /tk
w < 200 [access-control-allow-origin: *] [access-control-allow-headers: Content-Type,AccessToken,X-CSRF-Token, Authorization, Token] [access-control-allow-methods: POST, GET, OPTIONS] [access-control-expose-headers: Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers, Content-Type] [access-control-allow-credentials: true] ""
w > GET /msg
w < 405 [access-control-allow-origin: *] ""
w > PUT /tk
w < 405 [access-control-allow-origin: *] ""
"#;

const MEMBERSHIP: &str = r#"
a > SIGN_IN here TWELVE
a < {"type":0,"code":0}
b > SIGN_IN there THIRTEEN
b < {"type":0,"code":0}
a > MESSAGE there NORMAL from outside
a > MESSAGE here NORMAL from inside
a < {"type":3,"room":"here","items":["from inside"]}
b > MESSAGE there NORMAL the first here
b < {"type":3,"room":"there","items":["the first here"]}
# without tokens for everyone there is no such endpoint
w > POST /tk
w < 404 "*"
"#;

pub(crate) fn with_tokens(table: &str) -> String {
    TOKENS.iter().fold(table.replace("LONG", &"long".repeat(200)), |table, (name, token)| table.replace(name, token))
}

pub(crate) async fn speaks(world: &World) -> Result<()> {
    let path = |_: &str| "/room";
    world.play("relay, sign-in", &with_tokens(SIGN_IN), "door", path).await?;
    world.play("relay, messages", &with_tokens(MESSAGES), "relay", path).await?;
    world.play("relay, endpoints", &with_tokens(ENDPOINTS), "posted", path).await
}

#[tokio::test]
async fn relay_is_spoken_to_the_letter() {
    speaks(&World::memory(SPEC).await).await.unwrap();
}

#[tokio::test]
async fn relay_keeps_strangers_out_of_a_room_and_tokens_to_itself_when_configured() {
    let spec = "
protocols: {relay: {requireMembership: true, issueTokens: false, tokenKey: {secretRef: {name: relay, key: token}}}}";
    World::memory(spec).await.play("relay", &with_tokens(MEMBERSHIP), "", |_| "/room").await.unwrap();
}
