//! OnlyOne: requests, responses and pushes.

use anyhow::Result;
use parlor_tests::{
    gateway::{Gateway, Setup},
    table::play,
};

use crate::{SPEC, World};

const CHAT: &str = r#"
# the server does not speak first
a .

# a first join, from the very connection that it is announced to
a > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
a <~ {"type":"response","code":0,"data":{"room_id":"onlyOne","user":{"userId":"$ada","avatar":"$avatar","username":"$name","register_time":"$since"}},"requestId":2}
a <~ {"route":"room.join","data":{"room_id":"onlyOne","user":{"userId":"$ada"}},"type":"push"}
b > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
b <~ {"type":"response","code":0,"data":{"room_id":"onlyOne","user":{"userId":"$bob"}},"requestId":2}
b <~ {"route":"room.join","data":{"user":{"userId":"$bob"}},"type":"push"}
a < {"route":"room.join","data":{"user":{"userId":"$bob"}},"type":"push"}

# joining twice is announced twice, with keys in the order of the original
a > {"requestId":3,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
a = {"type":"response","code":0,"data":{"room_id":"onlyOne","user":{"userId":"${ada}","avatar":"${avatar}","username":"${name}","register_time":${since}}},"requestId":3}
a = {"route":"room.join","data":{"room_id":"onlyOne","user":{"userId":"${ada}","avatar":"${avatar}","username":"${name}","register_time":${since}}},"type":"push"}
b < {"route":"room.join","data":{"user":{"userId":"$ada"}},"type":"push"}

# the avatar is there, under an absolute URL
w > GET ${avatar}
w < 200 [content-type: image/svg+xml] "*"
w > GET /avatar/nothing.png
w < 404 "*"

# chat as the web client sends it, without a type: no answer, everyone is shown it verbatim
a > {"route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{"type":"text","content":"hello\nyou","extra":[1.50,"\u00e9"]}}}
a = {"route":"room.chat","data":{"room_id":"onlyOne","chat_message":{"type":"text","content":"hello\nyou","extra":[1.50,"\u00e9"]},"send_time":${*},"sender":{"userId":"${ada}","avatar":"${avatar}","username":"${name}","register_time":${since}}},"type":"push"}
b = {"route":"room.chat","data":{"room_id":"onlyOne","chat_message":{"type":"text","content":"hello\nyou","extra":[1.50,"\u00e9"]},"send_time":${*},"sender":{"userId":"${ada}","avatar":"${avatar}","username":"${name}","register_time":${since}}},"type":"push"}

# as a request, and as BINARY, which later builds of the client send; pictures and voice pass through
b > {"requestId":4,"type":"request","route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{"type":"picture","path":"/p.png"}}}
b <~ {"type":"response","code":0,"data":"ok","requestId":4}
b <~ {"route":"room.chat","data":{"chat_message":{"type":"picture","path":"/p.png"}}}
a < {"route":"room.chat","data":{"chat_message":{"type":"picture","path":"/p.png"}}}
b > BINARY {"route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{"type":"voice","path":"/v"}},"type":"push"}
b < {"route":"room.chat","data":{"chat_message":{"type":"voice","path":"/v"}}}
a < {"route":"room.chat","data":{"chat_message":{"type":"voice","path":"/v"}}}

# leaving is announced to those who stay, whether one was there or not; chatting does not need a join
b > {"requestId":9,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"onlyOne"}}
b = {"type":"response","code":0,"data":"ok","requestId":9}
a < {"route":"room.leave","data":{"room_id":"onlyOne","user":{"userId":"$bob"}},"type":"push"}
b > {"requestId":10,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"onlyOne"}}
b = {"type":"response","code":0,"data":"ok","requestId":10}
a < {"route":"room.leave","data":{"room_id":"onlyOne","user":{"userId":"$bob"}},"type":"push"}
b > {"requestId":11,"type":"request","route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{"type":"text","content":"still here"}}}
b < {"type":"response","code":0,"data":"ok","requestId":11}
a < {"route":"room.chat","data":{"chat_message":{"content":"still here"},"sender":{"userId":"$bob"}}}

# a connection that ends says nothing
c > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}
c <~ {"type":"response","code":0,"requestId":2}
c <~ {"route":"room.join"}
a < {"route":"room.join"}
c >x 1000
# the first count after a join is without the one who asks: the clients add themselves
a > {"requestId":11,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"onlyOne"}}
a <~ {"code":0,"requestId":11}
a ? {"requestId":12,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"onlyOne"}} => {"code":0,"data":1,"requestId":12}
"#;

const COUNTS: &str = r#"
# both routes, exact over all gateways
a > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"side"}}
a <~ {"code":0,"requestId":2}
a <~ {"route":"room.join"}
b > {"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"side"}}
b <~ {"code":0,"requestId":2}
b <~ {"route":"room.join"}
a < {"route":"room.join"}
c ? {"requestId":3,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"side"}} => {"type":"response","code":0,"data":2,"requestId":3}
d ? {"requestId":3,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"side"}} => {"type":"response","code":0,"data":2,"requestId":3}
d > {"requestId":4,"type":"request","route":"roomHandler.getRoomInfo","data":{"room_id":"side"}}
d = {"type":"response","code":0,"data":{"room_user_count":2,"system_info":{"process":{"worker_num":${*},"process_id":${*},"process_session_num":${*}},"memory":{"heapTotal":"${*}","heapUsed":"${*}","rss":"${*}"},"cpu_usage":{"user":"${*}","system":"${*}"}}},"requestId":4}
b > {"requestId":5,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"side"}}
b < {"code":0,"data":"ok","requestId":5}
a < {"route":"room.leave"}
c ? {"requestId":6,"type":"request","route":"roomHandler.getRoomInfo","data":{"room_id":"side"}} => {"type":"response","code":0,"data":{"room_user_count":1},"requestId":6}
d ? {"requestId":6,"type":"request","route":"roomHandler.getRoomInfo","data":{"room_id":"side"}} => {"type":"response","code":0,"data":{"room_user_count":1},"requestId":6}
"#;

