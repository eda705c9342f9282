//! The match protocol: accounts, pairs, what is said in them, and coming back.

use anyhow::Result;

use crate::{SPEC, World};

const TABLE: &str = r#"
# a new account
a .
a > {"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}
a < {"cmd":"CRT_ACCOUNT_RESP","code":0,"nickName":"ada","accountId":"$ada","token":"$adas"}

# alone there is nobody to match
a > {"cmd":"MATCH_REQ","accountId":"$ada"}
a = {"cmd":"MATCH_RESP","code":4}

# keys in any case, as Go takes them; unknown ones are skipped; the answers' keys are in the original's order
b > {"CMD":"CRT_ACCOUNT_REQ","NICKNAME":"bob","colour":1}
b < {"cmd":"CRT_ACCOUNT_RESP","code":0,"nickName":"bob","accountId":"$bob","token":"$bobs"}
b > {"Cmd":"PING_REQ","AccountId":"$bob"}
b = {"cmd":"PING_RESP","accountId":${bob}}

# a pair over all gateways
b > {"cmd":"MATCH_REQ","accountId":"$bob"}
b < {"cmd":"MATCH_RESP","code":0,"partnerId":"$ada","partnerName":"ada","sessionId":"$s"}
a = {"cmd":"PUSH_SIGNAL_REQ","senderId":${bob},"sessionId":${s},"receiverId":${ada},"signalType":"NewSession","data":{"accountId":${bob},"nickName":"bob"}}

# what is said arrives verbatim, and is answered with the id it got, which grows
a > {"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":"$ada","sessionId":"$s","content":"hello <b>\n"}
a < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r1","msgId":"$m1"}
b = {"cmd":"PUSH_DIALOGUE_REQ","msgId":${m1},"senderId":${ada},"sessionId":${s},"content":"hello <b>\n"}
b > {"cmd":"PUSH_DIALOGUE_RESP","code":0}
b > {"cmd":"DIALOGUE_REQ","requestId":"","senderId":"$bob","sessionId":"$s","content":"hi"}
b < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"","msgId":"$m2>m1"}
a < {"cmd":"PUSH_DIALOGUE_REQ","msgId":"$m2","senderId":"$bob","sessionId":"$s","content":"hi"}

# read
a > {"cmd":"VIEWED_ACK_REQ","sessionId":"$s","accountId":"$ada","msgId":"$m2"}
a = {"cmd":"VIEWED_ACK_RESP","code":0}
b = {"cmd":"PUSH_VIEWED_ACK_REQ","sessionId":${s},"accountId":${ada},"msgId":${m2}}
b > {"cmd":"PUSH_VIEWED_ACK_RESP","code":0}

# an account that the connection does not hold, and a session that is none: code 2, and nobody hears of it
a > {"cmd":"DIALOGUE_REQ","requestId":"r2","senderId":"$bob","sessionId":"$s","content":"forged"}
a = {"cmd":"DIALOGUE_RESP","code":2,"requestId":"r2","msgId":0}
a > {"cmd":"DIALOGUE_REQ","requestId":"r3","senderId":"$ada","sessionId":9007199254740000,"content":"lost"}
a = {"cmd":"DIALOGUE_RESP","code":2,"requestId":"r3","msgId":0}
a > {"cmd":"VIEWED_ACK_REQ","sessionId":"$s","accountId":"$bob","msgId":1}
a = {"cmd":"VIEWED_ACK_RESP","code":2}
a > {"cmd":"VIEWED_ACK_REQ","sessionId":9007199254740000,"accountId":"$ada","msgId":1}
a = {"cmd":"VIEWED_ACK_RESP","code":2}
a > {"cmd":"MATCH_REQ","accountId":"$bob"}
a = {"cmd":"MATCH_RESP","code":2}

# a pair may be matched again; each session is one of its own
a > {"cmd":"MATCH_REQ","accountId":"$ada"}
a < {"cmd":"MATCH_RESP","code":0,"partnerId":"$bob","partnerName":"bob","sessionId":"$t"}
b < {"cmd":"PUSH_SIGNAL_REQ","senderId":"$ada","sessionId":"$t","receiverId":"$bob","signalType":"NewSession","data":{"accountId":"$ada","nickName":"ada"}}

