//! AND and OR, whose right side is evaluated for exactly the rows that the left side leaves open.
//!
//! DataFusion decides by the batch whether it evaluates the right side at all; then what fails in it
//! would depend on how rows are batched.

use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, and_kleene, is_not_null, not, or_kleene};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

/// `left AND right` or `left OR right` in three-valued logic.
#[derive(Debug, Clone)]
pub struct Kleene {
    pub left: Arc<dyn PhysicalExpr>,
    pub right: Arc<dyn PhysicalExpr>,
    pub is_and: bool,
    /// Whether evaluating the right side can fail.
    pub fallible: bool,
}

impl PartialEq for Kleene {
    fn eq(&self, other: &Self) -> bool {
        self.left.eq(&other.left) && self.right.eq(&other.right) && self.is_and == other.is_and
    }
}

impl Eq for Kleene {}

impl Hash for Kleene {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.left.hash(state);
        self.right.hash(state);
        self.is_and.hash(state);
    }
}

impl Display for Kleene {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} {} {})", self.left, if self.is_and { "AND" } else { "OR" }, self.right)
    }
}

impl Kleene {
    /// The rows that the left side decides alone: FALSE for AND, TRUE for OR.
    fn open(&self, left: &BooleanArray) -> Result<BooleanArray> {
        let decides = if self.is_and { not(left)? } else { left.clone() };
        let decided = match decides.null_count() {
            0 => decides,
            _ => and(&known_or_false(&decides), &is_not_null(&decides)?)?,
        };
        Ok(not(&decided)?)
    }

    fn right(&self, batch: &RecordBatch, left: &BooleanArray) -> Result<BooleanArray> {
        let value = match self.fallible {
            true => self.right.evaluate_selection(batch, &self.open(left)?)?,
            false => self.right.evaluate(batch)?,
        };
        Ok(value.into_array(batch.num_rows())?.as_boolean().clone())
    }
}

fn known_or_false(values: &BooleanArray) -> BooleanArray {
    BooleanArray::new(values.values().clone(), None)
}

impl PhysicalExpr for Kleene {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = self.left.evaluate(batch)?.into_array(batch.num_rows())?.as_boolean().clone();
        let right = self.right(batch, &left)?;
        let both = if self.is_and { and_kleene(&left, &right)? } else { or_kleene(&left, &right)? };
        Ok(ColumnarValue::Array(Arc::new(both)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let (left, right) = (children[0].clone(), children[1].clone());
        Ok(Arc::new(Self { left, right, is_and: self.is_and, fallible: self.fallible }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}
