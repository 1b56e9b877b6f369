//! Joins with references, rewritten to expressions over the event while the view is still a syntax
//! tree: `c.name` becomes a lookup of `name` by the key that ON gives, and an inner join the
//! condition that there is such a row.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{DFSchema, TableReference};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions_mut};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ident::normalized;
use super::names::{Names, parser_options};
use super::text::{Tables, Text};
use crate::lookup::{column_lookup, is_comparable, match_lookup};
use anabranch_model::archive::input_schema;
use anabranch_model::project::{ProjectError, Source};
use anabranch_model::reference::ReferenceTable;

const JOIN_HELP: &str =
    "write [LEFT] JOIN reference ON event_column = reference.key, with a reference of anabranch.toml";

/// Takes the joins out of `select` and replaces the references' columns everywhere else in it.
/// Returns the tables, each once; the functions that look them up are registered in `state`.
pub(super) fn rewrite_joins(
    text: &Text,
    select: &mut ast::Select,
    source: &Source,
    tables: Tables,
    state: &mut SessionState,
) -> Result<Vec<Arc<ReferenceTable>>, ProjectError> {
    let (whole, joins) = (select.from[0].span(), std::mem::take(&mut select.from[0].joins));
    let alias = table_alias(&select.from[0].relation).unwrap_or_else(|| source.name.clone());
    let mut scope = Scope { text, source, alias, joined: Vec::new() };
    for join in joins {
        let (joined, constraint) = scope.open(join, whole, tables)?;
        scope.joined.push(joined);
        let mut keys = scope.keys(constraint)?;
        scope.check_types(&mut keys, state)?;
        let joined = scope.joined.last_mut().expect("it was pushed just now");
        joined.keys = keys;
        joined.register(state);
    }
    scope.rewrite(select)?;
    let mut tables: Vec<Arc<ReferenceTable>> = Vec::new();
    for joined in scope.joined {
        if !tables.iter().any(|table| table.pin().name == joined.table.pin().name) {
            tables.push(joined.table);
        }
    }
    Ok(tables)
}

/// The tables whose columns an expression can name.
struct Scope<'a> {
    text: &'a Text<'a>,
    source: &'a Source,
    /// The source's name in the view.
    alias: String,
    joined: Vec<Joined>,
}

/// A joined reference.
struct Joined {
    alias: String,
    span: Span,
    table: Arc<ReferenceTable>,
    /// Whether events without a match are left out.
    inner: bool,
    /// Joined with USING: the key's columns without a table's name are the event's.
    using: bool,
    /// The key's values as expressions over the event, in the key's order.
    keys: Vec<ast::Expr>,
}

impl Joined {
    fn register(&self, state: &mut SessionState) {
        let columns = 0..self.table.pin().columns.len();
        for function in columns.map(|column| column_lookup(&self.table, column)).chain([match_lookup(&self.table)]) {
            state.register_udf(Arc::new(function)).expect("registering replaces");
        }
    }

    fn lookup(&self, column: usize) -> ast::Expr {
        call(column_lookup(&self.table, column).name(), &self.keys)
    }

    fn is_match(&self) -> ast::Expr {
        call(match_lookup(&self.table).name(), &self.keys)
    }

    fn columns(&self) -> String {
        self.table.pin().columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn describe_key(&self) -> String {
        self.table.pin().key.iter().map(|name| format!("{}.{name}", self.alias)).collect::<Vec<_>>().join(", ")
    }
}

impl Scope<'_> {
    fn refuse<T>(&self, span: Span, cause: impl Into<String>, help: impl Into<String>) -> Result<T, ProjectError> {
        Err(self.text.error(span, cause, help))
    }

