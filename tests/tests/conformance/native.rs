//! Parlor's own protocol.

use anyhow::Result;

use crate::{SPEC, World};

const TABLE: &str = r#"
a > {"op":"join","id":1,"room":"ROOM","name":"ada"}
a < {"op":"joined","id":1,"room":"ROOM","epoch":"*","seq":0,"you":{"id":"$ada","name":"ada","token":"$token"},"members":"*","recovered":false}
b > {"op":"join","id":1,"room":"ROOM","name":"bob","colour":"ignored"}
b < {"op":"joined","id":1,"room":"ROOM","epoch":"*","seq":0,"you":{"id":"$bob","name":"bob"},"members":"*","recovered":false}

# a message reaches both, with its body as it was sent
a > {"op":"post","id":2,"room":"ROOM","key":"k1","body":{"text":"hello","n":[1,2.5,{"z":null}]}}
a <~ {"op":"posted","id":2,"room":"ROOM","seq":1,"duplicate":false}
a <~ {"op":"messages","room":"ROOM","items":[{"seq":1,"time":"$time","from":{"id":"$ada","name":"ada"},"body":{"text":"hello","n":[1,2.5,{"z":null}]}}]}
b < {"op":"messages","room":"ROOM","items":[{"seq":1,"time":"$time","from":{"id":"$ada","name":"ada"},"body":{"text":"hello","n":[1,2.5,{"z":null}]}}]}

# the same key again is the same message, and no one is shown it again
a > {"op":"post","id":3,"room":"ROOM","key":"k1","body":{"text":"hello"}}
a < {"op":"posted","id":3,"room":"ROOM","seq":1,"duplicate":true}
b > {"op":"post","id":2,"room":"ROOM","key":"k1","body":{"text":"hi ada"}}
b <~ {"op":"posted","id":2,"room":"ROOM","seq":2,"duplicate":false}
b <~ {"op":"messages","room":"ROOM","items":[{"seq":2,"from":{"id":"$bob","name":"bob"},"body":{"text":"hi ada"}}]}
a < {"op":"messages","room":"ROOM","items":[{"seq":2,"from":{"id":"$bob","name":"bob"},"body":{"text":"hi ada"}}]}

# history, backwards and ascending
b > {"op":"history","id":3,"room":"ROOM"}
b < {"op":"history","id":3,"room":"ROOM","epoch":"*","items":[{"seq":1},{"seq":2}],"more":false}
b > {"op":"history","id":4,"room":"ROOM","limit":1}
b < {"op":"history","id":4,"items":[{"seq":2,"body":{"text":"hi ada"}}],"more":true}
b > {"op":"history","id":5,"room":"ROOM","before":2,"limit":1}
b < {"op":"history","id":5,"items":[{"seq":1}],"more":false}

# typing is seen by all and stored nowhere
a > {"op":"typing","room":"ROOM"}
a < {"op":"typing","room":"ROOM","from":{"id":"$ada","name":"ada"}}
b <~ {"op":"typing","room":"ROOM","from":{"id":"$ada","name":"ada"}}

# every refusal has its code, and the connection stays
a > {"op":"fly","id":4}
a < {"op":"error","id":4,"code":"unknown_op"}
a > {"op":"post","id":5,"room":"ROOM"}
a < {"op":"error","id":5,"code":"bad_request"}
a > not json
a < {"op":"error","code":"bad_request"}
a > BINARY {"op":"ping","id":6}
a < {"op":"error","code":"bad_request"}
a > {"op":"join","id":7,"room":"ROOM","name":"eve"}
a < {"op":"error","id":7,"code":"bad_request"}
a > {"op":"post","id":8,"room":"elsewhere","body":{"text":"x"}}
a < {"op":"error","id":8,"code":"not_joined"}
a > {"op":"ping","id":9}
a < {"op":"pong","id":9}
a > {"op":"ping"}
a < {"op":"pong"}