const CODES: &str = r#"
a > {"requestId":4,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"other"}}
a = {"type":"response","code":500,"data":"服务器错误","requestId":4}
a > {"requestId":5,"type":"request","route":"roomHandler.joinRoom","data":{}}
a = {"type":"response","code":500,"data":"服务器错误","requestId":5}
a > {"requestId":6,"type":"request","route":"roomHandler.joinRoom"}
a = {"type":"response","code":500,"data":"服务器错误","requestId":6}
a > {"requestId":7,"type":"request","route":"roomHandler.toString","data":{}}
a = {"type":"response","code":404,"data":"找不到对应的 handler","requestId":7}
a > {"requestId":8,"type":"request","route":"nobody.fly"}
a = {"type":"response","code":404,"data":"找不到对应的 handler","requestId":8}
a > {"requestId":9,"type":"request","data":{}}
a = {"type":"response","code":501,"data":"服务器收到未知消息","requestId":9}
a > {"requestId":10,"type":"request","route":""}
a = {"type":"response","code":501,"data":"服务器收到未知消息","requestId":10}

# valid JSON without a route gets 501 wherever there is an id to answer to; what is no JSON is ignored
a > {"requestId":11}
a = {"type":"response","code":501,"data":"服务器收到未知消息","requestId":11}
a > {"requestId":"a text","x":1}
a = {"type":"response","code":501,"data":"服务器收到未知消息","requestId":"a text"}
a > {{{
a > {"requestId":12,
a > [1]
a > null
a > {}
a .

# only requests are answered, with data and requestId where there is one
a > {"requestId":13,"type":"push","route":"roomHandler.getRoomList"}
a > {"requestId":14,"route":"roomHandler.getRoomList"}
a .
a > {"type":"request","route":"roomHandler.getRoomList"}
a = {"type":"response","code":0,"data":["onlyOne","side"]}
a > {"requestId":15,"type":"request","route":"roomHandler.getRoomList","data":{"room_id":"onlyOne"}}
a = {"type":"response","code":0,"data":["onlyOne","side"],"requestId":15}
a > {"requestId":16,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"nowhere"}}
a = {"type":"response","code":0,"requestId":16}
a > {"requestId":17,"type":"request","route":"chatHandler.chat","data":{"chat_message":{"type":"text","content":"x"}}}
a = {"type":"response","code":0,"data":"fail","requestId":17}
a > {"requestId":18,"type":"request","route":"chatHandler.chat","data":{"room_id":"nowhere","chat_message":{"type":"text","content":"x"}}}
a = {"type":"response","code":0,"data":"fail","requestId":18}
"#;

/// The key is `sixteen byte key`; the tokens were made with openssl.
const UPGRADES: &str = r#"
w > UPGRADE /onlyone?token=eKD4s284MColc5Bxo01+JLWqICePvhWZB9jpU1B5fyVTNM40rYueclbevnJnjLZU [Origin: http://a.test]
w < 101 ""
# whatever its age, whatever its parameter is called, and without an Origin
w > UPGRADE /onlyone?x=eKD4s284MColc5Bxo01+JIvV4ncXzX5uqFceB/kxOFt9SLQd8EMQzW8aKr1LJONv
w < 101 ""
w > UPGRADE /onlyone?token=eKD4s284MColc5Bxo01+JLWqICePvhWZB9jpU1B5fyVTNM40rYueclbevnJnjLZU [Origin: http://b.test]
w < 401 [content-type: text/html] [connection: close] ORIGIN_LIMIT
w > UPGRADE /onlyone
w < 401 [content-type: text/html] [connection: close] TOKEN_VERIFY_FAIL
w > UPGRADE /onlyone?token= [Origin: http://a.test]
w < 401 TOKEN_VERIFY_FAIL
w > UPGRADE /onlyone?token=x
w < 401 TOKEN_VERIFY_FAIL
w > UPGRADE /onlyone?token=AAAAAAAAAAAAAAAAAAAAAA==
w < 401 TOKEN_VERIFY_FAIL
# the third part is no number; there are two parts
w > UPGRADE /onlyone?token=qUpDwh13VJtEao6kDv9pgA==
w < 401 TOKEN_VERIFY_FAIL
w > UPGRADE /onlyone?token=bX9EgQMKyLaxqaNH+2UocQ==
w < 401 TOKEN_VERIFY_FAIL
"#;

pub(crate) async fn speaks(world: &World) -> Result<()> {
    let path = |_: &str| "/onlyone";
    world.play("onlyone", CHAT, "", path).await?;
    world.play("onlyone, counts", COUNTS, "", path).await?;
    world.play("onlyone, codes", CODES, "", path).await
}

#[tokio::test]
async fn onlyone_is_spoken_to_the_letter() {
    speaks(&World::memory(SPEC).await).await.unwrap();
}

#[tokio::test]
async fn onlyone_checks_origin_and_token_when_configured() {
    let spec =
        "protocols: {onlyone: {token: {secretRef: {name: onlyone, key: token}}, allowedOrigins: ['http://a.test']}}";
    let gateway = Gateway::start(&Setup::spec(spec).secret("onlyone/token", "sixteen byte key")).await.unwrap();
    play(UPGRADES, "", |_| gateway.url("/onlyone")).await.unwrap();
}
