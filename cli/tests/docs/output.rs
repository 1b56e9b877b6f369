//! Whether a command printed what its page shows.
//!
//! A line `...` stands for any number of lines, `...` in a line for anything. How many blanks there
//! are does not count: the columns of a table are as wide as their widest value.

/// Whether `actual` is what `expected` shows.
pub fn agrees(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line.trim() == "..." => {
            (0..=actual.len()).any(|skipped| agrees(rest, &actual[skipped..]))
        }
        Some((line, rest)) => {
            actual.split_first().is_some_and(|(first, others)| line_agrees(line, first) && agrees(rest, others))
        }
    }
}

fn line_agrees(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (blanks(expected), blanks(actual));
    let Some((first, rest)) = expected.split_once("...") else { return expected == actual };
    let Some(mut left) = actual.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split("...").collect();
    let last = parts.pop().expect("a split has a last part");
    for part in parts {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(last)
}

/// One blank between words, and none around them.
fn blanks(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn dots_stand_for_what_varies() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let agree = |expected: &str, actual: &str| agrees(&lines(expected), &lines(actual));
    assert!(agree("a  b ... d", "a b c d"));
    assert!(agree("...\nb\n...", "a\nb\nc"));
    assert!(agree("...", ""));
    assert!(agree("{\"x\":1,...,\"y\":2,...}", "{\"x\":1,\"z\":0,\"y\":2,\"w\":3}"));
    assert!(!agree("a", "a\nb"), "a line too many");
    assert!(!agree("a\nb", "a"), "a line too few");
    assert!(!agree("a ... d", "a b c"));
    assert!(!agree("1.50", "1.5"));
}