# who left sees nothing more
b > {"op":"leave","id":6,"room":"ROOM"}
b < {"op":"left","id":6,"room":"ROOM"}
b > {"op":"post","id":7,"room":"ROOM","body":{"text":"x"}}
b < {"op":"error","id":7,"code":"not_joined"}
a > {"op":"post","id":10,"room":"ROOM","body":{"text":"bye"}}
a <~ {"op":"posted","id":10,"seq":3}
a <~ {"op":"messages","items":[{"seq":3}]}
b > {"op":"ping","id":8}
b < {"op":"pong","id":8}
"#;

/// What requests may look like, and a resume.
const EDGES: &str = r#"
a > {"op":"join","id":1,"room":"ROOM","name":"ada","token":null}
a < {"op":"joined","id":1,"epoch":"$epoch","you":{"token":"$token","id":"$ada"},"recovered":false}
a > {"op":"post","id":2,"room":"ROOM","body":{"text":"one"}}
a <~ {"op":"posted","id":2,"seq":1}
a <~ {"op":"messages","items":[{"seq":1}]}
# without an id a post is not answered
a > {"op":"post","room":"ROOM","body":{"text":"two","empty":{},"deep":[[[[]]]],"big":9007199254740993,"exact":1.10}}
a = {"op":"messages","room":"ROOM","items":[{"seq":2,"time":${*},"from":{"id":"${ada}","name":"ada"},"body":{"text":"two","empty":{},"deep":[[[[]]]],"big":9007199254740993,"exact":1.10}}]}
a > {"op":"post","room":"ROOM","body":{"text":"three"}}
a <+ {"op":"messages","items":[{"seq":3}]}

# who comes back to another gateway is shown what was missed, and is who they were
a >x 1000
b > {"op":"join","id":3,"room":"ROOM","name":"ada","token":"$token","epoch":"$epoch","after":1}
b < {"op":"joined","id":3,"you":{"id":"$ada","name":"ada"},"recovered":true}
b <+ {"op":"messages","items":[{"seq":2,"body":{"exact":1.10}},{"seq":3}]}

# every field that is wrong is named by its error, and nothing changes
b > {"op":"join","id":4,"room":7}
b < {"op":"error","id":4,"code":"bad_request","message":"room is text"}
b > {"op":"join","id":5}
b < {"op":"error","id":5,"code":"bad_request","message":"room is missing"}
b > {"op":"join","id":6,"room":"a\u0000b"}
b < {"op":"error","id":6,"code":"bad_request"}
b > {"op":"join","id":7,"room":"ROOM","epoch":"$epoch"}
b < {"op":"error","id":7,"code":"bad_request","message":"to resume takes both epoch and after"}
b > {"op":"post","id":8,"room":"ROOM","body":[1]}
b < {"op":"error","id":8,"code":"bad_request","message":"body is a JSON object"}
b > {"op":"post","id":9,"room":"ROOM","body":{"text":"\ud800"}}
b < {"op":"error","id":9,"code":"bad_request"}
b > {"op":"post","id":10,"room":"ROOM","body":{},"durable":1}
b < {"op":"error","id":10,"code":"bad_request","message":"durable is true or false"}
b > {"op":"post","id":11,"room":"ROOM","key":"","body":{}}
b < {"op":"error","id":11,"code":"bad_request","message":"key is empty"}
b > {"op":"history","id":12,"room":"ROOM","limit":101}
b < {"op":"error","id":12,"code":"bad_request","message":"limit is 1 to 100"}
b > {"op":"history","id":13,"room":"ROOM","before":-1}
b < {"op":"error","id":13,"code":"bad_request","message":"before is a seq"}
b > {"op":"join","id":"x","room":"ROOM"}
b < {"op":"error","code":"bad_request","message":"id is a number"}
b > [1]
b < {"op":"error","code":"bad_request","message":"a frame is one JSON object"}
b > {"id":14}
b < {"op":"error","id":14,"code":"bad_request","message":"op is missing"}
b > {"op":"typing","id":15,"room":"ROOM"}
b <~ {"op":"typing","id":15,"room":"ROOM"}
b <~ {"op":"typing","room":"ROOM","from":{"id":"$ada","name":"ada"}}
b > {"op":"ping","id":1.5}
b < {"op":"pong","id":1.5}
b ? {"op":"members","id":16,"room":"ROOM"} => {"op":"members","id":16,"room":"ROOM","count":1}
b ? {"op":"members","id":17,"room":"ROOM","limit":10} => {"op":"members","id":17,"room":"ROOM","count":1,"people":"*","more":false}
"#;

