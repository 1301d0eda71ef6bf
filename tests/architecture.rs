//! The layout of `src/`: imports go down from floor to floor, and files import each other in small
//! circles only.
//!
//! Floors are read from the list in `src/lib.rs`. Imports are the paths that begin with `crate::` or
//! `super::`, in `use` lines and elsewhere; names that a module passes on count as imports of the
//! file that defines them. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files in the biggest circle.
const CIRCLE_MAX: usize = 2;

type Module = Vec<String>;

struct File {
    path: PathBuf,
    /// Without comments and tests.
    code: String,
}

struct Import {
    line: usize,
    /// As it is written, without groups.
    text: String,
    path: Module,
}

struct Project {
    files: BTreeMap<Module, File>,
    /// Names that a module passes on, and from which module they come.
    passed_on: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Project {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        collect(&root, &mut Vec::new(), &mut files);
        let mut project = Self { files, passed_on: BTreeMap::new() };
        for module in project.files.keys() {
            let children = project.children(module);
            let passed_on = passed_on(&project.files[module].code, module, &children);
            project.passed_on.insert(module.clone(), passed_on);
        }
        project
    }

    fn children(&self, module: &Module) -> BTreeSet<String> {
        let is_child =
            |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
        self.files.keys().filter(is_child).filter_map(|child| child.last().cloned()).collect()
    }

    /// The file that a path leads to.
    fn target(&self, path: &[String]) -> Module {
        let (mut module, mut rest) = (Module::new(), path);
        for _ in 0..16 {
            while let [next, after @ ..] = rest {
                let deeper = [module.as_slice(), std::slice::from_ref(next)].concat();
                if !self.files.contains_key(&deeper) {
                    break;
                }
                (module, rest) = (deeper, after);
            }
            let Some(name) = rest.first() else { break };
            let Some(from) = self.passed_on.get(&module).and_then(|names| names.get(name)) else {
                break;
            };
            module.clone_from(from);
        }
        module
    }

    fn imports(&self, module: &Module) -> Vec<Import> {
        let code = &self.files[module].code;
        let mut imports = Vec::new();
        for (line, start) in occurrences(code) {
            for text in expand(&code[start..]) {
                let mut path = Module::new();
                for (index, segment) in text.split("::").enumerate() {
                    match (index, segment) {
                        (0, "crate") => {}
                        (0, "super") => path = parent(module),
                        (_, "super") => drop(path.pop()),
                        (_, "self" | "*" | "") => {}
                        (_, name) => path.push(name.to_owned()),
                    }
                }
                imports.push(Import { line, text, path });
            }
        }
        imports
    }
}

fn parent(module: &Module) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Reads all files below a directory but those of tests.
fn collect(dir: &Path, module: &mut Module, files: &mut BTreeMap<Module, File>) {
    for entry in fs::read_dir(dir).expect("src is read") {
        let path = entry.expect("src is read").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if stem.ends_with("tests") || stem == "testing" {
            continue;
        }
        if path.is_dir() {
            module.push(stem);
            collect(&path, module, files);
            module.pop();
        } else if stem != "main" && stem != "lib" {
            let code = code_of(&fs::read_to_string(&path).expect("a file is read"));
            let mut name = module.clone();
            if stem != "mod" {
                name.push(stem);
            }
            files.insert(name, File { path, code });
        }
    }
}

/// A file without comments, and without what is compiled for tests only. Lines keep their numbers.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut for_tests = false;
    for line in text.lines() {
        if line.trim() == "#[cfg(test)]" {
            for_tests = true;
        } else if for_tests && line.starts_with("mod tests {") {
            break;
        } else if for_tests {
            for_tests = false;
        } else {
            code.push_str(line.split("//").next().unwrap_or_default());
        }
        code.push('\n');
    }
    code
}

