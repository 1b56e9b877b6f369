//! Names for TOML and SQL.

use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::Inferred;

/// Most characters of a part of a name; a name has at most 64.
const PART: usize = 28;

/// Why a source cannot have a column of this name beside the others.
pub fn cannot_be(name: &str, others: &[Inferred]) -> Option<&'static str> {
    match name {
        "" => Some("it has no name"),
        _ if name.starts_with('_') => Some("names that begin with '_' are the archive's own; rename it"),
        _ if name.eq_ignore_ascii_case("ingestion_time") => Some("the name is that of the built-in column; rename it"),
        _ if name.trim() != name => Some("there are blanks around its name; rename it"),
        _ if name.chars().any(char::is_control) => Some("there are control characters in its name; rename it"),
        _ if others.iter().any(|other| other.name.eq_ignore_ascii_case(name)) => {
            Some("another column has this name but for case; rename it")
        }
        _ => None,
    }
}

/// The column in SQL.
pub fn sql(name: &str) -> String {
    if is_plain(name) && !is_keyword(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The text as a string of TOML, which is a key, too.
pub fn toml(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The column as a key of TOML.
pub fn toml_key(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { toml(name) }
}

/// A name for a source or a part of a view's name: lower case, digits and `_`, begun by a letter.
pub fn part(text: &str, prefix: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let words: String = text.chars().map(plain).collect();
    let words: Vec<&str> = words.split('_').filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let name = if begins { name } else { format!("{prefix}_{name}") };
    let name = name[..name.len().min(PART)].trim_end_matches('_').to_owned();
    if is_keyword(&name) { format!("{prefix}_{name}") } else { name }
}

/// The file's name without its endings, as a name of a source.
pub fn of_file(file: &std::path::Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    part(name.split('.').next().unwrap_or_default(), "source")
}

fn is_plain(name: &str) -> bool {
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_keyword(name: &str) -> bool {
    ALL_KEYWORDS.binary_search(&name.to_uppercase().as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_quoted_where_they_have_to_be() {
        assert_eq!(
            ["country", "Country", "unit price", "order", "a\"b"].map(sql),
            ["country", "\"Country\"", "\"unit price\"", "\"order\"", "\"a\"\"b\""]
        );
        assert_eq!(["country", "Unit Price", "a\"b"].map(toml_key), ["country", "\"Unit Price\"", "\"a\\\"b\""]);
    }

    #[test]
    fn files_become_names_of_sources() {
        for (file, name) in [
            ("online-retail.csv.gz", "online_retail"),
            ("2026-01 Umsätze.csv", "source_2026_01_ums_tze"),
            ("order.ndjson", "source_order"),
            ("---.csv", "source_source"),
        ] {
            assert_eq!(of_file(Path::new(file)), name, "{file}");
        }
    }
}
