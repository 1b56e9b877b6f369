use datafusion::sql::sqlparser::ast;

/// A name as SQL compares it.
pub fn normalized(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}
