//! The pages of the documentation: their commands run, their projects are valid, their links lead
//! somewhere.
//!
//! A page that begins with `<!-- run -->` is run from top to bottom in a fresh folder. Of every other
//! page, the files are written and checked. How a page is written for that is in [`page`].

mod links;
mod output;
mod page;
mod run;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use page::{Page, Step};
use support::{output, repository};

/// Most lines of the README.
const README_LINES: usize = 180;

/// All Markdown files below `dir`, in order.
fn markdown(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let pages = |path: PathBuf| match path.is_dir() {
        true => markdown(&path),
        false => vec![path],
    };
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    entries.into_iter().flat_map(pages).filter(is_page).collect()
}

/// The README and everything below `docs`.
fn documentation() -> Vec<Page> {
    let root = repository();
    let paths = [root.join("README.md")].into_iter().chain(markdown(&root.join("docs")));
    paths.map(|path| Page::read(&path)).collect()
}

#[test]
fn the_commands_of_each_page_do_what_the_page_says() {
    let pages: Vec<Page> = documentation().into_iter().filter(|page| page.is_run).collect();
    let names: Vec<String> = pages.iter().map(Page::name).collect();
    for page in ["README.md", "tutorial.md", "replay-and-roll-back.md"] {
        assert!(names.iter().any(|name| name == page), "{page} has lost its mark: {names:?}");
    }
    let wrong: Vec<String> = pages.iter().flat_map(run::page).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The files of a page that is not run are a project together.
#[test]
fn the_projects_of_each_page_are_valid() {
    for page in documentation().iter().filter(|page| !page.is_run) {
        let files: Vec<&Step> = page.steps.iter().filter(|step| matches!(step, Step::File { .. })).collect();
        let dir = tempfile::tempdir().unwrap();
        for file in &files {
            file.write(dir.path());
        }
        if dir.path().join("anabranch.toml").exists() {
            let checked = output(&["check", "--project", dir.path().to_str().unwrap()]);
            let stderr = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{}: {stderr}", page.path.display());
        }
    }
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    let root = repository();
    let others = ["infra/README.md", "examples/retail/README.md"].map(|path| Page::read(&root.join(path)));
    let pages = documentation();
    let broken: Vec<String> = pages.iter().chain(&others).flat_map(links::broken).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_index_names_every_page() {
    let docs = repository().join("docs");
    let index = Page::read(&docs.join("README.md"));
    let linked: Vec<PathBuf> = links::targets(&index).iter().filter_map(|target| links::file(&index, target)).collect();
    for path in markdown(&docs).iter().filter(|path| **path != index.path) {
        let path = path.canonicalize().unwrap();
        assert!(linked.contains(&path), "docs/README.md does not name {}", path.display());
    }
}

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(repository().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "the README has {lines} lines, more than {README_LINES}");
}
