//! What is sent, and what must come of it.

use serde_json::{Value, json};

pub(super) const PATHS: [(&str, &str); 5] = [
    ("native", "/chat"),
    ("onlyone", "/onlyone"),
    ("relay", "/room"),
    ("match", "/ws"),
    ("multiperson", "/multiperson"),
];

/// Every reason that refusals are counted by.
pub(super) const REASONS: [&str; 39] = [
    "bad_compression",
    "bad_request",
    "bad_utf8",
    "binary",
    "failed",
    "foreign_user",
    "full",
    "handshake",
    "head_timeout",
    "head_too_large",
    "malformed",
    "method",
    "no_handler",
    "no_room",
    "no_route",
    "not_a_member",
    "not_created",
    "not_durable",
    "not_found",
    "not_held",
    "not_joined",
    "not_kept",
    "not_shown_at_once",
    "not_signed_in",
    "origin",
    "protocol_error",
    "proxy_header",
    "rate_limited",
    "request_timeout",
    "room",
    "room_limit",
    "silent",
    "slow_consumer",
    "taken_over",
    "token",
    "too_large",
    "unavailable",
    "unknown_op",
    "unknown_type",
];

/// What breaks RFC 6455, in every protocol: what is sent, the code it is closed with, the reason it is counted by.
pub(super) const FRAMES: [(&str, &str, u16, &str); 27] = [
    ("a message over the limit", r"h >! 82 ff 0000000000010001 00000000", 1009, "too_large"),
    ("a length beyond all memory", r"h >! 82 ff 7fffffffffffffff 00000000", 1009, "too_large"),
    ("a message over the limit in two fragments", "h >f 01 \"a\"*65536\nh >f 80 \"a\"", 1009, "too_large"),
    ("a BINARY message over the limit in two fragments", "h >f 02 00*65536\nh >f 80 00", 1009, "too_large"),
    ("a message inside a fragmented one", "h >f 01 \"a\"\nh >f 81 \"b\"", 1002, "protocol_error"),
    ("another beginning inside a fragmented message", "h >f 02 \"a\"\nh >f 01 \"b\"", 1002, "protocol_error"),
    ("a continuation of nothing", r#"h >f 80 "a""#, 1002, "protocol_error"),
    ("an open continuation of nothing", r#"h >f 00 "a""#, 1002, "protocol_error"),
    ("an unmasked frame", r#"h >! 81 03 "abc""#, 1002, "protocol_error"),
    ("an unmasked close", "h >! 88 00", 1002, "protocol_error"),
    ("the first reserved bit", r#"h >f c1 "a""#, 1002, "protocol_error"),
    ("the second reserved bit", r#"h >f a1 "a""#, 1002, "protocol_error"),
    ("the third reserved bit", r#"h >f 91 "a""#, 1002, "protocol_error"),
    ("a reserved kind of data", r#"h >f 83 "a""#, 1002, "protocol_error"),
    ("a reserved kind of control", r#"h >f 8b "a""#, 1002, "protocol_error"),
    ("a ping in fragments", r#"h >f 09 "a""#, 1002, "protocol_error"),
    ("a ping that is too long", r#"h >f 89 "a"*126"#, 1002, "protocol_error"),
    ("a length that is not in its shortest form", r#"h >! 81 fe 0001 00000000 "a""#, 1002, "protocol_error"),
    ("half a code in a close frame", "h >f 88 03", 1002, "protocol_error"),
    ("a close code below all others", "h >f 88 03e7", 1002, "protocol_error"),
    ("a close code that is never sent", "h >f 88 03ed", 1002, "protocol_error"),
    ("the close code of an end without one", "h >f 88 03ee", 1002, "protocol_error"),
    ("a close reason that is no UTF-8", "h >f 88 03e8 ff", 1007, "bad_utf8"),
    ("TEXT that is no UTF-8", r#"h >f 81 "a" ff"#, 1007, "bad_utf8"),
    ("TEXT that is cut inside a character", "h >f 81 e8af", 1007, "bad_utf8"),
    ("TEXT that breaks over its fragments", "h >f 01 e8\nh >f 80 \"a\"", 1007, "bad_utf8"),
    ("TEXT with a surrogate", "h >f 81 eda080", 1007, "bad_utf8"),
];

/// What is well framed and means nothing: protocol, lines, the reason each is counted by. `DEEP` nests 10,000 levels.
pub(super) const MESSAGES: [(&str, &str, &str); 42] = [
    ("native", "h > DEEP\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    ("native", "h > {\"op\":\"ping\",\"id\":NaN}\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    ("native", "h > {\"op\":\"ping\",\"id\":\"1\"}\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    (
        "native",
        r#"h > {"op":"join","id":1,"room":"\ud800","name":"x"}
        h < {"op":"error","id":1,"code":"bad_request"}"#,
        "bad_request",
    ),
    (
        "native",
        r#"h > {"op":"join","id":1,"room":"a\u0000","name":"x"}
        h < {"op":"error","id":1,"code":"bad_request"}"#,
        "bad_request",
    ),
    (
        "native",
        r#"h > {"op":"history","id":1,"room":"r","before":9007199254740993000000}
        h < {"op":"error","id":1,"code":"bad_request"}"#,
        "bad_request",
    ),
    ("native", "h > TEXT HEX 00\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    ("native", "h >f 81\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    ("native", "h > HEX 00 ff\nh < {\"op\":\"error\",\"code\":\"bad_request\"}", "bad_request"),
    ("native", "h > {\"op\":\"\"}\nh < {\"op\":\"error\",\"code\":\"unknown_op\"}", "unknown_op"),
    ("onlyone", "h > DEEP", "malformed"),
    ("onlyone", r#"h > {"type":"request","requestId":1,"route":"roomHandler.getRoomList","x":DEEP}"#, "malformed"),
    ("onlyone", r#"h > {"type":"request","requestId":NaN,"route":"roomHandler.getRoomList"}"#, "malformed"),
    ("onlyone", "h > TEXT HEX 00", "malformed"),
    ("onlyone", "h >f 81", "malformed"),
    ("onlyone", "h > HEX ff fe 00", "malformed"),
    (
        "onlyone",
        "h > {\"type\":\"request\",\"requestId\":1,\"route\":7}\nh < {\"code\":501,\"requestId\":1}",
        "no_route",
    ),
    (
        "onlyone",
        r#"h > {"type":"request","requestId":1,"route":"roomHandler.joinRoom","data":{"room_id":"\ud800"}}
        h < {"code":500,"requestId":1}"#,
        "failed",
    ),
    ("relay", "h > HEX 12 ffffffff0f", "malformed"),
    ("relay", "h > HEX 0a 01 01", "malformed"),
    ("relay", "h > HEX 08 ff", "malformed"),
    ("relay", "h > HEX 08 ffffffffffffffffffffff01", "malformed"),
    ("relay", "h > HEX 0b*5000", "malformed"),
    ("relay", "h > HEX 07", "malformed"),
    ("relay", "h > HEX 00", "malformed"),
    ("relay", "h > HEX 08 01 12 02 0a 05", "malformed"),
    ("relay", "h > HEX 08 01 12 03 0a 01 ff", "malformed"),
    ("relay", "h > HEX 08 63\nh < {\"type\":0,\"code\":100}", "not_signed_in"),
    ("relay", "h > TEXT HEX 7b7d", "malformed"),
    ("match", "h > DEEP", "malformed"),
    ("match", r#"h > {"cmd":"PING_REQ","accountId":9007199254740993000000}"#, "malformed"),
    ("match", r#"h > {"cmd":"PING_REQ","accountId":NaN}"#, "malformed"),
    ("match", r#"h > {"cmd":"CRT_ACCOUNT_REQ","nickName":"\ud800"}"#, "malformed"),
    ("match", "h > TEXT HEX 00", "malformed"),
    ("match", "h >f 81", "malformed"),
    ("match", "h > HEX 7b7d", "binary"),
    ("match", "h > {\"cmd\":\"MATCH_REQ\",\"accountId\":1}\nh < {\"cmd\":\"MATCH_RESP\",\"code\":2}", "not_held"),
    ("multiperson", "h > DEEP", "malformed"),
    ("multiperson", r#"h > {"type":"USER","user_id":NaN}"#, "malformed"),
    ("multiperson", "h > HEX ff fe 00", "malformed"),
    ("multiperson", "h >f 81", "malformed"),
    ("multiperson", "h > TEXT HEX 00", "malformed"),
];

/// Requests to endpoints and upgrades: the request, the answer, and what it is counted by.
pub(super) const REQUESTS: [(&str, &str, &str); 11] = [
    ("w > POST /msg\nw < 200 {\"code\":1001}", "relay", "token"),
    ("w > POST /msg [authorization: Bearer \u{1}]\nw < 400 \"*\"", "none", "malformed"),
    (
        "w > POST /msg [authorization: TOKEN] [content-type: application/json] DEEP\nw < 200 {\"code\":0}",
        "relay",
        "malformed",
    ),
    (
        "w > POST /msg [authorization: TOKEN] [content-type: application/json] {\"room_id\":\"r\",\"msg\":\"HUGE\"}\n\
         w < 200 {\"code\":0}",
        "relay",
        "malformed",
    ),
    (
        "w > POST /msg [authorization: TOKEN] [content-type: multipart/form-data; boundary=x] --y\nw < 200 {\"code\":0}",
        "relay",
        "malformed",
    ),
    ("w > PUT /msg\nw < 405 \"\"", "relay", "method"),
    ("w > GET /avatar/%00.svg\nw < 404 \"*\"", "onlyone", "not_found"),
    ("w > UPGRADE /nowhere\nw < 404 \"*\"", "none", "not_found"),
    ("w > GET /chat [Upgrade: websocket] [Sec-WebSocket-Version: 8]\nw < 426 \"*\"", "native", "handshake"),
    (
        "w > GET /ws [Upgrade: websocket] [Sec-WebSocket-Version: 13] [Sec-WebSocket-Key: x]\nw < 400 \"*\"",
        "match",
        "handshake",
    ),
    ("w > GET / [x: LONG]\nw < 431 \"*\"", "none", "head_too_large"),
];

/// A frame of each protocol that holds every field it has.
pub(super) fn frames() -> Vec<(&'static str, Value)> {
    let onlyone = json!({"requestId": 1, "type": "request", "route": "chatHandler.chat",
        "data": {"room_id": "onlyOne", "chat_message": {"type": "text", "content": "x", "path": "p"}}});
    let multiperson_c = json!({"type": "MESSAGE", "from_user_id": 1, "to_user_id": 2, "block_id": 1, "group_id": 1,
        "chat_type": "PTP", "temp_id": 1, "message_id": "1", "message": "x"});
    vec![
        ("/chat", json!({"op": "join", "id": 1, "room": "r", "name": "n", "token": "t", "epoch": "a", "after": 1})),
        ("/chat", json!({"op": "post", "id": 1, "room": "r", "key": "k", "body": {"text": "x"}, "durable": true})),
        ("/chat", json!({"op": "history", "id": 1, "room": "r", "before": 1, "limit": 1})),
        ("/onlyone", onlyone),
        ("/ws", json!({"cmd": "DIALOGUE_REQ", "requestId": "r", "senderId": 1, "sessionId": 1, "content": "x"})),
        ("/ws", json!({"cmd": "VIEWED_ACK_REQ", "sessionId": 1, "accountId": 1, "msgId": 1})),
        ("/ws", json!({"cmd": "RECONNECT_REQ", "accountId": 1, "token": "t"})),
        ("/multiperson", json!({"type": "INIT", "user_id": 1, "user_name": "n", "message": "join"})),
        ("/multiperson", json!({"type": "USER", "id": 1, "username": "n", "message": "@n"})),
        ("/multiperson", multiperson_c),
    ]
}

/// Values that no field expects all of.
pub(super) fn wrong() -> [&'static str; 14] {
    [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e308",
        "9007199254740993",
        "18446744073709551616",
        r#""""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#""1""#,
        "[[]]",
        r#"{"a":{}}"#,
    ]
}
