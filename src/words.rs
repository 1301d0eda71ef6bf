//! Counted nouns in messages.

/// The noun for a number: `one` for 1, otherwise `many`.
pub fn noun<'a>(number: u64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

/// A number with its noun: `1 frame`, `0 frames`, `2 frames`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", noun(number, one, many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let counted = |number| counted(number, "library", "libraries");
        let texts = [0, 1, 2, 1001].map(counted);
        assert_eq!(texts, ["0 libraries", "1 library", "2 libraries", "1001 libraries"]);
    }
}
