//! A column of rows that wait for the end of an epoch: it grows by whole columns, and is small.

use arrow_array::ArrayRef;
use millpond_columns::builder::ColumnBuilder;
use millpond_columns::view::{ints_like, required_ints};

/// A growing column, which keeps integers as their distances from the first one while these fit 32 bits: most rows of
/// an epoch wait until all have come, and memory that is not in use yet is dear.
#[derive(Debug)]
pub(crate) struct CompactColumn {
    near: Option<Offsets32>,
    /// All cells, unless they are near.
    buffer: ColumnBuilder,
}

/// Integers near to each other, none of them null.
#[derive(Debug)]
struct Offsets32 {
    /// A column of their type.
    like: ArrayRef,
    first: i64,
    distances: Vec<i32>,
}

impl CompactColumn {
    /// An empty column of the type of `array`.
    pub(crate) fn like(array: &ArrayRef) -> Self {
        let first = required_ints(array).map(|ints| ints.first().copied().unwrap_or_default());
        let near = first.map(|first| Offsets32 { like: array.slice(0, 0), first, distances: Vec::new() });
        CompactColumn { near, buffer: ColumnBuilder::like(array) }
    }

    /// Appends all cells of `array`.
    pub(crate) fn append(&mut self, array: &ArrayRef) {
        if let Some(mut near) = self.near.take() {
            if near.append(array) {
                self.near = Some(near);
                return;
            }
            self.buffer.append(&near.finish());
        }
        self.buffer.append(array);
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.near.as_ref().map_or_else(|| self.buffer.bytes(), |near| size_of_val(&*near.distances))
    }

    /// The column.
    pub(crate) fn finish(self) -> ArrayRef {
        self.near.map_or_else(|| self.buffer.finish(), Offsets32::finish)
    }
}

impl Offsets32 {
    /// Appends all cells of `array`, or none if one is null or too far away.
    fn append(&mut self, array: &ArrayRef) -> bool {
        let Some(ints) = required_ints(array) else { return false };
        let (low, high) = ints.iter().fold((i64::MAX, i64::MIN), |(low, high), &int| (low.min(int), high.max(int)));
        let fits = |int: i64| int.checked_sub(self.first).is_some_and(|distance| i32::try_from(distance).is_ok());
        let all_fit = ints.is_empty() || (fits(low) && fits(high));
        if all_fit {
            self.distances.extend(ints.iter().map(|&int| int.wrapping_sub(self.first) as i32));
        }
        all_fit
    }

    fn finish(self) -> ArrayRef {
        ints_like(&self.like, self.distances.iter().map(|&distance| self.first + i64::from(distance)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray, TimestampNanosecondArray};
    use arrow_select::concat::concat;

    use super::*;

    fn grown(parts: &[ArrayRef]) -> CompactColumn {
        let mut column = CompactColumn::like(&parts[0]);
        parts.iter().for_each(|part| column.append(part));
        column
    }

    /// Wherever cells get too far away or null, or the type is another one, all are there in the end.
    #[test]
    fn it_grows_by_whole_columns() {
        let ints = |ints: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(ints.to_vec())) };
        let near = i64::from(i32::MAX);
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![5, 7]).with_timezone("UTC"));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "bc"]));
        let cases: [(Vec<ArrayRef>, bool); 9] = [
            (vec![ints(&[7, 8]), ints(&[]), ints(&[7 + near, 6 - near])], true),
            (vec![ints(&[7]), ints(&[8]), ints(&[8 + near]), ints(&[9])], false),
            (vec![ints(&[7]), ints(&[5 - near - 1]), ints(&[9])], false),
            (vec![ints(&[i64::MIN]), ints(&[i64::MAX]), ints(&[0])], false),
            (vec![ints(&[-1]), ints(&[i64::MAX])], false),
            (vec![ints(&[]), ints(&[3])], true),
            (vec![ints(&[1, 2]), null.clone(), ints(&[3])], false),
            (vec![time.clone(), time.slice(1, 1)], true),
            (vec![text.clone(), text.slice(1, 1)], false),
        ];
        for (parts, is_near) in cases {
            let column = grown(&parts);
            assert_eq!(column.near.is_some(), is_near, "{parts:?}");
            let expected = concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>()).unwrap();
            assert_eq!(column.finish().as_ref(), expected.as_ref());
        }
    }
}
