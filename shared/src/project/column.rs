use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::sql::sqlparser::ast::{self, ExactNumberInfo};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use serde::{Deserialize, Serialize};

/// A declared column of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// An event without a value here is NULL if nullable, else rejected.
    pub nullable: bool,
}

impl Column {
    /// Parses a declaration such as `DECIMAL(18,2) NOT NULL`.
    pub fn parse(name: &str, declaration: &str) -> Result<Self, String> {
        let refuse = |cause: String| format!("'{declaration}' is not a column type: {cause}");
        let dialect = GenericDialect {};
        let mut parser = Parser::new(&dialect).try_with_sql(declaration).map_err(|error| refuse(error.to_string()))?;
        let kind = parser.parse_data_type().map_err(|error| refuse(error.to_string()))?;
        let not_null = parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]);
        if parser.peek_token().token != Token::EOF {
            return Err(refuse(format!("unexpected '{}'", parser.peek_token().token)));
        }
        let kind = ColumnType::from_sql(&kind).ok_or_else(|| refuse("not supported".to_owned()))?;
        Ok(Self { name: name.to_owned(), kind, nullable: !not_null })
    }

    /// The Arrow field of this column in decoded events: always nullable, because the check for
    /// NOT NULL has its own outcome.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
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
            Sql::Timestamp(None, ast::TimezoneInfo::None) => Self::Timestamp,
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
}