    /// The table that is joined, and how; `whole` is the place of the FROM clause.
    fn open(
        &self,
        join: ast::Join,
        whole: Span,
        tables: Tables,
    ) -> Result<(Joined, ast::JoinConstraint), ProjectError> {
        let span = join.relation.span();
        let name = self.table_name(&join.relation)?;
        let Some(table) = tables.references.get(&name) else {
            let known: Vec<&str> = tables.references.keys().map(String::as_str).collect();
            let help = if known.is_empty() {
                "put the column into the event, or declare a table as [references.NAME] in anabranch.toml".to_owned()
            } else {
                format!("the project's references are {}", known.join(", "))
            };
            return match tables.sources.contains_key(&name) {
                true => self.refuse(whole, format!("'{name}' is a source: joins are with references only"), help),
                false => {
                    self.refuse(span, format!("joins are with references, and there is no reference '{name}'"), help)
                }
            };
        };
        use ast::JoinOperator::*;
        let (inner, constraint) = match join.join_operator {
            Join(constraint) | Inner(constraint) => (true, constraint),
            Left(constraint) | LeftOuter(constraint) => (false, constraint),
            _ => return self.refuse(span, "this kind of join is not supported: only INNER and LEFT are", JOIN_HELP),
        };
        let alias = table_alias(&join.relation).unwrap_or_else(|| name.clone());
        if alias == self.alias || self.joined.iter().any(|joined| joined.alias == alias) {
            return self.refuse(span, format!("two tables are named '{alias}'"), "give one another name with AS");
        }
        let using = matches!(constraint, ast::JoinConstraint::Using(_));
        Ok((Joined { alias, span, table: table.clone(), inner, using, keys: Vec::new() }, constraint))
    }

    fn table_name(&self, relation: &ast::TableFactor) -> Result<String, ProjectError> {
        let plain = match relation {
            ast::TableFactor::Table { name, alias, args: None, .. } => {
                let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                name.0
                    .as_slice()
                    .first()
                    .and_then(ast::ObjectNamePart::as_ident)
                    .filter(|_| name.0.len() == 1 && !renamed)
            }
            _ => None,
        };
        match plain {
            Some(name) => Ok(name.value.clone()),
            None => self.refuse(relation.span(), "joins are with references, by their names", JOIN_HELP),
        }
    }

    /// The key's values for the table that was opened last.
    fn keys(&self, constraint: ast::JoinConstraint) -> Result<Vec<ast::Expr>, ProjectError> {
        let joined = self.newest();
        let mut keys: Vec<Option<ast::Expr>> = vec![None; joined.table.pin().key.len()];
        match constraint {
            ast::JoinConstraint::On(condition) => self.on(condition, &mut keys)?,
            ast::JoinConstraint::Using(names) => names.iter().try_for_each(|name| self.using(name, &mut keys))?,
            _ => return self.refuse(joined.span, "this join does not say what is equal", JOIN_HELP),
        }
        if keys.iter().any(Option::is_none) {
            let cause = format!("the join must name the whole key: {}", joined.describe_key());
            return self.refuse(
                joined.span,
                cause,
                "otherwise an event could match several rows and count several times",
            );
        }
        Ok(keys.into_iter().flatten().collect())
    }

    fn newest(&self) -> &Joined {
        self.joined.last().expect("a table was opened")
    }

    fn on(&self, condition: ast::Expr, keys: &mut [Option<ast::Expr>]) -> Result<(), ProjectError> {
        let span = condition.span();
        match condition {
            ast::Expr::Nested(inner) => self.on(*inner, keys),
            ast::Expr::BinaryOp { left, op: ast::BinaryOperator::And, right } => {
                self.on(*left, keys)?;
                self.on(*right, keys)
            }
            ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => {
                let newest = self.joined.len() - 1;
                let column = |expr: &ast::Expr| Ok(self.resolve(expr)?.filter(|(table, _)| *table == newest));
                match (column(&left)?, column(&right)?) {
                    (Some((_, column)), _) => self.put(keys, column, *right, span),
                    (None, Some((_, column))) => self.put(keys, column, *left, span),
                    (None, None) => self.not_a_key(span, "neither side is a column of the reference"),
                }
            }
            _ => self.not_a_key(span, "a join compares the reference's key for equality and nothing else"),
        }
    }

