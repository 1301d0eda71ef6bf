//! Memory by prefix of the keys' names, in a tree of bounded size.
//!
//! A name is cut behind each `:`, `/` and `|`. Dots cut only names that have none of these, so that host names, mail
//! addresses and versions inside a name stay whole; `-` and `_` never do, because they join words and are part of UUIDs. What
//! tells keys of one family apart becomes `*`: numbers, dates, UUIDs, hashes, tokens, bytes that are no text, and the digits
//! at the end of a word. So `user:17:name` and `user:{3f2504e0}:name` both count for `user:*:name`.

use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Names are cut into so many parts at most; what follows counts for the last one.
const DEPTH_MAX: usize = 6;
/// Longer parts are taken for ids.
const PART_BYTES_MAX: usize = 64;
/// At this many nodes the smallest are folded, until there are half as many.
const NODES_MAX: usize = 4096;
/// Words up to this length keep their digits: `v2`, `db0`.
const SHORT_BYTES_MAX: usize = 3;

/// Keys whose names begin alike.
#[derive(Default)]
struct Node {
    keys: u64,
    bytes: u64,
    children: BTreeMap<Box<str>, Node>,
}

/// The tree, while it grows.
pub struct Prefixes {
    root: Node,
    nodes: usize,
    nodes_max: usize,
}

/// Keys whose names begin alike, and how they go on.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prefix {
    /// What the names begin with, or are; `*` stands for ids.
    pub prefix: String,
    /// How many keys.
    pub keys: u64,
    /// Bytes of memory.
    pub bytes: u64,
    /// The biggest first. What is missing of `keys` and `bytes` are keys that end here, and small parts that were folded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Prefix>,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self::with_limit(NODES_MAX)
    }
}

impl Prefixes {
    fn with_limit(nodes_max: usize) -> Self {
        Self { root: Node::default(), nodes: 0, nodes_max }
    }

    /// Counts a key.
    pub fn add(&mut self, key: &[u8], bytes: u64) {
        let mut node = &mut self.root;
        node.keys += 1;
        node.bytes += bytes;
        for part in parts(key).take(DEPTH_MAX) {
            if !node.children.contains_key(&*part) {
                node.children.insert((&*part).into(), Node::default());
                self.nodes += 1;
            }
            node = node.children.get_mut(&*part).expect("it is there now");
            node.keys += 1;
            node.bytes += bytes;
        }
        if self.nodes >= self.nodes_max {
            self.fold();
        }
    }

    /// Removes the smallest leaves. Their keys still count for the nodes above; one that comes again later begins anew.
    fn fold(&mut self) {
        while self.nodes > self.nodes_max / 2 {
            let mut sizes = Vec::new();
            leaf_sizes(&self.root, &mut sizes);
            // Only half of them at once: what they leave behind may be smaller than the other half.
            let excess = (self.nodes - self.nodes_max / 2).min(sizes.len().div_ceil(2));
            let (_, limit, _) = sizes.select_nth_unstable(excess - 1);
            let (limit, mut left) = (*limit, excess);
            remove_leaves(&mut self.root, limit, &mut left);
            self.nodes -= excess - left;
        }
    }

    /// The tree; its root is what all names have in common.
    pub fn finish(self) -> Prefix {
        finish(self.root, String::new())
    }
}

fn leaf_sizes(node: &Node, sizes: &mut Vec<u64>) {
    for child in node.children.values() {
        if child.children.is_empty() {
            sizes.push(child.bytes);
        } else {
            leaf_sizes(child, sizes);
        }
    }
}

/// Removes `left` leaves of at most `limit` bytes.
fn remove_leaves(node: &mut Node, limit: u64, left: &mut usize) {
    node.children.retain(|_, child| {
        if !child.children.is_empty() {
            remove_leaves(child, limit, left);
            return true;
        }
        let goes = *left > 0 && child.bytes <= limit;
        *left -= usize::from(goes);
        !goes
    });
}

