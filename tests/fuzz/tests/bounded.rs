//! The corpus, and mutations of it, in every test run. `FUZZ_SEED` and `FUZZ_RUNS` repeat or prolong a run; an input that
//! fails is written down, to be reduced and kept in the corpus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use parlor_fuzz::{TARGETS, Target, mutate::mutate, target};
use rand::{SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// Mutations a target: a few seconds in a debug build.
const RUNS: u64 = 1500;

fn corpus(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}: {}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn bounded(name: &str) {
    let target = target(name).unwrap();
    let seeds = corpus(target);
    for (path, data) in &seeds {
        println!("{}", path.display());
        (target.run)(data);
    }
    let seed = number("FUZZ_SEED").unwrap_or_else(rand::random);
    println!("FUZZ_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, data)| data).collect();
    for run in 0..number("FUZZ_RUNS").unwrap_or(RUNS) {
        let data = mutate(seeds.choose(&mut random).unwrap(), &seeds, &mut random);
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
            let failed = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}-{run}"));
            fs::write(&failed, &data).unwrap();
            panic!("run {run} of FUZZ_SEED={seed} fails; its input is {}", failed.display());
        }
    }
}

/// One test a target, named after what holds.
macro_rules! targets {
    ($($name:literal $test:ident)*) => {
        const TESTED: [&str; TARGETS.len()] = [$($name),*];

        $(
            #[test]
            fn $test() {
                bounded($name);
            }
        )*
    };
}

targets! {
    "frames" any_bytes_are_the_same_messages_however_they_are_cut
    "native" native_connections_outlive_any_frames
    "onlyone" onlyone_connections_outlive_any_frames
    "relay" relay_connections_outlive_any_frames
    "match" match_connections_outlive_any_frames
    "multiperson" multiperson_connections_outlive_any_frames
    "token" no_token_passes_that_was_not_signed
    "jwt" no_token_from_outside_passes_unsigned_or_names_somebody_who_cannot_be_shown
    "jwks" no_text_of_keys_checks_a_mac
    "handshake" no_handshake_passes_by_another_spelling
    "proxy" any_introduction_is_refused_or_read_alike_however_it_comes
    "head" what_is_read_without_a_server_reads_as_one_would_read_it
    "endpoints" any_http_request_is_answered_and_the_next_one_too
    "api" any_request_to_the_server_api_is_answered_and_the_next_one_too
    "entry" any_stored_entry_is_refused_or_shown_to_every_reader
    "stream" any_stretch_of_a_stream_is_refused_or_read_in_bounds
    "script" any_answer_of_a_script_is_refused_or_what_a_script_says
    "signal" any_signal_is_skipped_or_shown_to_every_reader
    "topology" any_table_of_nodes_is_read_as_the_operator_reads_it
    "answer" any_answer_of_a_redis_server_is_refused_or_was_sent
    "nodes" any_table_of_nodes_is_refused_or_read_as_a_whole
    "plan" any_cluster_is_left_what_it_serves
    "fleet" any_report_leaves_those_with_people_where_they_are
    "manifest" any_manifest_is_refused_by_field_or_stays_accepted
    "webhook" any_answer_of_a_webhook_is_refused_or_means_something
    "words" any_list_of_words_is_looked_for_in_any_case
    "action" any_stored_action_is_skipped_or_read
}

#[test]
fn every_target_is_tested_and_has_a_small_corpus() {
    for (target, tested) in TARGETS.iter().zip(TESTED) {
        assert_eq!(target.name, tested);
        let bytes: usize = corpus(*target).iter().map(|(_, data)| data.len()).sum();
        assert!((1..64 * 1024).contains(&bytes), "{bytes} bytes for {}", target.name);
    }
}
