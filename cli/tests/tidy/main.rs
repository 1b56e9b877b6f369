//! The shape of the workspace, kept by a test.

mod circles;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::repository;

/// Dependencies of each Anabranch crate on other Anabranch crates: a ladder, and the layers on it side by side. Tests may use
/// the harness and the stores besides.
fn allowed(name: &str) -> BTreeSet<&'static str> {
    const LADDER: [&str; 3] = ["anabranch-algebra", "anabranch-model", "anabranch-view"];
    let below = |rungs: usize, more: &[&'static str]| LADDER[..rungs].iter().chain(more).copied().collect();
    match name {
        "anabranch-algebra" | "anabranch-infra" => below(0, &[]),
        "anabranch-model" => below(1, &[]),
        "anabranch-view" => below(2, &[]),
        // What is stored is bytes: the stores know nothing of SQL.
        "anabranch-stores" => below(2, &[]),
        "anabranch-speed" | "anabranch-batch" | "anabranch-serving" => below(3, &[]),
        "anabranch" => below(3, &["anabranch-stores", "anabranch-batch", "anabranch-speed", "anabranch-serving"]),
        "anabranch-bench" => below(3, &["anabranch-stores", "anabranch-batch", "anabranch-speed"]),
        other => panic!("say in tidy.rs what {other} may depend on"),
    }
}

/// What must stay out of the crates below `shared` that compute, besides I/O and clocks.
const NO_SQL_ENGINE: [&str; 2] = ["shared/algebra", "shared/model"];

#[test]
fn layers_depend_on_shared_and_never_on_each_other() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let edges = found.entry(package["name"].as_str().unwrap().to_owned()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let test_only = dependency["kind"] == "dev" && ["anabranch-stores", "anabranch-infra"].contains(&name);
            if name.starts_with("anabranch") && !test_only {
                edges.insert(name.to_owned());
            }
        }
    }
    assert_eq!(found.len(), 10, "{found:?}");
    for (package, edges) in &found {
        let allowed: BTreeSet<String> = allowed(package).into_iter().map(str::to_owned).collect();
        assert!(edges.is_subset(&allowed), "{package} depends on {:?}", edges.difference(&allowed).collect::<Vec<_>>());
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_decides_a_value_is_pure() {
    for folder in ["shared/algebra", "shared/model", "shared/view"] {
        let mut files = Vec::new();
        sources(&repository().join(folder).join("src"), &mut files);
        assert!(files.len() > 20);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for word in ["std::fs", "std::net", "tokio::", "SystemTime", "Instant::now", "Utc::now", "rand::"] {
                assert!(!text.contains(word), "{}: {word} has no place in {folder}", file.display());
            }
            let knows_sql = text.contains("datafusion::") && NO_SQL_ENGINE.contains(&folder);
            assert!(!knows_sql, "{}: a SQL engine has no place in {folder}", file.display());
        }
    }
}

#[test]
fn files_are_one_noun_each() {
    let root = repository();
    for folder in ["shared", "batch", "speed", "serving", "cli", "infra", "bench"] {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        for file in files {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 700, "{} has {lines} lines", file.display());
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let vague = ["utils", "util", "common", "helpers", "helper", "manager", "misc"].contains(&stem.as_str());
            assert!(!vague && !stem.ends_with("_v2"), "{}: a name that says nothing", file.display());
        }
    }
}

/// Files that import each other in a circle can only be read together. What has some today may only come to have fewer.
#[test]
fn files_do_not_import_each_other_in_circles() {
    let known = [("shared/stores", 6), ("batch", 5), ("serving", 15), ("cli", 6)];
    for folder in [
        "shared/algebra",
        "shared/model",
        "shared/view",
        "shared/stores",
        "batch",
        "speed",
        "serving",
        "cli",
        "infra",
        "bench",
    ] {
        let found = circles::circles(&repository().join(folder).join("src"));
        let allowed = known.iter().find(|(known, _)| *known == folder).map_or(0, |(_, files)| *files);
        assert!(found.len() <= allowed, "{folder}: {found:?} import each other in circles");
        assert!(found.len() == allowed, "{folder}: only {} files do now, say so here: {found:?}", found.len());
    }
}

/// A `lib.rs` or `mod.rs` of the crates that decide values is a page of docs and names.
#[test]
fn faces_define_nothing() {
    const DEFINITIONS: [&str; 7] = ["fn ", "struct ", "enum ", "impl", "trait ", "const ", "type "];
    for folder in ["shared/algebra", "shared/model", "shared/view"] {
        let mut files = Vec::new();
        sources(&repository().join(folder).join("src"), &mut files);
        for file in files.into_iter().filter(|file| file.ends_with("lib.rs") || file.ends_with("mod.rs")) {
            let text = fs::read_to_string(&file).unwrap();
            let bare = |line: &str| line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").to_owned();
            let defined = text.lines().map(bare).find(|line| DEFINITIONS.iter().any(|word| line.starts_with(word)));
            assert_eq!(defined, None, "{}: a face defines nothing; give it a file", file.display());
            assert!(text.lines().count() <= 80, "{}: a face is one page", file.display());
        }
    }
}
