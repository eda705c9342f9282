//! Circles of imports: groups of files of which each leads to every other.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Arrow;

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Every circle, its files in order.
pub(crate) fn find(arrows: &BTreeSet<Arrow>) -> BTreeSet<Vec<String>> {
    let mut graph: Graph<'_> = BTreeMap::new();
    for Arrow { from, to } in arrows {
        graph.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|file| (*file, reachable(&graph, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, onward) in &reached {
        let circle: Vec<&str> =
            onward.iter().copied().filter(|other| reached.get(other).is_some_and(|back| back.contains(file))).collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().map(str::to_owned).collect());
        }
    }
    circles
}

fn reachable<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = ahead.pop() {
        if seen.insert(file) {
            ahead.extend(graph.get(file).into_iter().flatten());
        }
    }
    seen
}

#[test]
fn a_circle_through_three_files_is_found_and_a_chain_is_not() {
    let arrow = |from: &str, to: &str| Arrow { from: from.into(), to: to.into() };
    let chain = BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("a", "c")]);
    assert!(find(&chain).is_empty());
    let circle = BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d")]);
    assert_eq!(find(&circle).into_iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
}
