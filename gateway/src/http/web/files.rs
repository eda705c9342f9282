//! The page's files as they lie in the binary.

/// A file, and what it is.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) media: &'static str,
    pub(super) content: &'static [u8],
}

pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $media:expr) => {
        File { name: $name, media: $media, content: include_bytes!(concat!("../../../web/", $name)) }
    };
}

macro_rules! document {
    ($name:literal) => {
        File { name: $name, media: TEXT, content: include_bytes!(concat!("../../../../docs/", $name)) }
    };
}

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../web/", $name)))),*]
    };
}

pub(super) const INDEX: File = file!("index.html", HTML);
pub(super) const CONSOLE: File = file!("console.html", HTML);

/// The client that other sites may import too, and its types, for editors and for runtimes that read TypeScript.
pub(super) const CLIENT: File = file!("parlor.js", JAVASCRIPT);
pub(super) const CLIENT_TYPES: File = file!("parlor.d.ts", "application/typescript; charset=utf-8");

/// Style sheets, which pages refer to by name and get by hash.
pub(super) const STYLES: [File; 2] = [file!("page.css", CSS), file!("console.css", CSS)];

/// What the console refers to: how its protocols work.
pub(super) const DOCUMENTS: [File; 2] = [document!("protocol.md"), document!("clients.md")];

/// Served under their own names, which have to stay.
pub(super) const NAMED: [File; 5] = [
    file!("icon.svg", SVG),
    file!("icon-unread.svg", SVG),
    file!("icon-192.png", "image/png"),
    file!("icon-512.png", "image/png"),
    file!("manifest.json", "application/manifest+json"),
];

/// The modules whose bundles the pages run.
pub(super) const ENTRIES: [&str; 2] = ["main.js", "console.js"];

/// Every module of the page and the console.
pub(super) const MODULES: [(&str, &str); 44] = modules![
    "actions.js",
    "address.js",
    "announce.js",
    "app.js",
    "attention.js",
    "audit.js",
    "choices.js",
    "composer.js",
    "connection-status.js",
    "console.js",
    "dialects.js",
    "dom.js",
    "drawer.js",
    "feed.js",
    "frames.js",
    "joined-room.js",
    "keeper.js",
    "lang-en.js",
    "lang-zh.js",
    "language.js",
    "links.js",
    "log.js",
    "main.js",
    "menu.js",
    "names.js",
    "openid.js",
    "pane.js",
    "parlor.js",
    "people.js",
    "preferences.js",
    "redraw.js",
    "relay-wire.js",
    "room-list.js",
    "row.js",
    "settings.js",
    "sides.js",
    "standing-line.js",
    "standing.js",
    "store.js",
    "suggestions.js",
    "tabs.js",
    "text.js",
    "typing-line.js",
    "view.js",
];