    fn not_a_key<T>(&self, span: Span, cause: &str) -> Result<T, ProjectError> {
        let help = format!("write ON expression = {}; further conditions go into WHERE", self.newest().describe_key());
        self.refuse(span, cause, help)
    }

    /// Sets the key's value for a column of the newest table.
    fn put(
        &self,
        keys: &mut [Option<ast::Expr>],
        column: usize,
        mut value: ast::Expr,
        span: Span,
    ) -> Result<(), ProjectError> {
        let pin = self.newest().table.pin();
        let name = &pin.columns[column].name;
        let Some(key) = pin.key.iter().position(|key| key == name) else {
            return self.not_a_key(span, &format!("'{name}' is not in the key of '{}'", pin.name));
        };
        if keys[key].is_some() {
            return self.not_a_key(span, &format!("'{name}' is compared twice"));
        }
        let newest = self.joined.len() - 1;
        let replaced = visit_expressions_mut(&mut value, |expr| match self.resolve(expr) {
            Ok(Some((table, _))) if table == newest => {
                ControlFlow::Break(self.text.error(span, "both sides are of the reference", JOIN_HELP))
            }
            resolved => self.replace(expr, resolved),
        });
        keys[key] = Some(value);
        broken(replaced)
    }

    fn using(&self, name: &ast::ObjectName, keys: &mut [Option<ast::Expr>]) -> Result<(), ProjectError> {
        let joined = self.newest();
        let ident = name.0.first().and_then(ast::ObjectNamePart::as_ident);
        let column = ident.map(normalized).unwrap_or_default();
        let Some(key) = joined.table.pin().key.iter().position(|key| *key == column) else {
            return self.not_a_key(name.span(), &format!("'{column}' is not in the reference's key"));
        };
        if self.source.column(&column).is_none() {
            let cause = format!("source '{}' has no column '{column}'", self.source.name);
            return self.refuse(name.span(), cause, JOIN_HELP);
        }
        let parts = [&self.alias, &column].map(|part| ast::Ident::with_quote('"', part));
        keys[key] = Some(ast::Expr::CompoundIdentifier(parts.to_vec()));
        Ok(())
    }

    /// Comparing must not lose anything: neither digits nor the difference between types.
    fn check_types(&self, keys: &mut [ast::Expr], state: &SessionState) -> Result<(), ProjectError> {
        let names = Names { state, source: self.source };
        let planner = SqlToRel::new_with_options(&names, parser_options());
        let schema = input_schema(self.source);
        let schema = DFSchema::try_from_qualified_schema(TableReference::bare(self.alias.as_str()), &schema)
            .map_err(|error| self.text.planning(&error))?;
        let joined = self.newest();
        for ((name, wanted), value) in joined.table.pin().key.iter().zip(joined.table.key_types()).zip(keys) {
            let planned: Expr = planner
                .sql_to_expr(value.clone(), &schema, &mut PlannerContext::new())
                .map_err(|error| self.text.planning(&error))?;
            let given = planned.get_type(&schema).map_err(|error| self.text.planning(&error))?;
            if !is_comparable(&given, &wanted) {
                let cause = format!(
                    "{planned} of type {given} cannot be compared with {}.{name} of type {wanted}",
                    joined.alias
                );
                return self.refuse(joined.span, cause, "cast one to the type of the other");
            }
        }
        Ok(())
    }

    /// The joined table and column that an expression names; none if it names a column of the source
    /// or something else.
    fn resolve(&self, expr: &ast::Expr) -> Result<Option<(usize, usize)>, ProjectError> {
        match expr {
            ast::Expr::Identifier(ident) => self.unqualified(ident),
            ast::Expr::CompoundIdentifier(path) if path.len() == 2 => self.qualified(&path[0], &path[1]),
            _ => Ok(None),
        }
    }

