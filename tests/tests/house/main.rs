//! Rules about the repository itself: who imports whom, which dependencies are used, and how sentences are written.
//!
//! Each check returns findings as lines. [`allowed`] compares them with a list that may only shrink.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allowed;
mod circles;
mod dependencies;
mod documents;
mod imports;
mod order;
mod sizes;
mod source;
mod words;

use source::Crate;

#[test]
fn crates_depend_on_each_other_in_the_documented_order_only() {
    assert_eq!(order::between_crates(), Vec::<String>::new());
}

#[test]
fn folders_of_the_gateway_import_downwards_only() {
    let gateway = Crate::read("gateway", "parlor_gateway");
    allowed::check("order", &order::within_gateway(&imports::of(&gateway)));
}

#[test]
fn the_bus_and_the_fan_out_name_no_protocol() {
    allowed::check("protocols", &order::named_protocols(&Crate::read("gateway", "parlor_gateway")));
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
    allowed::check("circles", &found);
}

#[test]
fn every_declared_dependency_is_named_in_the_code() {
    allowed::check("dependencies", &dependencies::unused());
}

#[test]
fn sentences_keep_clear_of_the_idioms_that_readers_stumble_over() {
    allowed::check("words", &words::findings());
}

#[test]
fn no_file_is_longer_than_one_concept_needs() {
    assert_eq!(sizes::findings(), Vec::<String>::new());
}

#[test]
fn links_in_documents_lead_somewhere() {
    assert_eq!(documents::broken_links(), Vec::<String>::new());
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    assert_eq!(documents::missing_tests(), Vec::<String>::new());
}
