//! What to try while the demo keeps running.

use std::path::Path;

use crate::api;
use crate::shell::quoted;

/// The address of the page, and three commands to paste.
pub fn text(url: &str, dir: &Path) -> String {
    // As it was called: after a first build it is in nobody's PATH.
    let binary = std::env::args().next().unwrap_or_else(|| "anabranch".to_owned());
    invitation(url, &quoted(&binary), &quoted(&dir.display().to_string()), api::key().is_some())
}

fn invitation(url: &str, binary: &str, dir: &str, has_key: bool) -> String {
    let key = match has_key {
        true => format!(" -H \"authorization: Bearer ${}\"", api::KEY_VARIABLE),
        false => String::new(),
    };
    let sql = "SELECT country, sum(revenue) AS revenue FROM country_sales GROUP BY country ORDER BY 2 DESC LIMIT 5";
    format!(
        "The demo keeps running, and new order lines trickle in. A page for people: {url}/\n\n\
         Three commands to try in another terminal:\n\n  \
         curl{key} '{url}/v1/views/country_sales/rows?country=Norway&limit=3'\n\n  \
         curl{key} -X POST {url}/v1/sql -H 'content-type: application/json' \\\n    \
         -d '{{\"sql\": \"{sql}\"}}'\n\n  \
         {binary} status --project {dir}\n\nCtrl-C stops."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_commands_and_the_page() {
        let text = invitation("http://127.0.0.1:1", "target/release/anabranch", "'a b'", false);
        let commands = ["  curl ", "  target/release/anabranch status --project 'a b'"];
        assert_eq!(text.lines().filter(|line| commands.iter().any(|command| line.starts_with(command))).count(), 3);
        assert!(text.contains("http://127.0.0.1:1/\n") && !text.contains("Bearer"));
    }

    #[test]
    fn with_a_key_the_commands_show_it() {
        let text = invitation("http://h", "b", "d", true);
        assert_eq!(text.matches("curl -H \"authorization: Bearer $ANABRANCH_API_KEY\" ").count(), 2);
    }
}
