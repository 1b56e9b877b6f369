use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use sqlparser::ast::{self, ExactNumberInfo};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::timestamp::{MICROSECOND_DIGITS, TimestampFormat};

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// An event without a value here is NULL if nullable, else rejected.
    pub nullable: bool,
    /// How a TIMESTAMP is written in events.
    #[serde(default, skip_serializing_if = "TimestampFormat::is_default")]
    pub format: TimestampFormat,
    /// Digits of the second that a TIMESTAMP keeps, at most [`MICROSECOND_DIGITS`]; finer ones are cut
    /// off. `None` keeps microseconds, and an event with finer digits is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// The log's own time of the event ([`INGESTION_TIME`]), which is not read from the event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_log: bool,
}

/// The built-in column of a source that names it as its event time: when the log took the event, which
/// logs know to the millisecond. It is never read from the event.
///
/// Such a source states its lateness, too. The log's times may go backwards in a partition: Kafka's
/// `CreateTime` is the producers' clocks, and with `LogAppendTime` a new leader's clock may be behind
/// the old one's. How far they may is for the user to say, since what is below does not count.
pub const INGESTION_TIME: &str = "ingestion_time";

/// Why a declaration cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnError {
    pub cause: String,
    pub help: &'static str,
}

const TYPE_HELP: &str = "use BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(precision,scale), VARCHAR, DATE or TIMESTAMP, with NOT NULL where an event without it is to be rejected";
const FORMAT_HELP: &str = "write TIMESTAMP FORMAT 'iso8601', 'epoch_seconds', 'epoch_millis', 'epoch_micros' or 'epoch_nanos', and NOT NULL after it";
const DIGITS_HELP: &str =
    "write TIMESTAMP(6), which cuts finer digits off, or TIMESTAMP, which rejects an event that has them";

impl Column {
    /// Parses a declaration such as `DECIMAL(18,2) NOT NULL` or `TIMESTAMP(6) FORMAT 'epoch_nanos'`.
    pub fn parse(name: &str, declaration: &str) -> Result<Self, ColumnError> {
        let refuse = |cause: String| ColumnError {
            cause: format!("'{declaration}' is not a column type: {cause}"),
            help: TYPE_HELP,
        };
        let dialect = GenericDialect {};
        let mut parser = Parser::new(&dialect).try_with_sql(declaration).map_err(|error| refuse(error.to_string()))?;
        let sql = parser.parse_data_type().map_err(|error| refuse(error.to_string()))?;
        let kind = ColumnType::from_sql(&sql).ok_or_else(|| refuse("not supported".to_owned()))?;
        let digits = digits(&sql)?;
        let format = format(&mut parser, kind)?;
        let not_null = parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]);
        if parser.peek_token().token != Token::EOF {
            return Err(refuse(format!("unexpected '{}'", parser.peek_token().token)));
        }
        Ok(Self { name: name.to_owned(), kind, nullable: !not_null, format, digits, from_log: false })
    }

    /// The column [`INGESTION_TIME`].
    pub fn ingestion_time() -> Self {
        Self {
            name: INGESTION_TIME.to_owned(),
            kind: ColumnType::Timestamp,
            nullable: false,
            format: TimestampFormat::default(),
            digits: None,
            from_log: true,
        }
    }

    /// The Arrow field of this column in decoded events: always nullable, because the check for
    /// NOT NULL has its own outcome.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
    }
}

/// The precision of a TIMESTAMP, if it states one.
fn digits(sql: &ast::DataType) -> Result<Option<u8>, ColumnError> {
    let ast::DataType::Timestamp(Some(digits), _) = sql else { return Ok(None) };
    match u8::try_from(*digits) {
        Ok(digits) if digits <= MICROSECOND_DIGITS => Ok(Some(digits)),
        _ => Err(ColumnError { cause: format!("TIMESTAMP({digits}) is finer than microseconds"), help: DIGITS_HELP }),
    }
}

/// `FORMAT 'name'`, if it comes next.
fn format(parser: &mut Parser, kind: ColumnType) -> Result<TimestampFormat, ColumnError> {
    if !parser.parse_keyword(Keyword::FORMAT) {
        return Ok(TimestampFormat::default());
    }
    let refuse = |cause: String| Err(ColumnError { cause, help: FORMAT_HELP });
    if kind != ColumnType::Timestamp {
        return refuse("only a TIMESTAMP has a FORMAT".to_owned());
    }
    match parser.next_token().token {
        Token::SingleQuotedString(name) => match TimestampFormat::of_name(&name) {
            Some(format) => Ok(format),
            None => refuse(format!("unknown format '{name}'")),
        },
        other => refuse(format!("the name of a format in single quotes must follow FORMAT, not {other}")),
    }
}

/// The types a source column can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Varchar,
    Date,
    /// Microseconds, in UTC.
    Timestamp,
}