/// Messages that change. Clients called a, c are on one gateway, b, d, f on the other.
const AMENDED: &str = r#"
a > {"op":"join","id":1,"room":"ROOM","name":"ada"}
a < {"op":"joined","id":1,"epoch":"$epoch","you":{"id":"$ada","token":"$token"}}
b > {"op":"join","id":1,"room":"ROOM","name":"bob"}
b < {"op":"joined","id":1,"you":{"id":"$bob","token":"$bobs"}}
a > {"op":"post","room":"ROOM","body":{"text":"one"}}
a < {"op":"messages","items":[{"seq":1}]}
b < {"op":"messages","items":[{"seq":1}]}
a > {"op":"post","room":"ROOM","body":{"text":"two"}}
a < {"op":"messages","items":[{"seq":2}]}
b < {"op":"messages","items":[{"seq":2}]}

# an amendment is an item of its own, in order, for all; a key counts as for a post
a > {"op":"edit","id":2,"room":"ROOM","seq":1,"key":"e1","body":{"text":"uno"}}
a <~ {"op":"posted","id":2,"room":"ROOM","seq":3,"duplicate":false}
a <~ {"op":"messages","items":[{"seq":3,"time":"*","from":{"id":"$ada","name":"ada"},"amends":1,"kind":"edit","body":{"text":"uno"}}]}
b < {"op":"messages","items":[{"seq":3,"from":{"id":"$ada"},"amends":1,"kind":"edit","body":{"text":"uno"}}]}
a > {"op":"edit","id":3,"room":"ROOM","seq":1,"key":"e1","body":{"text":"uno"}}
a < {"op":"posted","id":3,"seq":3,"duplicate":true}
b > {"op":"react","id":2,"room":"ROOM","seq":1,"emoji":"👍"}
b <~ {"op":"posted","id":2,"seq":4,"duplicate":false}
b <~ {"op":"messages","items":[{"seq":4,"from":{"id":"$bob"},"amends":1,"kind":"react","emoji":"👍","remove":false}]}
a < {"op":"messages","items":[{"seq":4,"amends":1,"kind":"react","emoji":"👍"}]}
b > {"op":"react","id":3,"room":"ROOM","seq":1,"emoji":"👍","remove":false}
b < {"op":"posted","id":3,"seq":4,"duplicate":true}

# history shows what messages have become, and which reactions are the reader's own
b > {"op":"history","id":4,"room":"ROOM","before":3}
b < {"op":"history","id":4,"seq":4,"items":[{"seq":1,"from":{"id":"$ada"},"body":{"text":"uno"},"edited":"*","reactions":{"👍":{"count":1,"you":true}}},{"seq":2,"body":{"text":"two"}}],"more":false}
a > {"op":"history","id":4,"room":"ROOM","limit":4}
a = {"op":"history","id":4,"room":"ROOM","epoch":"${epoch}","seq":4,"items":[{"seq":1,"time":${*},"from":{"id":"${ada}","name":"ada"},"body":{"text":"uno"},"edited":${*},"reactions":{"👍":{"count":1}}},{"seq":2,"time":${*},"from":{"id":"${ada}","name":"ada"},"body":{"text":"two"}},{"seq":3,"time":${*},"from":{"id":"${ada}","name":"ada"},"amends":1,"kind":"edit","body":{"text":"uno"}},{"seq":4,"time":${*},"from":{"id":"${bob}","name":"bob"},"amends":1,"kind":"react","emoji":"👍","remove":false}],"more":false}

