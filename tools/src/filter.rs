//! Which keys a verb is about.

use clap::Args;
use mainstay::commands::glob::{Case, matches};
use mainstay::keyspace::Entry;

/// The names of types that `TYPE` knows.
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// Options that choose keys; without any, all of them.
#[derive(Args, Clone, Debug, Default)]
pub struct Filter {
    /// Only keys of this database; may be given several times
    #[arg(long = "db", value_name = "N")]
    pub databases: Vec<u32>,
    /// Only keys that match this pattern, as in KEYS
    #[arg(long = "match", value_name = "GLOB")]
    pub pattern: Option<String>,
    /// Only keys of this type: string, list, set, zset, hash or stream; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = TYPES)]
    pub types: Vec<String>,
}

impl Filter {
    /// Whether it lets every key through.
    pub fn is_open(&self) -> bool {
        self.databases.is_empty() && self.pattern.is_none() && self.types.is_empty()
    }

    /// Whether it lets keys of this database through.
    pub fn takes_database(&self, db: u32) -> bool {
        self.databases.is_empty() || self.databases.contains(&db)
    }

    /// Whether it lets this key through.
    pub fn takes(&self, db: u32, entry: Entry<'_>) -> bool {
        let takes_key = |pattern: &String| {
            // Where it stands alone a star matches an empty key as well.
            pattern == "*" || matches(pattern.as_bytes(), entry.key(), Case::Sensitive)
        };
        self.takes_database(db)
            && (self.types.is_empty()
                || self.types.iter().any(|name| name == entry.value().type_name()))
            && self.pattern.as_ref().is_none_or(takes_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay::data::NewValue;
    use mainstay::keyspace::EntryBox;

    #[test]
    fn all_conditions_hold_at_once() {
        let entry = EntryBox::new(b"user:1", NewValue::Integer(5), None, 0);
        let takes = |databases: &[u32], pattern: Option<&str>, types: &[&str]| {
            let filter = Filter {
                databases: databases.to_vec(),
                pattern: pattern.map(str::to_owned),
                types: types.iter().map(|&name| name.to_owned()).collect(),
            };
            filter.takes(3, entry.view())
        };
        assert!(takes(&[], None, &[]) && Filter::default().is_open());
        assert!(takes(&[1, 3], Some("user:*"), &["hash", "string"]));
        assert!(!takes(&[1], Some("user:*"), &["string"]));
        assert!(!takes(&[3], Some("USER:*"), &["string"]));
        assert!(!takes(&[3], Some("user:*"), &["hash"]));
    }
}
