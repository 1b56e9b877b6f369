use super::*;
use anabranch_model::project::{Reference, ReferenceFormat};

fn table(name: &str, key: &[&str], columns: &[(&str, &str, ArrayRef)]) -> (String, Arc<ReferenceTable>) {
    let reference = Reference {
        name: name.into(),
        file: format!("{name}.csv"),
        format: ReferenceFormat::Csv,
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        columns: columns.iter().map(|(name, kind, _)| Column::parse(name, kind).unwrap()).collect(),
    };
    let rows = RecordBatch::try_from_iter(columns.iter().map(|(name, _, values)| (*name, values.clone()))).unwrap();
    (name.to_owned(), Arc::new(ReferenceTable::new(&reference, rows, None).unwrap()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Letters a and b by name, and what counts from 1 to 3 are called.
fn references() -> BTreeMap<String, Arc<ReferenceTable>> {
    let letters: [(&str, &str, ArrayRef); 3] = [
        ("letter", "VARCHAR", texts(&[Some("a"), Some("b")])),
        ("name", "VARCHAR", texts(&[Some("alpha"), None])),
        ("rank", "INT", Arc::new(Int32Array::from(vec![1, 2]))),
    ];
    let ranks: [(&str, &str, ArrayRef); 2] = [
        ("n", "BIGINT", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("word", "VARCHAR", texts(&[Some("one"), Some("two"), Some("three")])),
    ];
    let pairs: [(&str, &str, ArrayRef); 3] = [
        ("n", "SMALLINT", Arc::new(Int16Array::from(vec![1, 1]))),
        ("letter", "VARCHAR", texts(&[Some("a"), Some("b")])),
        ("bonus", "DECIMAL(4,1)", Arc::new(Decimal128Array::from(vec![5, 7]).with_precision_and_scale(4, 1).unwrap())),
    ];
    BTreeMap::from([
        table("letters", &["letter"], &letters),
        table("ranks", &["n"], &ranks),
        table("pairs", &["letter", "n"], &pairs),
    ])
}

fn parse_joined(sql: &str) -> Result<ViewPlan, ProjectError> {
    ViewPlan::parse_joined("v.sql", sql, &BTreeMap::from([("orders".to_owned(), source())]), &references())
}

fn joined(sql: &str) -> Vec<String> {
    rows_of(parse_joined(sql).unwrap())
}

#[test]
fn an_inner_join_leaves_out_what_has_no_match_and_a_left_join_gives_null() {
    let sql = "SELECT l.name, count(*) AS c FROM orders AS o JOIN letters l ON o.k = l.letter GROUP BY l.name";
    assert_eq!(joined(sql), ["|1", "alpha|2"]);
    let sql = "SELECT name, count(*) AS c, sum(rank) AS r FROM orders LEFT JOIN letters ON letter = k GROUP BY name";
    assert_eq!(joined(sql), ["|2|2", "alpha|2|2"]);
}

#[test]
fn joined_columns_go_wherever_an_expression_goes() {
    let sql = "SELECT upper(l.name) AS loud, window_start, sum(l.rank * n) AS s, count(*) FILTER (WHERE rank = 1) AS c \
               FROM orders JOIN letters AS l ON l.letter = k WHERE l.rank < 2 AND price > 1 \
               GROUP BY upper(l.name), tumble(ts, INTERVAL '1 day') HAVING sum(l.rank) > 1 AND c = 2";
    assert_eq!(joined(sql), ["ALPHA|1970-01-01T00:00:00|1|2"]);
}

#[test]
fn keys_of_several_columns_and_of_other_joins() {
    let sql =
        "SELECT sum(bonus) AS s, count(bonus) AS c FROM orders o LEFT JOIN pairs p ON o.k = p.letter AND (p.n = o.n)";
    assert_eq!(joined(sql), ["0.5|1"]);
    let sql =
        "SELECT word, count(*) AS c FROM orders JOIN letters USING (k) JOIN ranks ON rank = ranks.n GROUP BY word";
    assert!(parse_joined(sql).unwrap_err().to_string().contains("not in the reference's key"));
    let sql =
        "SELECT word, count(*) AS c FROM orders JOIN letters ON k = letter JOIN ranks r ON rank = r.n GROUP BY word";
    assert_eq!(joined(sql), ["one|2", "two|1"]);
    let sql = "SELECT n, word, count(*) AS c FROM orders JOIN ranks USING (n) GROUP BY n, word";
    assert_eq!(joined(sql), ["1|one|1", "3|three|1"]);
}

#[test]
fn one_table_can_be_joined_in_two_roles() {
    let sql = "SELECT a.word AS first, b.word AS second FROM orders o LEFT JOIN ranks a ON a.n = o.n \
               LEFT JOIN ranks b ON b.n = o.n + 1 WHERE o.n > 0 GROUP BY a.word, b.word HAVING count(*) = 1";
    assert_eq!(joined(sql), ["one|two", "three|"]);
    assert_eq!(parse_joined(sql).unwrap().definition.references.len(), 1);
}

#[test]
fn the_definition_pins_the_rows_and_is_read_over_them() {
    let sql = "SELECT name, count(*) AS c FROM orders JOIN letters ON k = letter GROUP BY name";
    let plan = parse_joined(sql).unwrap();
    assert_eq!(plan.definition.references, [references()["letters"].pin().clone()]);
    let stored = serde_json::to_string(&plan.definition).unwrap();
    let again = ViewPlan::of_definition("v.sql", &serde_json::from_str(&stored).unwrap(), &plan.references).unwrap();
    assert_eq!((&again.fingerprint, &again.definition), (&plan.fingerprint, &plan.definition));
    let missing: Vec<Arc<ReferenceTable>> = Vec::new();
    let error = ViewPlan::of_definition("v.sql", &plan.definition, &missing).unwrap_err();
    assert!(error.to_string().contains("letters") && !error.help.is_empty(), "{error}");
}

/// The same declaration over other rows.
fn of_rows(table: &ReferenceTable, rows: RecordBatch, version: Option<u64>) -> ReferenceTable {
    let pin = table.pin().clone();
    let (file, format) = (String::new(), ReferenceFormat::Delta);
    let reference = Reference { name: pin.name, file, format, key: pin.key, columns: pin.columns };
    ReferenceTable::new(&reference, rows, version).unwrap()
}

#[test]
fn the_fingerprint_follows_the_contents_and_not_the_version_of_a_table() {
    let sql = "SELECT name, count(*) AS c FROM orders JOIN letters ON k = letter GROUP BY name";
    let fingerprint = |change: fn(&mut ReferenceTable)| {
        let mut tables = references();
        change(Arc::get_mut(tables.get_mut("letters").unwrap()).unwrap());
        let sources = BTreeMap::from([("orders".to_owned(), source())]);
        ViewPlan::parse_joined("v.sql", sql, &sources, &tables).unwrap().fingerprint
    };
    let same = fingerprint(|_| ());
    let versioned = fingerprint(|table| *table = of_rows(table, table.rows().clone(), Some(7)));
    let fewer = fingerprint(|table| *table = of_rows(table, table.rows().slice(0, 1), None));
    assert_eq!(same, versioned);
    assert_ne!(same, fewer);
}

#[test]
fn other_joins_are_refused_with_the_next_step() {
    for (joins, place, words) in [
        ("JOIN orders AS p ON o.k = p.k", 27, "is a source"),
        ("JOIN nowhere ON k = x", 41, "letters, pairs, ranks"),
        ("RIGHT JOIN letters ON k = letter", 47, "only INNER and LEFT"),
        ("FULL JOIN letters ON k = letter", 46, "only INNER and LEFT"),
        ("CROSS JOIN letters", 47, "only INNER and LEFT"),
        ("NATURAL JOIN letters", 49, "does not say"),
        ("JOIN letters", 41, "does not say"),
        ("JOIN letters ON k > letter", 52, "equality"),
        ("JOIN letters ON k = letter OR n = 1", 52, "equality"),
        ("JOIN letters ON k = name", 52, "not in the key"),
        ("JOIN letters ON k = 'a'", 52, "neither side"),
        ("JOIN letters l ON l.letter = l.name", 54, "both sides"),
        ("JOIN letters l ON k = l.letters", 60, "letter, name, rank"),
        ("JOIN letters l ON kk = l.letter", 54, "kk"),
        ("JOIN letters ON n = letter", 41, "cannot be compared"),
        ("JOIN ranks r ON price = r.n", 41, "cannot be compared"),
        ("JOIN ranks ON n = n", 50, "several tables"),
        ("JOIN pairs p ON k = p.letter", 41, "whole key"),
        ("JOIN letters o ON o.letter = k", 41, "two tables"),
        ("JOIN (SELECT 1) AS x ON true", 42, "by their names"),
        ("JOIN letters ON k = letter WHERE nme = 'x'", 0, "nme"),
    ] {
        let error = parse_joined(&format!("SELECT count(*) AS c FROM orders o {joins}")).expect_err(joins);
        assert!(error.to_string().contains(words) && !error.help.is_empty(), "{joins}: {error}");
        assert!(place == 0 || error.place.column == place, "{joins}: {error}");
    }
}