impl ColumnType {
    /// Its name in SQL, without precision and scale.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::TinyInt => "TINYINT",
            Self::SmallInt => "SMALLINT",
            Self::Int => "INT",
            Self::BigInt => "BIGINT",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Decimal { .. } => "DECIMAL",
            Self::Varchar => "VARCHAR",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
        }
    }

    /// The Arrow type that holds it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Varchar => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    fn from_sql(kind: &ast::DataType) -> Option<Self> {
        use ast::DataType as Sql;
        Some(match kind {
            Sql::Boolean | Sql::Bool => Self::Boolean,
            Sql::TinyInt(_) => Self::TinyInt,
            Sql::SmallInt(_) => Self::SmallInt,
            Sql::Int(_) | Sql::Integer(_) => Self::Int,
            Sql::BigInt(_) => Self::BigInt,
            Sql::Real | Sql::Float(_) => Self::Float,
            Sql::Double(_) | Sql::DoublePrecision => Self::Double,
            Sql::Decimal(info) | Sql::Numeric(info) => Self::decimal(info)?,
            Sql::Varchar(None) | Sql::Text | Sql::String(None) => Self::Varchar,
            Sql::Date => Self::Date,
            Sql::Timestamp(_, ast::TimezoneInfo::None) => Self::Timestamp,
            _ => return None,
        })
    }

    fn decimal(info: &ExactNumberInfo) -> Option<Self> {
        let (precision, scale) = match info {
            ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
            ExactNumberInfo::Precision(precision) => (*precision, 0),
            ExactNumberInfo::None => return None,
        };
        let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
        let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
        fits.then_some(Self::Decimal { precision, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_type_and_nullability() {
        let column = Column::parse("amount", "DECIMAL(18,2) NOT NULL").unwrap();
        assert_eq!(column.kind, ColumnType::Decimal { precision: 18, scale: 2 });
        assert!(!column.nullable);
        assert!(Column::parse("note", "varchar").unwrap().nullable);
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        for declaration in ["", "MONEY", "DECIMAL", "DECIMAL(39,2)", "DECIMAL(4,5)", "INT NULL NULL", "INT; DROP"] {
            assert!(Column::parse("x", declaration).is_err(), "{declaration}");
        }
    }
    #[test]
    fn a_timestamp_may_have_a_format_and_a_precision() {
        let parse = |declaration: &str| {
            let column = Column::parse("ts", declaration).unwrap();
            assert_eq!(column.kind, ColumnType::Timestamp);
            (column.format, column.digits, column.nullable)
        };
        assert_eq!(parse("TIMESTAMP"), (TimestampFormat::Iso8601, None, true));
        assert_eq!(parse("timestamp format 'epoch_millis' not null"), (TimestampFormat::EpochMillis, None, false));
        assert_eq!(parse("TIMESTAMP(6) FORMAT 'epoch_nanos'"), (TimestampFormat::EpochNanos, Some(6), true));
        assert_eq!(parse("TIMESTAMP(0) NOT NULL"), (TimestampFormat::Iso8601, Some(0), false));
        for format in TimestampFormat::ALL {
            assert_eq!(parse(&format!("TIMESTAMP FORMAT '{}'", format.name())).0, format);
        }
    }

    #[test]
    fn a_format_or_precision_that_cannot_be_is_refused_with_the_next_step() {
        for (declaration, cause, help) in [
            ("TIMESTAMP(7)", "finer than microseconds", "TIMESTAMP(6)"),
            ("TIMESTAMP(9) FORMAT 'epoch_nanos'", "finer than microseconds", "TIMESTAMP(6)"),
            ("TIMESTAMP(300)", "finer than microseconds", "TIMESTAMP(6)"),
            ("TIMESTAMP FORMAT 'unix'", "unknown format 'unix'", "'epoch_seconds'"),
            ("TIMESTAMP FORMAT", "must follow FORMAT", "'epoch_seconds'"),
            ("TIMESTAMP FORMAT epoch_millis", "must follow FORMAT, not epoch_millis", "'epoch_millis'"),
            ("BIGINT FORMAT 'epoch_millis'", "only a TIMESTAMP", "TIMESTAMP FORMAT"),
            ("DATE FORMAT 'iso8601'", "only a TIMESTAMP", "TIMESTAMP FORMAT"),
            ("TIMESTAMP NOT NULL FORMAT 'epoch_millis'", "unexpected 'FORMAT'", "TIMESTAMP"),
            ("TIMESTAMP(3) WITH TIME ZONE", "not supported", "TIMESTAMP"),
        ] {
            let error = Column::parse("ts", declaration).unwrap_err();
            assert!(error.cause.contains(cause) && error.help.contains(help), "{declaration}: {error:?}");
        }
    }

    #[test]
    fn what_is_not_declared_is_not_stored() {
        let stored = |declaration| serde_json::to_string(&Column::parse("ts", declaration).unwrap()).unwrap();
        assert_eq!(stored("TIMESTAMP"), r#"{"name":"ts","type":"timestamp","nullable":true}"#);
        assert_eq!(stored("TIMESTAMP FORMAT 'iso8601'"), stored("TIMESTAMP"));
        let nanos = stored("TIMESTAMP(6) FORMAT 'epoch_nanos' NOT NULL");
        let expected = r#"{"name":"ts","type":"timestamp","nullable":false,"format":"epoch_nanos","digits":6}"#;
        assert_eq!(nanos, expected);
        for json in [&stored("TIMESTAMP"), &nanos] {
            assert_eq!(&serde_json::to_string(&serde_json::from_str::<Column>(json).unwrap()).unwrap(), json);
        }
    }
}
