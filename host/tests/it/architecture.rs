//! The rules of the tree: arrows between rooms, lengths of files, a doc on each module, no service by name.

use std::path::{Path, PathBuf};

use crate::support::root;

/// Which room may name which others; `app` and `main` may name all, leaves only themselves.
const ARROWS: &[(&str, &[&str])] = &[
    ("admin", &["config", "events", "feed", "listener", "names", "registry"]),
    ("gateway", &["bindings", "config", "dispatch", "fault", "identity", "listener", "names", "registry"]),
    ("dispatch", &["bindings", "config", "fault", "feed", "names", "registry", "runtime"]),
    (
        "registry",
        &[
            "bindings",
            "cache",
            "capabilities",
            "config",
            "db",
            "fault",
            "feed",
            "identity",
            "names",
            "runtime",
            "tasks",
        ],
    ),
    ("runtime", &["bindings", "cache", "capabilities", "config", "db", "fault", "identity", "names"]),
    ("capabilities", &["bindings", "cache", "db", "identity", "names"]),
    ("events", &["config", "db", "feed", "names"]),
    ("identity", &["db"]),
    ("tasks", &["db", "names"]),
    ("cache", &["config", "names"]),
    ("config", &["names"]),
    ("fault", &["names"]),
    // Only for the fuzz targets and their tests; nobody names it.
    ("fuzzing", &["bindings", "config", "db", "dispatch", "fault", "gateway", "identity", "registry", "runtime"]),
    ("bindings", &["capabilities"]),
    ("cli", &["names"]),
    ("db", &[]),
    ("feed", &[]),
    ("listener", &[]),
    ("names", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
];

/// Lines of production code that a file may have.
const MAX_LINES: usize = 400;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

fn room(file: &Path) -> String {
    let inner = file.strip_prefix(root().join("host/src")).expect("a file of the host");
    let first = inner.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    for file in sources(&root().join("host/src")) {
        let room = room(&file);
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            assert!(["app", "lib", "main"].contains(&room.as_str()), "room {room} has no arrows here");
            continue;
        };
        let text = std::fs::read_to_string(&file).expect("a text");
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let named: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let fits = named == room || allowed.contains(&named.as_str());
            assert!(fits, "{} names {named}, which {room} may not", file.display());
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut files = sources(&root().join("host/src"));
    for package in ["sdk", "auth", "products", "inventory", "orders"] {
        files.extend(sources(&root().join("components").join(package).join("src")));
    }
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        assert!(text.starts_with("//! "), "{} does not say what it is for", file.display());
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.display());
    }
}

#[test]
fn the_host_names_no_service_of_the_domain() {
    for file in sources(&root().join("host/src")) {
        let text = std::fs::read_to_string(&file).expect("a text");
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = file.file_name().is_some_and(|name| name == "tests.rs");
        for line in production.lines().filter(|line| !is_test && !line.trim_start().starts_with("//")) {
            for name in ["products", "inventory", "orders", "warehouse", "supplier", "catalog"] {
                assert!(!line.contains(name), "{} names {name}: {line}", file.display());
            }
        }
    }
}
