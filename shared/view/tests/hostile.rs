//! Every scalar function that a view accepts, with arguments that it may not like: the ends of every
//! type, NULL, NaN, infinities, empty and odd text, patterns and paths that are none, lengths beyond all
//! memory. The functions come from the registry, so a new one is covered by itself.
//!
//! Whatever the arguments, a function has a value or none for each row, the same in any batch, within
//! bounds of memory and time. `docs/reference/functions.md` lists what came out; `BLESS=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_view::expression::{Failures, TooLarge, compile, quiet_contained_panics, total};
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use arrow::util::display::array_value_to_string;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, Volatility, col, lit};

const ROWS: usize = 40;
/// Combinations of argument types tried for each number of arguments.
const COMBINATIONS: usize = 3;
/// Times that a combination is tried with literals.
const LITERALS: usize = 3;
const MOST_ARGUMENTS: usize = 4;
const SLOWEST: Duration = Duration::from_secs(20);
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/functions.md");

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn texts() -> ArrayRef {
    let long = "x".repeat(5000);
    Arc::new(StringArray::from(vec![
        None,
        Some(""),
        Some(" "),
        Some("abc"),
        Some("ABC def"),
        Some("0"),
        Some("-1.5"),
        Some("9223372036854775808"),
        Some("NaN"),
        Some("2026-01-01T00:00:00Z"),
        Some("9999-12-31 23:59:59.999999"),
        Some("0001-01-01"),
        Some("month"),
        Some("%Y-%m-%d"),
        Some("%Q%%%"),
        Some("("),
        Some("(a{1000}){1000}"),
        Some("[[:alpha:]]+|$"),
        Some("\\1$0${9}"),
        Some("g"),
        Some("i"),
        Some("Int64"),
        Some("UTC"),
        Some("base64"),
        Some("hex"),
        Some("sha256"),
        Some(","),
        Some("{\"a\":[1,{\"b\":null}],\"a\":1e999}"),
        Some("[1,2"),
        Some("$.a[*]"),
        Some("\u{1F600}é\u{10FFFF}"),
        Some("\u{0}"),
        Some("http://[::1]:99999/%zz?x"),
        Some(&long),
    ]))
}

fn integers() -> ArrayRef {
    let values =
        [i64::MIN, i64::MIN + 1, -(1 << 40), -65536, -2, -1, 0, 1, 2, 3, 7, 31, 32, 63, 64, 65, 255, 256, 1 << 20];
    let more = [i64::from(i32::MIN), i64::from(i32::MAX), (1 << 31) + 1, 1 << 40, i64::MAX - 1, i64::MAX];
    Arc::new(values.into_iter().chain(more).map(Some).chain([None]).collect::<Int64Array>())
}

fn doubles() -> ArrayRef {
    let values = [0.0, -0.0, 1.0, -1.5, 0.1, 1e308, -1e308, 5e-324, f64::MIN_POSITIVE, 9007199254740993.0, 1e19, -1e19];
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    Arc::new(values.into_iter().chain(odd).map(Some).chain([None]).collect::<Float64Array>())
}

fn times() -> ArrayRef {
    let ends = [-62_135_596_800_000_000, 253_402_300_799_999_999, i64::MIN, i64::MAX];
    let values = ends.into_iter().chain([0, -1, 1_700_000_000_123_456]).map(Some).chain([None]);
    Arc::new(values.collect::<TimestampMicrosecondArray>())
}

fn dates() -> ArrayRef {
    Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), Some(i32::MIN), Some(i32::MAX), Some(0), None]))
}

fn decimals() -> ArrayRef {
    let values = vec![Some(0), Some(1), Some(-1), Some(10i128.pow(38) - 1), Some(1 - 10i128.pow(38)), None];
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap())
}

fn lists(of: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(of.data_type().clone(), true));
    let lengths = [0, 1, 2, 7, 0, 3];
    let values = of.slice(0, lengths.iter().sum());
    let nulls = NullBuffer::from(vec![true, true, true, true, false, true]);
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, Some(nulls)))
}

fn booleans() -> ArrayRef {
    Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))
}

