//! Rules about the repository itself: who imports whom, which dependencies are used, and how sentences are written.
//!
//! Each check returns findings as lines, and none is allowed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;
mod dependencies;
mod documents;
mod imports;
mod order;
mod sizes;
mod source;
mod uses;
mod words;

use source::Crate;

const NONE: Vec<String> = Vec::new();

#[test]
fn crates_depend_on_each_other_in_the_documented_order_only() {
    assert_eq!(order::between_crates(), NONE);
}

#[test]
fn folders_of_the_gateway_import_downwards_only() {
    let gateway = Crate::read("gateway", "parlor_gateway");
    assert_eq!(order::within_gateway(&imports::of(&gateway)), NONE);
}

#[test]
fn the_bus_and_the_fan_out_name_no_protocol() {
    assert_eq!(order::named_protocols(&Crate::read("gateway", "parlor_gateway")), NONE);
}

#[test]
fn no_files_of_a_folder_import_each_other_in_a_circle() {
    let crates = [
        ("crds", "parlor_crds"),
        ("crds/redis", "parlor_redis"),
        ("gateway", "parlor_gateway"),
        ("operator", "parlor_operator"),
    ];
    let mut found = Vec::new();
    for (folder, name) in crates {
        for circle in circles::find(&imports::of(&Crate::read(folder, name))) {
            println!("a circle:\n  {}", circle.join("\n  "));
            found.extend(circle);
        }
    }
    assert_eq!(found, NONE);
}

#[test]
fn every_declared_dependency_is_named_in_the_code() {
    assert_eq!(dependencies::unused(), NONE);
}

#[test]
fn sentences_keep_clear_of_the_idioms_that_readers_stumble_over() {
    assert_eq!(words::findings(), NONE);
}

#[test]
fn files_begin_alike() {
    assert_eq!(uses::findings(), NONE);
}

#[test]
fn no_file_is_longer_than_one_concept_needs() {
    assert_eq!(sizes::findings(), NONE);
}

#[test]
fn links_in_documents_lead_somewhere() {
    assert_eq!(documents::broken_links(), NONE);
}

#[test]
fn commands_in_documents_say_which_program_they_run() {
    assert_eq!(documents::ambiguous_commands(), NONE);
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    assert_eq!(documents::missing_tests(), NONE);
}