    fn qualified(&self, table: &ast::Ident, column: &ast::Ident) -> Result<Option<(usize, usize)>, ProjectError> {
        let (alias, name) = (normalized(table), normalized(column));
        let Some(position) = self.joined.iter().position(|joined| joined.alias == alias) else { return Ok(None) };
        let joined = &self.joined[position];
        match joined.table.column(&name) {
            Some(column) => Ok(Some((position, column))),
            None => {
                let help = format!("the reference's columns are {}", joined.columns());
                self.refuse(column.span, format!("unknown column '{alias}.{name}'"), help)
            }
        }
    }

    fn unqualified(&self, ident: &ast::Ident) -> Result<Option<(usize, usize)>, ProjectError> {
        let name = normalized(ident);
        if name == "window_start" || name == "window_end" {
            return Ok(None);
        }
        let named = |(position, joined): (usize, &Joined)| {
            let merged = joined.using && joined.table.pin().key.contains(&name);
            joined.table.column(&name).filter(|_| !merged).map(|column| (position, column))
        };
        let found: Vec<(usize, usize)> = self.joined.iter().enumerate().filter_map(named).collect();
        let of_source = self.source.column(&name).is_some().then(|| self.alias.clone());
        match (found.as_slice(), &of_source) {
            ([], _) => Ok(None),
            ([one], None) => Ok(Some(*one)),
            (several, _) => {
                let tables =
                    of_source.into_iter().chain(several.iter().map(|(table, _)| self.joined[*table].alias.clone()));
                let choices: Vec<String> = tables.map(|table| format!("{table}.{name}")).collect();
                let help = format!("write {}", choices.join(" or "));
                self.refuse(ident.span, format!("'{name}' is a column of several tables"), help)
            }
        }
    }

    fn replace(
        &self,
        expr: &mut ast::Expr,
        resolved: Result<Option<(usize, usize)>, ProjectError>,
    ) -> ControlFlow<ProjectError> {
        match resolved {
            Err(error) => return ControlFlow::Break(error),
            Ok(None) => {}
            Ok(Some((table, column))) => *expr = self.joined[table].lookup(column),
        }
        ControlFlow::Continue(())
    }

    fn rewrite(&self, select: &mut ast::Select) -> Result<(), ProjectError> {
        if self.joined.is_empty() {
            return Ok(());
        }
        let replace = |expr: &mut ast::Expr| self.replace(expr, self.resolve(expr));
        select.projection.iter_mut().try_for_each(|item| broken(visit_expressions_mut(item, replace)))?;
        broken(visit_expressions_mut(&mut select.selection, replace))?;
        broken(visit_expressions_mut(&mut select.group_by, replace))?;
        // HAVING can name the columns of the answer, and those come first there.
        let aliases: Vec<String> = select.projection.iter().filter_map(alias_of).collect();
        broken(visit_expressions_mut(&mut select.having, |expr| match expr {
            ast::Expr::Identifier(ident) if aliases.contains(&normalized(ident)) => ControlFlow::Continue(()),
            expr => replace(expr),
        }))?;
        for joined in self.joined.iter().filter(|joined| joined.inner) {
            select.selection = Some(match select.selection.take() {
                Some(condition) => ast::Expr::BinaryOp {
                    left: Box::new(joined.is_match()),
                    op: ast::BinaryOperator::And,
                    right: Box::new(ast::Expr::Nested(Box::new(condition))),
                },
                None => joined.is_match(),
            });
        }
        Ok(())
    }
}

fn broken(flow: ControlFlow<ProjectError>) -> Result<(), ProjectError> {
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn table_alias(table: &ast::TableFactor) -> Option<String> {
    match table {
        ast::TableFactor::Table { alias: Some(alias), .. } => Some(normalized(&alias.name)),
        _ => None,
    }
}

fn alias_of(item: &ast::SelectItem) -> Option<String> {
    match item {
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(normalized(alias)),
        _ => None,
    }
}

fn call(function: &str, args: &[ast::Expr]) -> ast::Expr {
    let arg = |expr: &ast::Expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr.clone()));
    let list =
        ast::FunctionArgumentList { duplicate_treatment: None, args: args.iter().map(arg).collect(), clauses: vec![] };
    ast::Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![ast::Ident::with_quote('"', function)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
