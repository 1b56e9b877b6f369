//! Which rows go to which group.

use arrow::array::{Array, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};

/// Which rows go to which group.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    pub groups: &'a [usize],
    pub filter: Option<&'a BooleanArray>,
}

impl<'a> Selection<'a> {
    /// The groups of the rows, if all of them are selected and none is NULL.
    #[inline]
    pub fn dense(self, nulls: Option<&NullBuffer>) -> Option<&'a [usize]> {
        let is_dense = self.filter.is_none() && nulls.is_none_or(|nulls| nulls.null_count() == 0);
        is_dense.then_some(self.groups)
    }

    /// Calls `f(columns, groups)` with the selected rows in which no column is NULL, many at a time;
    /// [`each_row`] goes through them. What `f` changes should become its local there (`let sums = &mut
    /// *sums`): what a closure captures is loaded again for every row.
    #[inline]
    pub fn for_each_run<T: ArrowPrimitiveType, const N: usize>(
        self,
        columns: [&PrimitiveArray<T>; N],
        mut f: impl FnMut([&[T::Native]; N], &[usize]),
    ) {
        let union =
            |nulls: Option<NullBuffer>, column: &&PrimitiveArray<T>| NullBuffer::union(nulls.as_ref(), column.nulls());
        let nulls = columns.iter().fold(None, union);
        if let Some(groups) = self.dense(nulls.as_ref()) {
            return f(columns.map(|column| &column.values()[..]), groups);
        }
        const RUN: usize = 256;
        let (mut runs, mut groups, mut length) = ([[T::Native::default(); RUN]; N], [0; RUN], 0);
        self.for_each(nulls.as_ref(), |row, group| {
            runs.iter_mut().zip(columns).for_each(|(run, column)| run[length] = column.value(row));
            groups[length] = group;
            length += 1;
            if length == RUN {
                f(runs.each_ref().map(|run| &run[..]), &groups);
                length = 0;
            }
        });
        f(runs.each_ref().map(|run| &run[..length]), &groups[..length]);
    }

    /// Calls `f(row, group)` for every selected row that is valid in `nulls`.
    #[inline]
    pub fn for_each(self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize)) {
        match self.dense(nulls) {
            Some(groups) => groups.iter().enumerate().for_each(|(row, group)| f(row, *group)),
            None => self.selected(nulls).set_indices().for_each(|row| f(row, self.groups[row])),
        }
    }

    /// One bit per row: selected, and valid in `nulls`.
    fn selected(self, nulls: Option<&NullBuffer>) -> BooleanBuffer {
        let passes = self.filter.map(|filter| match filter.nulls() {
            Some(known) => filter.values() & known.inner(),
            None => filter.values().clone(),
        });
        match (passes, nulls.map(NullBuffer::inner)) {
            (Some(passes), Some(valid)) => &passes & valid,
            (Some(passes), None) => passes,
            (None, Some(valid)) => valid.clone(),
            (None, None) => BooleanBuffer::new_set(self.groups.len()),
        }
    }
}

/// Calls `f(value, group)` for each row; eight rows at a time, so that what `f` checks costs no more
/// than the loop does without it.
#[inline(always)]
pub fn each_row<V: Copy>(values: &[V], groups: &[usize], mut f: impl FnMut(V, usize)) {
    let ((values, last), (groups, last_groups)) = (values.as_chunks::<8>(), groups.as_chunks::<8>());
    for (values, groups) in values.iter().zip(groups) {
        values.iter().zip(groups).for_each(|(value, group)| f(*value, *group));
    }
    last.iter().zip(last_groups).for_each(|(value, group)| f(*value, *group));
}