# ignored: what is no command, wrong types, BINARY, and what only servers say
a > {{{
a > []
a > {"cmd":"FLY_REQ"}
a > {"cmd":7}
a > {"cmd":"PING_REQ","accountId":"7"}
a > {"cmd":"PING_REQ","accountId":-1}
a > {"cmd":"DIALOGUE_REQ","requestId":1,"senderId":"$ada","sessionId":"$s","content":"x"}
a > {"cmd":"DIALOGUE_REQ","requestId":"r4","senderId":"$ada","sessionId":"$s","content":null,"content":[]}
a > BINARY {"cmd":"PING_REQ","accountId":1}
a > {"cmd":"MATCH_RESP","code":0}
a .
# left out is zero, as in Go
a > {"cmd":"PING_REQ"}
a = {"cmd":"PING_RESP","accountId":0}

# gone for less than the grace: the partner sees nothing, the absent are not matched, and a returning client receives what was said
b > {"cmd":"PING_REQ","accountId":"$bob"}
b < {"cmd":"PING_RESP","accountId":"$bob"}
b >x
a ? {"cmd":"MATCH_REQ","accountId":"$ada"} => {"cmd":"MATCH_RESP","code":4}
"#;

const BACK: &str = r#"
a > {"cmd":"CRT_ACCOUNT_REQ","nickName":"ada"}
a < {"cmd":"CRT_ACCOUNT_RESP","code":0,"accountId":"$ada","token":"$adas"}
a ? {"cmd":"MATCH_REQ","accountId":"$ada"} => {"cmd":"MATCH_RESP","code":4}
b > {"cmd":"CRT_ACCOUNT_REQ","nickName":"bob"}
b < {"cmd":"CRT_ACCOUNT_RESP","code":0,"accountId":"$bob","token":"$bobs"}
b > {"cmd":"MATCH_REQ","accountId":"$bob"}
b < {"cmd":"MATCH_RESP","code":0,"partnerId":"$ada","sessionId":"$s"}
a < {"cmd":"PUSH_SIGNAL_REQ","signalType":"NewSession"}

# gone for less than the grace: the partner sees nothing, and a returning client receives what was said, on any gateway, but
# nothing that came before its goodbye
a > {"cmd":"DIALOGUE_REQ","requestId":"r0","senderId":"$ada","sessionId":"$s","content":"read before"}
a < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r0"}
b < {"cmd":"PUSH_DIALOGUE_REQ","content":"read before"}
b >x 1000
a > {"cmd":"DIALOGUE_REQ","requestId":"r1","senderId":"$ada","sessionId":"$s","content":"are you there"}
a < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r1","msgId":"$m1"}
c > {"cmd":"RECONNECT_REQ","accountId":"$bob","token":"of someone else"}
c = {"cmd":"RECONNECT_RESP","code":4}
c > {"cmd":"RECONNECT_REQ","accountId":"$bob","token":"$bobs"}
c = {"cmd":"RECONNECT_RESP","code":0}
c = {"cmd":"PUSH_DIALOGUE_REQ","msgId":${m1},"senderId":${ada},"sessionId":${s},"content":"are you there"}
c > {"cmd":"DIALOGUE_REQ","requestId":"r2","senderId":"$bob","sessionId":"$s","content":"again"}
c < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r2","msgId":"$m2>m1"}
a < {"cmd":"PUSH_DIALOGUE_REQ","msgId":"$m2","senderId":"$bob","sessionId":"$s","content":"again"}

# presenting the account takes it over while its connection lives; that one has lost it, and its end does nothing
d > {"cmd":"RECONNECT_REQ","accountId":"$bob","token":"$bobs"}
d < {"cmd":"RECONNECT_RESP","code":0}
c > {"cmd":"DIALOGUE_REQ","requestId":"r3","senderId":"$bob","sessionId":"$s","content":"from the old"}
c < {"cmd":"DIALOGUE_RESP","code":2,"requestId":"r3","msgId":0}
c >x
d > {"cmd":"DIALOGUE_REQ","requestId":"r4","senderId":"$bob","sessionId":"$s","content":"from the new"}
d <~ {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r4"}
a < {"cmd":"PUSH_DIALOGUE_REQ","senderId":"$bob","content":"from the new"}

# gone for longer: the partner is notified, once; a further message is answered as if it worked, and notified again
d >x
a = {"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":${s},"receiverId":${ada},"signalType":"PartnerExit","data":{"accountId":${bob}}}
a > {"cmd":"DIALOGUE_REQ","requestId":"r5","senderId":"$ada","sessionId":"$s","content":"gone"}
a < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r5","msgId":"*"}
a = {"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":${s},"receiverId":${ada},"signalType":"PartnerExit","data":{"accountId":${bob}}}

# who comes back after that has the account, not the session
b > {"cmd":"RECONNECT_REQ","accountId":"$bob","token":"$bobs"}
b = {"cmd":"RECONNECT_RESP","code":0}
b > {"cmd":"DIALOGUE_REQ","requestId":"r6","senderId":"$bob","sessionId":"$s","content":"hello"}
b < {"cmd":"DIALOGUE_RESP","code":0,"requestId":"r6"}
b < {"cmd":"PUSH_SIGNAL_REQ","senderId":0,"sessionId":"$s","receiverId":"$bob","signalType":"PartnerExit","data":{"accountId":"$ada"}}
b > {"cmd":"MATCH_REQ","accountId":"$bob"}
b < {"cmd":"MATCH_RESP","code":0,"partnerId":"$ada","sessionId":"$again"}
a < {"cmd":"PUSH_SIGNAL_REQ","sessionId":"$again","signalType":"NewSession"}
"#;

/// Accounts of one table are gone, or at least not to be matched, before the next begins.
const ALONE: &str = r#"
a > {"cmd":"CRT_ACCOUNT_REQ","nickName":"first"}
a < {"cmd":"CRT_ACCOUNT_RESP","code":0,"accountId":"$first"}
a ? {"cmd":"MATCH_REQ","accountId":"$first"} => {"cmd":"MATCH_RESP","code":4}
# two accounts on one connection, each with its pings
a > {"cmd":"CRT_ACCOUNT_REQ","nickName":""}
a < {"cmd":"CRT_ACCOUNT_RESP","code":0,"nickName":"","accountId":"$second"}
a < {"cmd":"PING_REQ","accountId":"$first"}
a < {"cmd":"PING_REQ","accountId":"$second"}
b > {"cmd":"CRT_ACCOUNT_REQ","nickName":"bob"}
b < {"cmd":"CRT_ACCOUNT_RESP","code":0}
# closing with a close frame leaves as well
b >x 1000
a >x 1000
"#;

pub(crate) async fn speaks(world: &World) -> Result<()> {
    let path = |_: &str| "/ws";
    world.play("match", TABLE, "", path).await?;
    world.play("match, alone", ALONE, "", path).await?;
    world.play("match, back", BACK, "", path).await
}

#[tokio::test]
async fn match_is_spoken_to_the_letter() {
    speaks(&World::memory(SPEC).await).await.unwrap();
}
