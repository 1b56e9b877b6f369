//! Which files of a crate import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Module = Vec<String>;
/// The modules, each with the paths in its file.
type Paths<'a> = BTreeMap<&'a Module, BTreeSet<Module>>;

/// The files, as paths from `src`, that can be reached from themselves by `use` and by paths in the code. What only tests
/// have is left out. A name that a face exports, a `lib.rs` or `mod.rs`, counts for the file that defines it.
pub fn circles(src: &Path) -> Vec<String> {
    let files = modules(src);
    let paths: Paths = files.iter().map(|(module, file)| (module, paths(file))).collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> =
        files.keys().map(|module| (module, imports(module, &paths))).collect();
    let in_circle = |module: &&Module| reachable(module, &imports).contains(*module);
    let name = |module: &Module| files[module].strip_prefix(src).unwrap().display().to_string();
    files.keys().filter(in_circle).map(name).collect()
}

/// Each module but those of tests, with its file.
fn modules(src: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let root = ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|root| root.exists()).unwrap();
    let mut open = vec![(Module::new(), root)];
    while let Some((module, file)) = open.pop() {
        let is_face = ["lib.rs", "main.rs", "mod.rs"].iter().any(|face| file.ends_with(face));
        let folder = if is_face { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for child in children(&code(&file)) {
            let candidates = [folder.join(format!("{child}.rs")), folder.join(&child).join("mod.rs")];
            if let Some(file) = candidates.into_iter().find(|candidate| candidate.exists()) {
                open.push((module.iter().cloned().chain([child]).collect(), file));
            }
        }
        found.insert(module, file);
    }
    found
}

/// The file without comments and without what is for tests alone.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let mut lines: Vec<&str> = Vec::new();
    let mut for_tests = false;
    for line in text.lines() {
        if !for_tests && !line.trim_start().starts_with("//") {
            lines.push(line);
        }
        for_tests = line.trim() == "#[cfg(test)]";
    }
    lines.join("\n")
}

fn children(code: &str) -> Vec<String> {
    let declared = code.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    });
    declared.collect()
}

/// The paths in a file.
fn paths(file: &Path) -> BTreeSet<Module> {
    let code = code(file);
    let mut paths = BTreeSet::new();
    let mut rest = code.as_str();
    // `use` trees, whose first word may also be a child.
    while let Some(start) = rest.find("use ") {
        let is_statement = start == 0 || rest[..start].ends_with(['\n', ' ']);
        let (tree, behind) = rest[start + 4..].split_once(';').unwrap_or((&rest[start + 4..], ""));
        if is_statement {
            spread(&tree.split_whitespace().collect::<String>(), &[], &mut paths);
        }
        rest = behind;
    }
    for (start, _) in code.match_indices("crate::") {
        let path = code[start..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap();
        paths.insert(path.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect());
    }
    // What is left of the trees.
    paths.remove(&vec!["crate".to_owned()]);
    paths
}

/// The modules that one takes names from.
fn imports<'a>(module: &Module, paths: &Paths<'a>) -> BTreeSet<&'a Module> {
    let targets = paths[module].iter().filter_map(|path| resolved(module, path, paths));
    targets.filter(|target| *target != module).collect()
}

/// The paths of a `use` tree.
fn spread(tree: &str, before: &[String], paths: &mut BTreeSet<Module>) {
    match tree.split_once('{') {
        Some((path, group)) => {
            let before: Vec<String> = before
                .iter()
                .cloned()
                .chain(path.split("::").filter(|word| !word.is_empty()).map(str::to_owned))
                .collect();
            let (mut depth, mut begun) = (0, 0);
            let group = group.strip_suffix('}').unwrap_or(group);
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        spread(&group[begun..at], &before, paths);
                        begun = at + 1;
                    }
                    _ => {}
                }
            }
            spread(&group[begun..], &before, paths);
        }
        None => {
            paths.insert(before.iter().cloned().chain(tree.split("::").map(str::to_owned)).collect());
        }
    }
}

/// The module that a path leads to, if it is one of this crate.
fn resolved<'a>(from: &Module, path: &[String], paths: &Paths<'a>) -> Option<&'a Module> {
    let mut base = match path.first()?.as_str() {
        "crate" => Module::new(),
        "self" | "super" => from.clone(),
        child => {
            let child: Module = from.iter().cloned().chain([child.to_owned()]).collect();
            return paths.contains_key(&child).then(|| deepest(child, &path[1..], paths));
        }
    };
    let mut path = path;
    while let [first, rest @ ..] = path
        && ["crate", "self", "super"].contains(&first.as_str())
    {
        if first == "super" {
            base.pop();
        }
        path = rest;
    }
    Some(deepest(base, path, paths))
}

fn deepest<'a>(mut base: Module, path: &[String], paths: &Paths<'a>) -> &'a Module {
    let mut path = path;
    while let [word, rest @ ..] = path {
        base.push(word.clone());
        if !paths.contains_key(&base) {
            base.pop();
            break;
        }
        path = rest;
    }
    let (found, own) = paths.get_key_value(&base).expect("a path begins in a module");
    // A name that the module only passes on.
    let passed_on = path.first().and_then(|name| own.iter().find(|own| own.last() == Some(name)));
    passed_on.and_then(|own| resolved(&base, own, paths)).filter(|target| *target != *found).unwrap_or(found)
}

fn reachable<'a>(from: &Module, imports: &BTreeMap<&Module, BTreeSet<&'a Module>>) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Module> = imports[from].iter().copied().collect();
    while let Some(module) = open.pop() {
        if found.insert(module) {
            open.extend(imports[module].iter().copied());
        }
    }
    found
}