/// The hostile values of the types that an argument is tried with.
fn pools() -> Vec<ArrayRef> {
    let smaller = |of: ArrayRef, data_type: DataType| cast(&of, &data_type).unwrap();
    vec![
        texts(),
        integers(),
        doubles(),
        times(),
        dates(),
        decimals(),
        booleans(),
        smaller(integers(), DataType::Int32),
        smaller(texts(), DataType::Binary),
        smaller(times(), DataType::Timestamp(TimeUnit::Nanosecond, None)),
        lists(integers()),
        lists(texts()),
        lists(doubles()),
    ]
}

/// Every choice of this many of the pools, in the order of the pools.
fn choices(arguments: usize, pools: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..arguments {
        all = all
            .into_iter()
            .flat_map(|chosen| (0..pools).map(move |pool| [chosen.clone(), vec![pool]].concat()))
            .collect();
    }
    all
}

/// The argument types of a function that it takes, up to a few for each number of arguments.
fn accepted(function: &ScalarUDF, pools: &[ArrayRef]) -> Vec<Vec<usize>> {
    let field = |pool: &usize| -> FieldRef { Arc::new(Field::new("x", pools[*pool].data_type().clone(), true)) };
    let fits = |chosen: &Vec<usize>| {
        let fields: Vec<FieldRef> = chosen.iter().map(field).collect();
        fields_with_udf(&fields, function).is_ok()
    };
    let of = |arguments| choices(arguments, if arguments > 3 { 2 } else { pools.len() });
    let mut random = Random(function.name().len() as u64);
    let mut taken = Vec::new();
    for arguments in 0..=MOST_ARGUMENTS {
        let mut fitting: Vec<Vec<usize>> = of(arguments).into_iter().filter(fits).collect();
        while fitting.len() > COMBINATIONS {
            fitting.swap_remove(random.below(fitting.len()));
        }
        taken.extend(fitting);
    }
    taken
}

struct Called {
    rows: usize,
    without_value: u64,
}

/// Calls a function with hostile columns of these types, at once and row by row. With `literals`, all
/// arguments but the last are literals of the first row. `None` where a check refuses it.
fn call(
    state: &SessionState,
    function: &Arc<ScalarUDF>,
    columns: &[ArrayRef],
    literals: bool,
) -> Result<Option<Called>> {
    let fields: Vec<FieldRef> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| Arc::new(Field::new(format!("a{i}"), c.data_type().clone(), true)))
        .collect();
    let schema = Arc::new(Schema::new(fields.clone()));
    let events = DFSchema::try_from(schema.clone())?;
    let mut args = Vec::new();
    for (i, coerced) in fields_with_udf(&fields, function.as_ref())?.iter().enumerate() {
        let is_literal = literals && i + 1 < columns.len();
        let arg = if is_literal { lit(ScalarValue::try_from_array(&columns[i], 0)?) } else { col(format!("a{i}")) };
        args.push(arg.cast_to(coerced.data_type(), &events)?);
    }
    let Ok(expr) = total(function.call(args), &events, state) else { return Ok(None) };
    let Ok(compiled) = compile(&expr, &events, state.execution_props()) else { return Ok(None) };
    let options = RecordBatchOptions::new().with_row_count(Some(ROWS));
    let batch = RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)?;
    let start = Instant::now();
    let (whole, failed) = Failures::count(|| compiled.evaluate(&batch)?.into_array(ROWS));
    // A view evaluates such a batch in parts.
    let too_large = whole.as_ref().is_err_and(TooLarge::is);
    let one = |row| compiled.evaluate(&batch.slice(row, 1))?.into_array(1);
    let (single, failed_singly) = Failures::count(|| (0..ROWS).map(one).collect::<Result<Vec<ArrayRef>>>());
    let single = single?;
    if start.elapsed() > SLOWEST {
        return exec_err!("{expr}: took {:?}", start.elapsed());
    }
    if too_large {
        return Ok(Some(Called { rows: ROWS, without_value: failed_singly }));
    }
    let whole = whole?;
    let single: Vec<&dyn Array> = single.iter().map(|array| array.as_ref()).collect();
    let joined = concat(&single)?;
    if shown(&whole)? != shown(&joined)? || failed != failed_singly {
        return exec_err!("{expr}: another value in another batch");
    }
    if whole.get_array_memory_size() > 1 << 30 {
        return exec_err!("{expr}: {} bytes", whole.get_array_memory_size());
    }
    Ok(Some(Called { rows: ROWS, without_value: failed }))
}

