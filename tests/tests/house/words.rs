//! Idioms that make a reader stop and read again, each with what to write instead. Looks at comments, texts and
//! documents; an identifier is one word here, so names of tests and functions are not its business.

use std::{collections::BTreeSet, fs, sync::LazyLock};

use regex::Regex;

use super::source::{files, relative, root};

/// An idiom: the name in findings, what to write instead, and how to find it.
struct Idiom {
    name: &'static str,
    instead: &'static str,
    pattern: &'static str,
}

const IDIOMS: [Idiom; 18] = [
    Idiom {
        name: "a second",
        instead: "per second",
        pattern: r"(?i)\b(?:once|twice|times|messages|deliveries|posts|turns|walks|writes|handshakes|reads|frames|connections|requests|[0-9][0-9,.]*[kM]?|twenty|hundred|thousand|million) an? (?:second|minute|hour|day)\b",
    },
    Idiom {
        name: "a second at most",
        instead: "at most once per second",
        pattern: r"(?i)\ban? (?:second|minute|hour|partition|connection|room|reader|gateway|member) at (?:most|least)\b",
    },
    Idiom {
        name: "a connection",
        instead: "per connection",
        pattern: r"(?i)\b(?:one|actor|actors|cursor|task|channel|session|encoding|copy|stream|bytes|KB|CPU|timer|reader) an? (?:partition|member|connection|protocol|room|reactor|reader|slot|purpose)\b",
    },
    Idiom {
        name: "is told",
        instead: "receives, learns, or say who sends it",
        pattern: r"(?i)\b(?:is|are|was|were|be|been|being) (?:not |also |then |never |only )?told\b(?: (?:a|again|all|an|as|by|how|in|it|its|no|of|once|so|that|the|they|what|when|where|who)\b|[.,;:)])",
    },
    Idiom {
        name: "no more",
        instead: "no longer",
        pattern: r"(?i)\bany more\b[.,;:)]|\b(?:asked for|held|knows it|leads|reads it|script) no more\b",
    },
    Idiom { name: "goes on", instead: "continues", pattern: r"(?i)\b(?:goes|go|went|going) on\b" },
    Idiom { name: "stands", instead: "is", pattern: r"(?i)\bstands?\b(?:[^ -]| [^f])" },
    Idiom { name: "owed", instead: "is due, or say what is sent", pattern: r"(?i)\b(?:is|are|was|were|be) owed\b" },
    Idiom { name: "anew", instead: "again", pattern: r"(?i)\banew\b" },
    Idiom { name: "to be had", instead: "unavailable, or say what failed", pattern: r"(?i)\bto be had\b" },
    Idiom { name: "whoever", instead: "name the subject", pattern: r"(?i:\bwhoever\b)|[.;] Who [^?.;]*[.;]" },
    Idiom { name: "life of the data", instead: "data set", pattern: r"(?i)\bli(?:fe|ves) of the data\b" },
    Idiom {
        name: "is away",
        instead: "is unavailable",
        pattern: r"(?i)\b(?:redis|bus|server|login|directory|webhook) (?:is|was|are|were) away\b",
    },
    Idiom {
        name: "of before",
        instead: "earlier",
        pattern: r"(?i)\b(?:those|what|position|counts|log|reactions|clients|releases?|messages?|posts?) of before\b",
    },
    Idiom {
        name: "serves on",
        instead: "continues to serve",
        pattern: r"(?i)\b(?:serves?|reads?|writes?) on(?:[.,;)]| while\b)",
    },
    Idiom { name: "edited over", instead: "replaced", pattern: r"(?i)\bedited over\b" },
    Idiom {
        name: "as may be",
        instead: "as there can be, or name the bound",
        pattern: r"(?i)\bas (?:many|much|few|far|soon)(?: \w+){0,6} as may be\b",
    },
    Idiom { name: "or alike", instead: "or similar", pattern: r"(?i)\bor alike\b" },
];

/// The list itself names every idiom.
const SELF: &str = "tests/tests/house/words.rs";

/// `file: idiom, write …` for each idiom that a file uses.
pub(crate) fn findings() -> Vec<String> {
    let mut found = BTreeSet::new();
    for file in files(&root(), &["md", "rs", "lua", "js", "yaml", "sh", "html", "tpl"]) {
        let path = relative(&file);
        if path == SELF {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        found.extend(
            in_text(&text).into_iter().map(|idiom| format!("{path}: \"{}\", write: {}", idiom.name, idiom.instead)),
        );
    }
    found.into_iter().collect()
}

fn in_text(text: &str) -> Vec<&'static Idiom> {
    static PATTERNS: LazyLock<Vec<Regex>> =
        LazyLock::new(|| IDIOMS.iter().map(|idiom| Regex::new(idiom.pattern).unwrap()).collect());
    let text = unwrapped(text);
    IDIOMS.iter().zip(PATTERNS.iter()).filter(|(_, pattern)| pattern.is_match(&text)).map(|(idiom, _)| idiom).collect()
}

/// Joins the lines of a paragraph, so that a wrapped idiom is found too.
fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['/', '!', '#', '*', '-']).trim_start();
        out.push_str(if line.is_empty() { "\n" } else { line });
        out.push(' ');
    }
    out
}

#[test]
fn an_idiom_is_found_across_lines_of_a_comment_and_not_in_an_identifier() {
    let names = |text: &str| in_text(text).into_iter().map(|idiom| idiom.name).collect::<Vec<_>>();
    assert_eq!(names("/// at most 20 messages\n/// a second"), ["a second"]);
    assert_eq!(names("fn the_room_goes_on() {}"), Vec::<&str>::new());
    assert_eq!(names("It waits half a second for a second copy."), Vec::<&str>::new());
    assert_eq!(names("Closed. Who comes late gets nothing."), ["whoever"]);
    assert_eq!(names("Closed. Who comes late?"), Vec::<&str>::new());
}
