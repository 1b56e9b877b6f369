//! What users of Flink SQL and ksqlDB write first, and the same in a view.
//!
//! The parser does not know these forms, or knows them as something else, so they are found among the words.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::refusal::Refusal;
use crate::window::Window;

const ARGUMENTS: &str = "tumble(time, INTERVAL '1 minute')";

/// The first such form in a text that is no view.
pub fn foreign_form(sql: &str) -> Option<Refusal> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default();
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    (0..tokens.len()).find_map(|at| {
        let rest = &tokens[at..];
        table_function(rest).or_else(|| window_clause(rest)).or_else(|| emit(rest))
    })
}

/// Flink: `TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE))` after FROM.
fn table_function(tokens: &[TokenWithSpan]) -> Option<Refusal> {
    let [table, open, function, inner, ..] = tokens else { return None };
    let name = word(function)?;
    let is_it = word(table)? == "table" && open.token == Token::LParen && inner.token == Token::LParen;
    if !is_it || !Window::FUNCTIONS.contains(&name.as_str()) {
        return None;
    }
    let cause = "the window of a view stands in GROUP BY, not in FROM";
    let help = match arguments(&tokens[4..]).as_slice() {
        [source, time, sizes @ ..] if !sizes.is_empty() => {
            let source = source.strip_prefix("TABLE ").unwrap_or(source);
            let time = time.strip_prefix("DESCRIPTOR(").and_then(|time| time.strip_suffix(')')).unwrap_or(time);
            let key = source.split_once(" PARTITION BY ");
            let (source, keys) = key.map_or((source, String::new()), |(source, keys)| (source, format!("{keys}, ")));
            format!("write FROM {source} ... GROUP BY {keys}{name}({time}, {})", sizes.join(", "))
        }
        _ => format!("write FROM source ... GROUP BY {ARGUMENTS}"),
    };
    Some(Refusal::new(table.span, cause, help))
}

/// ksqlDB: `WINDOW TUMBLING (SIZE 1 MINUTE)` before GROUP BY.
fn window_clause(tokens: &[TokenWithSpan]) -> Option<Refusal> {
    let [window, kind, open, ..] = tokens else { return None };
    if word(window)? != "window" || open.token != Token::LParen {
        return None;
    }
    let words: Vec<String> = arguments(&tokens[3..]).iter().map(|argument| argument.to_lowercase()).collect();
    let length = |words: &str| {
        Some(format!("INTERVAL '{}'", words.split_once(' ').filter(|(n, _)| n.parse::<u64>().is_ok()).map(|_| words)?))
    };
    let after = |start: &str| words.iter().find_map(|argument| length(argument.strip_prefix(start)?));
    let call = match word(kind)?.as_str() {
        "tumbling" => format!("tumble(time, {})", after("size ")?),
        "hopping" => format!("hop(time, {}, {})", after("advance by ")?, after("size ")?),
        "session" => format!("session(time, {})", after("")?),
        _ => return None,
    };
    let cause = "the window of a view stands in GROUP BY";
    Some(Refusal::new(window.span, cause, format!("write it behind the keys: GROUP BY key, {call}")))
}

/// ksqlDB: `EMIT CHANGES` at the end.
fn emit(tokens: &[TokenWithSpan]) -> Option<Refusal> {
    let [emit, kind, ..] = tokens else { return None };
    let kind = word(kind)?;
    let is_it = word(emit)? == "emit" && ["changes", "final"].contains(&kind.as_str());
    let cause = format!("a view emits nothing, so EMIT {} has no meaning", kind.to_uppercase());
    let help = "leave it out: a view is kept up to date, and `anabranch query` or the API reads its rows at any time";
    is_it.then(|| Refusal::new(emit.span, cause, help))
}

/// An unquoted word in lower case.
fn word(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        _ => None,
    }
}

/// What stands between commas up to the parenthesis that closes, written again.
fn arguments(tokens: &[TokenWithSpan]) -> Vec<String> {
    let (mut arguments, mut depth) = (vec![String::new()], 0);
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::RParen if depth == 0 => break,
            Token::Comma if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        let argument = arguments.last_mut().expect("there is always one");
        let is_tight = argument.is_empty()
            || argument.ends_with(['(', '.'])
            || matches!(token, Token::LParen | Token::RParen | Token::Period);
        *argument = format!("{argument}{}{token}", if is_tight { "" } else { " " });
    }
    arguments
}