fn finish(mut node: Node, mut prefix: String) -> Prefix {
    // Where all names go on alike there is nothing to choose from.
    while node.children.len() == 1 {
        let Some(only) = node.children.first_entry() else { break };
        if only.get().keys != node.keys {
            break;
        }
        let (name, child) = only.remove_entry();
        prefix.push_str(&name);
        node = child;
    }
    let children = node.children.into_iter();
    let mut parts: Vec<Prefix> =
        children.map(|(name, child)| finish(child, format!("{prefix}{name}"))).collect();
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.prefix.cmp(&b.prefix)));
    Prefix { prefix, keys: node.keys, bytes: node.bytes, parts }
}

/// A name's parts, each with the separator behind it, ids replaced.
fn parts(key: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let separates = |byte: &u8| b":/|".contains(byte);
    let dots = !key.iter().any(separates);
    key.split_inclusive(move |byte| separates(byte) || (dots && *byte == b'.')).map(part)
}

fn part(bytes: &[u8]) -> Cow<'_, str> {
    let is_separator = |c: char| ":/|.".contains(c);
    let text = str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    let Some(text) = text.filter(|text| text.len() <= PART_BYTES_MAX) else {
        let separator = bytes.last().filter(|byte| is_separator(char::from(**byte)));
        return match separator {
            Some(byte) => format!("*{}", char::from(*byte)).into(),
            None => "*".into(),
        };
    };
    // The braces of cluster hash tags are no part of an id.
    let core = text.trim_end_matches(is_separator).trim_matches(['{', '}']);
    let folded = if is_id(core) { "*".into() } else { without_number(core) };
    if folded == core { text.into() } else { text.replacen(core, &folded, 1).into() }
}

/// Whether a part tells keys of one family apart.
fn is_id(part: &str) -> bool {
    let bytes = part.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return part.contains('@');
    }
    let all = |allowed: fn(&u8) -> bool| bytes.iter().all(allowed);
    let is_number_or_date = all(|b| b.is_ascii_digit() || b"-_+,.".contains(b));
    let is_hexadecimal = bytes.len() >= 8 && all(|b| b.is_ascii_hexdigit() || *b == b'-');
    // Digits before letters: words with a number behind them are no tokens.
    let is_token = bytes.len() >= 16
        && digits >= 2
        && all(|b| b.is_ascii_alphanumeric() || b"-_+=".contains(b))
        && bytes.windows(2).any(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic());
    is_number_or_date || is_hexadecimal || is_token || part.contains('@')
}

