//! Words of command lines that people paste.

/// The word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(
            ["a/b.csv", "my file.csv", "it's", ""].map(quoted),
            ["a/b.csv", "'my file.csv'", r"'it'\''s'", "''"]
        );
    }
}
