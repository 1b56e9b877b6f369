//! The shape of the workspace, kept by a test.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::repository;

/// Dependencies of each Anabranch crate on other Anabranch crates; tests may use the harness and
/// the stores besides.
fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "anabranch-shared" | "anabranch-infra" => &[],
        "anabranch-stores" => &["anabranch-shared"],
        "anabranch-speed" => &["anabranch-shared"],
        "anabranch-batch" | "anabranch-serving" => &["anabranch-shared"],
        "anabranch" => {
            &["anabranch-shared", "anabranch-stores", "anabranch-batch", "anabranch-speed", "anabranch-serving"]
        }
        "anabranch-bench" => &["anabranch-shared", "anabranch-stores", "anabranch-batch", "anabranch-speed"],
        other => panic!("say in tidy.rs what {other} may depend on"),
    }
}

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
    assert_eq!(found.len(), 8, "{found:?}");
    for (package, edges) in &found {
        let allowed: BTreeSet<String> = allowed(package).iter().map(|name| (*name).to_owned()).collect();
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
fn shared_is_pure() {
    let mut files = Vec::new();
    sources(&repository().join("shared/src"), &mut files);
    assert!(files.len() > 20);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["std::fs", "std::net", "tokio::", "SystemTime", "Instant::now", "Utc::now", "rand::"] {
            assert!(!text.contains(word), "{}: {word} has no place in the shared crate", file.display());
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