fn shown(values: &ArrayRef) -> Result<Vec<String>> {
    (0..values.len()).map(|row| Ok(array_value_to_string(values, row)?)).collect()
}

fn columns(pools: &[ArrayRef], chosen: &[usize], random: &mut Random) -> Vec<ArrayRef> {
    let column = |pool: &usize| {
        let rows: UInt32Array = (0..ROWS).map(|_| Some(random.below(pools[*pool].len()) as u32)).collect();
        take(&pools[*pool], &rows, None).unwrap()
    };
    chosen.iter().map(column).collect()
}

const INTRODUCTION: &str = "# Scalar functions in views\n\n\
    Each function below was called with hostile arguments of the types that it takes: the ends of every type, NULL, NaN,\n\
    infinities, empty and odd text, patterns that are none, lengths beyond all memory. Where a function has no value, because\n\
    it fails, panics or would give more than 32 MiB, the value is NULL for that event, and the event counts as one whose\n\
    evaluation failed; NULLs that a function gives by itself are not counted. Every function gave the same in batches of 40\n\
    rows and row by row. `cargo test --workspace --test hostile` checks this page; `BLESS=1` writes it.\n\n\
    Refused by name, because they give another answer at another time: ";

fn page(results: &BTreeMap<String, Called>, refused: &[String], notation: &[String]) -> String {
    let mut text = format!("{INTRODUCTION}{}.\n\n", list(refused));
    let _ = write!(text, "Written out as other expressions before anything runs: {}.\n\n", list(notation));
    let _ = write!(text, "| function | calls | without a value |\n|---|---|---|\n");
    for (name, called) in results {
        let _ = writeln!(text, "| `{name}` | {} | {} |", called.rows, called.without_value);
    }
    text
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn hostile_arguments_have_a_value_or_none_and_stop_nothing() {
    quiet_contained_panics();
    let (state, pools) = (anabranch_view::session(), pools());
    let (mut results, mut refused, mut notation, mut wrong) = (BTreeMap::new(), vec![], vec![], vec![]);
    let mut names: Vec<&String> = state.scalar_functions().keys().collect();
    names.sort();
    for name in names {
        let function = &state.scalar_functions()[name];
        if function.name() != name || is_window(name) {
            continue;
        }
        if function.signature().volatility != Volatility::Immutable {
            refused.push(name.clone());
            continue;
        }
        let mut random = Random(7);
        let mut sum = Called { rows: 0, without_value: 0 };
        for chosen in accepted(function, &pools) {
            let with_literals = if chosen.len() > 1 { LITERALS } else { 0 };
            for literals in std::iter::once(false).chain(std::iter::repeat_n(true, with_literals)) {
                let columns = columns(&pools, &chosen, &mut random);
                match call(&state, function, &columns, literals) {
                    Ok(Some(called)) => {
                        sum.rows += called.rows;
                        sum.without_value += called.without_value;
                    }
                    Ok(None) => {}
                    Err(cause) => wrong.push(format!("{name}: {}", cause.strip_backtrace())),
                }
            }
        }
        match sum.rows {
            0 => notation.push(name.clone()),
            _ => drop(results.insert(name.clone(), sum)),
        }
    }
    assert!(wrong.is_empty(), "{} calls are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let found = page(&results, &refused, &notation);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, &found).unwrap();
    }
    assert!(results.len() > 150, "{} functions", results.len());
    assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), found, "BLESS=1 writes the page anew");
}

fn is_window(name: &str) -> bool {
    ["tumble", "hop", "cumulate", "session", "__window_end"].contains(&name)
}

/// The growth of a value is told before it is made.
#[test]
fn a_value_beyond_all_memory_is_none() {
    let state = anabranch_view::session();
    for sql in ["lpad('a', 9223372036854775807)", "repeat('ab', 9223372036854775807)", "rpad('a', 1099511627776, 'bc')"]
    {
        let error =
            state.create_logical_expr(sql, &DFSchema::empty()).and_then(|expr| total(expr, &DFSchema::empty(), &state));
        let error = error.map(|expr: Expr| expr.to_string()).unwrap_err().strip_backtrace();
        assert!(error.contains("has no value for these arguments"), "{sql}: {error}");
    }
}
