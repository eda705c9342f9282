//! How entries look to either dialect.

use super::super::{
    encoding::{Block, Broadcast},
    frame::NOTICE,
};
use crate::{
    directory::{self, people::message_id},
    fanout::encoding::{ChunkWriter, Encoding},
    protocols::script::{UNIX, entry, frames, name, person, texts},
    rooms::ProtocolId,
};

#[test]
fn a_notice_is_shown_to_nobody() {
    let host = person("m1", "Parlor");
    let run = [entry(1, &host, ProtocolId::MultiPerson, r#"{"text":""}"#, Some(NOTICE))];
    let mut out = ChunkWriter::default();
    Block.entries(&directory::people::inbox(2), None, &run, &mut out);
    let chunk = out.seal(None);
    assert!(chunk.notice && chunk.bytes.is_empty());
}

#[test]
fn a_stored_frame_that_is_no_json_is_shown_by_its_text() {
    for stored in [&b"A\xff"[..], b"C\xff", b"A{", b"C{"] {
        let run = [entry(1, &person("m7", "bob"), ProtocolId::MultiPerson, r#"{"text":"x"}"#, Some(stored))];
        for shown in [frames(&Broadcast, "0", None, &run), frames(&Block, "0", None, &run)] {
            assert!(texts(shown)[0].contains(r#""message":"x""#));
        }
    }
}

#[test]
fn entries_look_as_each_dialect_writes_them() {
    let (ada, bob) = (person("u1", "ada"), person("m7", "bob"));
    let a = r#"{"user_id":7,"type":"USER","message":"x"}"#;
    let c = r#"{"type":"MESSAGE","message_id":"-2","from_user_id":"7","message":"x"}"#;
    let run = [
        entry(1, &bob, ProtocolId::MultiPerson, r#"{"text":"x"}"#, Some(format!("A{a}").as_bytes())),
        entry(2, &bob, ProtocolId::MultiPerson, r#"{"text":"y"}"#, Some(format!("C{c}").as_bytes())),
        entry(3, &ada, ProtocolId::Native, r#"{"text":"z"}"#, None),
    ];
    let user = |name: &str, id: &str, text: &str| {
        format!(r#"{{"user_name":"{name}","user_id":"{id}","type":"USER","message":"{text}"}}"#)
    };
    assert_eq!(
        texts(frames(&Broadcast, "0", None, &run)),
        [a.to_owned(), user("bob", "m7", "y"), user("ada", "u1", "z")]
    );
    let id = |seq: u64| format!("{:016}", message_id::in_block(5, UNIX + seq, seq));
    let block = |from: &str, name: &str, seq: u64, text: &str| {
        format!(
            r#"{{"type":"MESSAGE","from_user_id":"{from}","user_name":"{name}","message_id":"{}","message":"{text}","chat_type":"BLOCK","send_time":{},"block_id":"5"}}"#,
            id(seq),
            UNIX + seq
        )
    };
    assert_eq!(
        texts(frames(&Block, "5", None, &run)),
        [block("m7", "bob", 1, "x"), c.replace("-2", &id(2)), block("u1", "ada", 3, "z")]
    );
    let mut inbox = ChunkWriter::default();
    Block.entries(&directory::people::inbox(2), None, &run[1..2], &mut inbox);
    assert!(inbox.seal(None).bytes.ends_with(c.as_bytes()), "what comes to a person has its id");
    let mut out = ChunkWriter::default();
    Block.entries(&name("5"), None, &run, &mut out);
    let chunk = out.seal(None);
    assert_eq!(chunk.hidden.iter().map(|hidden| hidden.from.connection).collect::<Vec<_>>(), [1, 2, 3]);
}