/// Where paths begin: line and position.
fn occurrences(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            let is_inner = before.ends_with(|it: char| it.is_alphanumeric() || "_:$".contains(it));
            if !is_inner && !before.ends_with("(in ") {
                found.push((before.lines().count().max(1), at));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The paths that begin here, with groups multiplied out.
fn expand(code: &str) -> Vec<String> {
    fn path(code: &mut &str, prefix: &str, paths: &mut Vec<String>) {
        let mut text = prefix.to_owned();
        loop {
            *code = code.trim_start();
            if let Some(rest) = code.strip_prefix('{') {
                *code = rest;
                loop {
                    *code = code.trim_start();
                    if let Some(rest) = code.strip_prefix('}') {
                        *code = rest;
                        return;
                    }
                    path(code, &text, paths);
                    let end = code.find([',', '}']).unwrap_or(code.len());
                    *code = &code[end..];
                    *code = code.strip_prefix(',').unwrap_or(code);
                    if code.is_empty() {
                        return;
                    }
                }
            }
            let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '*';
            let end = code.find(|it| !is_name(it)).unwrap_or(code.len());
            text.push_str(&code[..end]);
            *code = &code[end..];
            match code.strip_prefix("::") {
                Some(rest) => {
                    text.push_str("::");
                    *code = rest;
                }
                None => break,
            }
        }
        paths.push(text);
    }
    let (mut rest, mut paths) = (code, Vec::new());
    path(&mut rest, "", &mut paths);
    paths
}

/// Names that a module takes from its children with `use child::…`.
fn passed_on(code: &str, module: &Module, children: &BTreeSet<String>) -> BTreeMap<String, Module> {
    let mut names = BTreeMap::new();
    for (at, _) in code.match_indices("use ") {
        for text in expand(&code[at + "use ".len()..]) {
            let mut segments: Vec<&str> = text.split("::").collect();
            if segments.first() == Some(&"self") {
                segments.remove(0);
            }
            if segments.len() < 2 || !children.contains(segments[0]) {
                continue;
            }
            let name = segments.pop().unwrap_or_default().to_owned();
            let from = segments.iter().map(|segment| (*segment).to_owned());
            names.insert(name, module.iter().cloned().chain(from).collect());
        }
    }
    names
}

/// Floors from the top to the bottom: the names in `src/` of each.
fn floors() -> Vec<Vec<String>> {
    let text = include_str!("../src/lib.rs");
    let list = text.split("```text").nth(1).and_then(|rest| rest.split("```").next());
    let mut floors = vec![Vec::new()];
    for line in list.expect("lib.rs lists floors").lines() {
        let line = line.strip_prefix("//! ").unwrap_or_default();
        let word = line.split_whitespace().next().unwrap_or_default();
        if line.starts_with("---") {
            floors.push(Vec::new());
        } else if !line.starts_with(' ')
            && let Some(name) = word.strip_suffix('/').or_else(|| word.strip_suffix(".rs"))
            && !name.contains('/')
        {
            floors.last_mut().expect("there is one").push(name.to_owned());
        }
    }
    floors
}

#[test]
fn imports_go_down() {
    let (project, floors) = (Project::read(), floors());
    let floor = |module: &Module| {
        let name = module.first()?;
        floors.iter().position(|floor| floor.contains(name))
    };
    let (mut broken, mut count) = (Vec::new(), 0);
    for (module, file) in &project.files {
        let Some(own) = floor(module) else {
            broken.push(format!("{} is on no floor", file.path.display()));
            continue;
        };
        for import in project.imports(module) {
            let target = project.target(&import.path);
            count += usize::from(!target.is_empty());
            if floor(&target).is_some_and(|other| other < own) {
                broken.push(format!("{}:{}: {}", file.path.display(), import.line, import.text));
            }
        }
    }
    assert!(floors.len() > 5 && count > 1000, "{floors:?}, {count} imports");
    assert!(broken.is_empty(), "imports that go up:\n{}", broken.join("\n"));
}

/// Files that reach each other through imports, in groups.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let reached = |from: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for other in imports.get(module).into_iter().flatten() {
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Module, _> = imports.keys().map(|from| (from, reached(from))).collect();
    let mut circles: Vec<Vec<Module>> = Vec::new();
    let mut placed = BTreeSet::new();
    for (&from, seen) in &reach {
        let with = |other: &&Module| reach.get(*other).is_some_and(|back| back.contains(from));
        let circle: Vec<Module> = seen.iter().copied().filter(with).cloned().collect();
        if circle.len() > 1 && placed.insert(circle.clone()) {
            circles.push(circle);
        }
    }
    circles
}

#[test]
fn circles_of_imports_are_small() {
    let project = Project::read();
    let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for module in project.files.keys() {
        let targets = project.imports(module).into_iter().map(|it| project.target(&it.path));
        // A module and its file `mod.rs` are one.
        let others = targets.filter(|target| target != module && !target.is_empty());
        imports.insert(module.clone(), others.collect());
    }
    let mut shown = Vec::new();
    for circle in circles(&imports).iter().filter(|circle| circle.len() > CIRCLE_MAX) {
        let files: Vec<String> = circle
            .iter()
            .map(|module| {
                let within = imports[module].iter().filter(|it| circle.contains(it));
                let to: Vec<String> = within.map(|it| it.join("::")).collect();
                format!("  {} imports {}", module.join("::"), to.join(", "))
            })
            .collect();
        shown.push(format!("{} files:\n{}", circle.len(), files.join("\n")));
    }
    assert!(shown.is_empty(), "circles of imports:\n{}", shown.join("\n"));
}
