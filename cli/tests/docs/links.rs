//! Links between the pages.

use std::path::{Path, PathBuf};

use crate::page::Page;

/// Where the links of a page lead to, without those to other hosts.
pub fn targets(page: &Page) -> Vec<String> {
    let links = page.prose().flat_map(|line| line.split("](").skip(1));
    let target = |link: &str| link.split_once(')').map(|(target, _)| target.to_owned());
    links.filter_map(target).filter(|target| !target.contains("://")).collect()
}

/// The file that a target names, if it is there; a target of only a heading is the page itself.
pub fn file(page: &Page, target: &str) -> Option<PathBuf> {
    let (name, _) = target.split_once('#').unwrap_or((target, ""));
    if name.is_empty() {
        return page.path.canonicalize().ok();
    }
    page.path.parent()?.join(name).canonicalize().ok()
}

/// The links of a page whose file or heading is not there.
pub fn broken(page: &Page) -> Vec<String> {
    let is_there = |target: &String| match (file(page, target), target.split_once('#')) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(path), Some((_, anchor))) => headings(&path).iter().any(|heading| heading == anchor),
    };
    let missing = targets(page).into_iter().filter(|target| !is_there(target));
    missing.map(|target| format!("{}: there is no {target}", page.path.display())).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(path: &Path) -> Vec<String> {
    let page = Page::read(path);
    let titles = page.prose().filter_map(|line| line.strip_prefix('#'));
    titles.map(|title| anchor(title.trim_start_matches('#').trim())).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(anchor("A value beyond its type"), "a-value-beyond-its-type");
    assert_eq!(anchor("Why DuckDB, and why from PyPI"), "why-duckdb-and-why-from-pypi");
    assert_eq!(anchor("`anabranch verify`"), "anabranch-verify");
}