/// A word, with `*` for the digits at its end.
fn without_number(word: &str) -> Cow<'_, str> {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == word.len() || word.len() <= SHORT_BYTES_MAX {
        return word.into();
    }
    format!("{stem}*").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(key: &[u8]) -> String {
        parts(key).map(Cow::into_owned).collect()
    }

    #[test]
    fn ids_are_folded_and_words_are_not() {
        let cases = [
            ("user:17:name", "user:*:name"),
            ("user:-17", "user:*"),
            ("{user:17}:cart", "{user:*}:cart"),
            ("{17}:cart", "{*}:cart"),
            ("session:3f2504e0-4f89-11d3-9a0c-0305e82c3301", "session:*"),
            ("object/507f1f77bcf86cd799439011/parts", "object/*/parts"),
            ("ulid|01ARZ3NDEKTSV4RRFFQ69G5FAV|x", "ulid|*|x"),
            ("visits:2024-01-31:page", "visits:*:page"),
            ("mail:alice@example.com:seen", "mail:*:seen"),
            ("memtier-1234567", "memtier-*"),
            ("key000001", "key*"),
            ("v2:shopping-cart:eu", "v2:shopping-cart:eu"),
            ("shopping-cart-2024-summer", "shopping-cart-2024-summer"),
            ("deadbeef", "deadbeef"),
            ("app.cache.users", "app.cache.users"),
            ("host:www.example.com:hits", "host:www.example.com:hits"),
            ("greeting", "greeting"),
            ("häuser:größe", "häuser:größe"),
            ("a::b", "a::b"),
            ("", ""),
        ];
        for (key, want) in cases {
            assert_eq!(pattern(key.as_bytes()), want, "{key}");
        }
        assert_eq!(pattern(b"bin:\xff\x00:x"), "bin:*:x");
        assert_eq!(pattern("x".repeat(65).as_bytes()), "*");
        assert_eq!(pattern(b"host.example.7"), "host.example.*");
    }

    #[test]
    fn what_all_have_in_common_is_one_prefix() {
        let mut prefixes = Prefixes::default();
        for id in 0..10_u32 {
            prefixes.add(format!("app:user:{id}:name").as_bytes(), 10);
            prefixes.add(format!("app:user:{id}:mail").as_bytes(), 5);
            prefixes.add(format!("app:cart:{id}").as_bytes(), 1);
        }
        prefixes.add(b"app:", 2);
        let root = prefixes.finish();
        assert_eq!((root.prefix.as_str(), root.keys, root.bytes), ("app:", 31, 162));
        let parts: Vec<_> = root.parts.iter().map(|p| (p.prefix.as_str(), p.bytes)).collect();
        assert_eq!(parts, [("app:user:*:", 150), ("app:cart:*", 10)]);
        let parts: Vec<_> = root.parts[0].parts.iter().map(|p| p.prefix.as_str()).collect();
        assert_eq!(parts, ["app:user:*:name", "app:user:*:mail"]);
    }

    fn size(prefix: &Prefix) -> usize {
        1 + prefix.parts.iter().map(size).sum::<usize>()
    }

    fn check(prefix: &Prefix) {
        assert!(prefix.parts.iter().map(|part| part.keys).sum::<u64>() <= prefix.keys);
        assert!(prefix.parts.iter().map(|part| part.bytes).sum::<u64>() <= prefix.bytes);
        prefix.parts.iter().for_each(check);
    }

    #[test]
    fn small_ones_are_folded_and_big_ones_are_kept() {
        let mut prefixes = Prefixes::default();
        for n in 0..30_000_u32 {
            // Letters only, so that nothing is an id.
            let name: String = n.to_string().bytes().map(|b| char::from(b + 17)).collect();
            prefixes.add(format!("page:{name}:body").as_bytes(), 10);
            prefixes.add(format!("big:{}", char::from(b'a' + (n % 26) as u8)).as_bytes(), 10);
            assert!(prefixes.nodes < NODES_MAX);
        }
        let root = prefixes.finish();
        check(&root);
        assert!(size(&root) <= NODES_MAX);
        assert_eq!((root.keys, root.bytes), (60_000, 600_000));
        let of = |name: &str| root.parts.iter().find(|part| part.prefix == name).unwrap();
        assert_eq!((of("page:").keys, of("big:").keys), (30_000, 30_000));
        assert_eq!(of("big:").parts.len(), 26);
        assert_eq!(of("big:").parts.iter().map(|part| part.keys).sum::<u64>(), 30_000);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_tree_stays_small(
            keys in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..12), 0..1000_u64), 0..200),
            names in prop::collection::vec(("[a-c:./|{}0-9]{0,12}", 0..1000_u64), 0..200),
        ) {
            let mut prefixes = Prefixes::with_limit(20);
            let names = names.into_iter().map(|(name, bytes)| (name.into_bytes(), bytes));
            let all: Vec<_> = keys.into_iter().chain(names).collect();
            for (key, bytes) in &all {
                prefixes.add(key, *bytes);
                prop_assert!(prefixes.nodes < 20 + DEPTH_MAX);
            }
            let root = prefixes.finish();
            prop_assert_eq!(root.keys, all.len() as u64);
            prop_assert_eq!(root.bytes, all.iter().map(|(_, bytes)| bytes).sum::<u64>());
            prop_assert!(size(&root) <= 20 + DEPTH_MAX);
            check(&root);
        }
    }
}
