//! The lists in `README.md` are those of the code.

use mainstay::server::commands::TABLE;
use mainstay::server::config::{DIRECTIVES, Status, accepted_directives_markdown};
use std::collections::BTreeMap;

const README: &str = include_str!("../README.md");

/// Compares what stands behind the comment `name` with what the code says.
fn check(name: &str, expected: &str) {
    let start = format!("<!-- {name} -->\n");
    let (_, rest) = README.split_once(&start).unwrap_or_else(|| panic!("no list '{name}'"));
    let (found, _) = rest.split_once("<!-- end -->").expect("the list ends");
    assert!(found == expected, "README.md, '{name}' has to be:\n{expected}");
}

#[test]
fn the_commands_are_those_of_the_table() {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for spec in TABLE.directory().all() {
        let group = groups.entry(spec.group).or_default();
        let mut names: Vec<_> = spec.subcommands.iter().map(|sub| sub.name).collect();
        names.sort_unstable();
        let text = [spec.name, &names.join("\\|")].join(" ").trim_end().to_uppercase();
        group.push(text);
    }
    let mut expected = String::from("| group | commands |\n|---|---|\n");
    for (group, mut names) in groups {
        names.sort();
        expected += &format!("| {group} | `{}` |\n", names.join("`, `"));
    }
    check("commands", &expected);
}

#[test]
fn the_directives_are_those_of_the_table() {
    check("other directives", &accepted_directives_markdown());
    let works = DIRECTIVES.iter().filter(|directive| directive.status == Status::Works);
    let own = |name: &str| {
        name.starts_with("log-") || ["rdb-version", "import-skip-modules", "umask"].contains(&name)
    };
    let mut names: Vec<_> =
        works.filter(|directive| !own(directive.name)).map(|directive| directive.name).collect();
    names.sort_unstable();
    check("working directives", &format!("`{}`.\n", names.join("`, `")));
    for directive in DIRECTIVES.iter().filter(|directive| own(directive.name)) {
        assert!(README.contains(&format!("| `{}` |", directive.name)), "{}", directive.name);
    }
}
