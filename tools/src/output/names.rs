//! Lists of keys, cut where they get too long to be read.

use super::units::{count, escaped};

/// A list for machines has no more names than this.
const NAMES_MAX: usize = 100;
/// A list for people has no more names than this.
const SHOWN_MAX: usize = 10;

/// The first names of keys, escaped: what a list for machines has of them.
pub fn first_names<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    keys.into_iter().take(NAMES_MAX).map(|key| escaped(key.as_ref())).collect()
}

/// The names as people read them, and how many more than those that are shown there are of `total`.
pub fn names(names: &[String], total: u64) -> String {
    let shown = &names[..names.len().min(SHOWN_MAX)];
    match total.saturating_sub(shown.len() as u64) {
        0 => shown.join(" "),
        more if shown.is_empty() => format!("{} without a name", count(more)),
        more => format!("{} and {} more", shown.join(" "), count(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_with_a_count() {
        let keys: Vec<String> = (0..4910).map(|number| format!("k{number}")).collect();
        let first = first_names(&keys);
        assert_eq!((first.len(), &*first[99]), (100, "k99"));
        let text = names(&first, 4910);
        assert_eq!(text, "k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 and 4,900 more");
        assert_eq!(names(&first[..10], 10), "k0 k1 k2 k3 k4 k5 k6 k7 k8 k9");
        assert_eq!(names(&first[..2], 3), "k0 k1 and 1 more");
        assert_eq!(names(&[], 0), "");
        assert_eq!(names(&[], 12), "12 without a name");
    }
}
