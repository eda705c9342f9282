//! RFC 6455 and RFC 7692 as tables, over real sockets to a protocol that echoes. Cases are numbered as in the field's
//! conformance suite: 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 sizes,
//! 10 splitting, 12 and 13 compression. Nothing here shares code with the codec that is tested.

mod closing;
mod compression;
mod data;
mod framing;
mod wire;

use futures::StreamExt;
use parlor_tests::gateway::{Gateway, Setup};

use self::wire::{Case, Wire};

const SPEC: &str = "
protocols: {native: {}}
replicas: 1
redis: {memory: {}}
limits: {messagesPerSecond: 1000000}
";

/// Cases that are played at the same time. More of the largest messages than that would be over what a reactor holds.
const AT_ONCE: usize = 4;

/// Plays every case; tells all that failed.
async fn play(cases: Vec<Case>, least: usize) {
    assert!(cases.len() >= least, "{} cases", cases.len());
    let gateway = Gateway::start(&Setup::spec(SPEC).with_echo().await.unwrap()).await.unwrap();
    let address = gateway.address("shared").unwrap();
    let played = futures::stream::iter(cases).map(|case| async move {
        let outcome = Wire::play(address, &case).await;
        outcome.err().map(|error| format!("{} {}: {error:#}", case.id, case.what))
    });
    let failed: Vec<String> = played.buffer_unordered(AT_ONCE).filter_map(|failed| async { failed }).collect().await;
    assert!(failed.is_empty(), "{} failed:\n{}\n{}", failed.len(), failed.join("\n"), gateway.log());
}

#[tokio::test]
async fn messages_of_any_kind_and_length_come_back_whole() {
    play(framing::frames(), 25).await;
}

#[tokio::test]
async fn pings_are_answered_in_order_and_pongs_are_ignored() {
    play(framing::pings(), 11).await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes_fail_the_connection_after_what_came_before() {
    play([framing::reserved_bits(), framing::opcodes()].concat(), 40).await;
}

#[tokio::test]
async fn fragments_make_one_message_and_control_frames_come_between_them() {
    play(framing::fragments(), 20).await;
}

#[tokio::test]
async fn text_is_utf8_wherever_it_is_cut() {
    play(data::utf8(), 100).await;
}

#[tokio::test]
async fn a_close_is_answered_with_its_code_or_fails_the_connection() {
    play(closing::cases(), 50).await;
}

#[tokio::test]
async fn messages_up_to_the_limit_come_back_however_they_are_split() {
    play(data::sizes(), 40).await;
}

#[tokio::test]
async fn compressed_messages_come_back_with_every_offer_that_is_agreed_to() {
    play(compression::cases(), 60).await;
}
