//! Numbers of things, in words.

/// The noun for so many: `one` for a single one, otherwise `many`.
pub fn noun<'a>(number: u64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

/// So many of something: `1 frame`, `0 frames`, `2 frames`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", noun(number, one, many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_else_is_not() {
        let counted = |number| counted(number, "library", "libraries");
        let said = [0, 1, 2, 1001].map(counted);
        assert_eq!(said, ["0 libraries", "1 library", "2 libraries", "1001 libraries"]);
    }
}