# who comes back is shown the same, and what was changed meanwhile
c > {"op":"join","id":1,"room":"ROOM","name":"bob","token":"$bobs","epoch":"$epoch","after":0}
c < {"op":"joined","id":1,"seq":4,"recovered":true}
c <+ {"op":"messages","items":[{"seq":1,"body":{"text":"uno"},"reactions":{"👍":{"count":1,"you":true}}},{"seq":2},{"seq":3},{"seq":4}]}
d > {"op":"join","id":1,"room":"ROOM","name":"dan","epoch":"$epoch","after":0}
d < {"op":"joined","id":1,"seq":4,"recovered":true}
d <+ {"op":"messages","items":[{"seq":1,"body":{"text":"uno"},"reactions":{"👍":{"count":1}}},{"seq":2},{"seq":3},{"seq":4}]}
c >x 1000
d >x 1000

# what was deleted is gone for everyone who reads it later
a > {"op":"delete","id":5,"room":"ROOM","seq":1}
a <~ {"op":"posted","id":5,"seq":5,"duplicate":false}
a <~ {"op":"messages","items":[{"seq":5,"amends":1,"kind":"delete"}]}
b < {"op":"messages","items":[{"seq":5,"amends":1,"kind":"delete"}]}
e > {"op":"join","id":1,"room":"ROOM","name":"bob","token":"$bobs","epoch":"$epoch","after":0}
e < {"op":"joined","id":1,"seq":5,"recovered":true}
e = {"op":"messages","room":"ROOM","items":[{"seq":1,"time":${*},"from":{"id":"${ada}","name":"ada"},"deleted":true},{"seq":2,"time":${*},"from":{"id":"${ada}","name":"ada"},"body":{"text":"two"}},{"seq":3,"time":${*},"from":{"id":"${ada}","name":"ada"},"amends":1,"kind":"edit"},{"seq":4,"time":${*},"from":{"id":"${bob}","name":"bob"},"amends":1,"kind":"react","emoji":"👍","remove":false},{"seq":5,"time":${*},"from":{"id":"${ada}","name":"ada"},"amends":1,"kind":"delete"}]}
e > {"op":"history","id":2,"room":"ROOM","limit":100}
e < {"op":"history","id":2,"items":[{"seq":1,"deleted":true},{"seq":2},{"seq":3},{"seq":4},{"seq":5}]}

# what cannot be changed says why
b > {"op":"delete","id":6,"room":"ROOM","seq":2}
b < {"op":"error","id":6,"code":"forbidden"}
b > {"op":"edit","id":7,"room":"ROOM","seq":2,"body":{"text":"mine"}}
b < {"op":"error","id":7,"code":"forbidden"}
a > {"op":"delete","id":8,"room":"ROOM","seq":1}
a < {"op":"error","id":8,"code":"not_found"}
a > {"op":"edit","id":9,"room":"ROOM","seq":3,"body":{}}
a < {"op":"error","id":9,"code":"not_found"}
a > {"op":"react","id":10,"room":"ROOM","seq":99,"emoji":"👍"}
a < {"op":"error","id":10,"code":"not_found"}
a > {"op":"react","id":11,"room":"ROOM","seq":2,"emoji":"yes"}
a < {"op":"error","id":11,"code":"bad_request","message":"emoji is one emoji"}
a > {"op":"react","id":12,"room":"ROOM","seq":2}
a < {"op":"error","id":12,"code":"bad_request","message":"emoji is missing"}
a > {"op":"edit","id":13,"room":"ROOM","seq":2}
a < {"op":"error","id":13,"code":"bad_request","message":"body is missing"}
a > {"op":"delete","id":14,"room":"ROOM","seq":0}
a < {"op":"error","id":14,"code":"bad_request","message":"seq is that of a message, from 1"}
a > {"op":"delete","id":15,"room":"elsewhere","seq":1}
a < {"op":"error","id":15,"code":"not_joined"}
"#;

pub(crate) async fn speaks(world: &World) -> Result<()> {
    let path = |_: &str| "/chat";
    world.play("native", TABLE, "table", path).await?;
    world.play("native, edges", EDGES, "edges", path).await?;
    world.play("native, amendments", AMENDED, "amended", path).await
}

#[tokio::test]
async fn native_is_spoken_to_the_letter() {
    speaks(&World::memory(SPEC).await).await.unwrap();
}
