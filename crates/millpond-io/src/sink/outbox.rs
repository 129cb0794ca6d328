//! An outbox: changes that wait for the commit of their epochs to be delivered, and the bytes that the commit keeps of
//! them.
//!
//! The bytes are parts of a few MiB, each an Arrow IPC stream. Its first two columns are the epoch and the multiplicity
//! of each row, the others those of the table; rows of a record batch are of one epoch. An epoch without changes is one
//! row of nulls with multiplicity 0.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array, new_null_array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use bytes::Bytes;
use millpond_columns::types::Schema;
use millpond_engine::batches::Batches;
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::memory::Memory;
use millpond_error::{Error, Result};

/// A part takes no more rows once it has so many bytes.
const PART_BYTES: usize = 2 << 20;
/// Rows of a record batch, at most.
const BATCH_ROWS: usize = 1 << 16;

/// All changes of a table at one epoch.
#[derive(Clone, Debug, Default)]
pub struct EpochChanges {
    /// The epoch.
    pub epoch: Epoch,
    /// Its changes, in any order; none if the epoch has left the table as it was.
    pub changes: Batches,
}

/// What a sink delivers after a commit, in order of epochs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    schema: Schema,
    epochs: Arc<Vec<EpochChanges>>,
}

impl Outbox {
    /// An outbox of a table of these columns.
    pub fn new(schema: &Schema, epochs: Vec<EpochChanges>) -> Self {
        Outbox { schema: schema.clone(), epochs: Arc::new(epochs) }
    }

    /// The epochs, in order.
    pub fn epochs(&self) -> &[EpochChanges] {
        &self.epochs
    }

    /// Hands its bytes to `take`, part by part; none, if there are no epochs.
    pub fn write(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let arrow = saved_schema(&self.schema);
        let mut open: Option<StreamWriter<Vec<u8>>> = None;
        for EpochChanges { epoch, changes } in self.epochs.iter() {
            for batch in batches(&arrow, *epoch, changes) {
                let batch = batch?;
                let mut writer = match open.take() {
                    Some(writer) => writer,
                    None => StreamWriter::try_new(Vec::with_capacity(PART_BYTES), &arrow).expect(IN_MEMORY),
                };
                writer.write(&batch).expect(IN_MEMORY);
                if writer.get_ref().len() < PART_BYTES {
                    open = Some(writer);
                } else {
                    take(&writer.into_inner().expect(IN_MEMORY))?;
                }
            }
        }
        open.map_or(Ok(()), |writer| take(&writer.into_inner().expect(IN_MEMORY)))
    }

    /// Reads what [`Outbox::write`] wrote for a table of these columns; it counts as memory of this.
    ///
    /// # Errors
    /// `Changed`, if the columns were others; `Data`, if the bytes are something else; `Unavailable`, if memory has no
    /// room and no scratch file can be written.
    pub fn read(schema: &Schema, parts: &[Bytes], memory: &Arc<Memory>) -> Result<Self> {
        let damaged = |error: ArrowError| Error::data("what is to be delivered cannot be read").caused_by(error);
        let arrow = saved_schema(schema);
        let mut epochs: Vec<EpochChanges> = Vec::new();
        for part in parts {
            let reader = StreamReader::try_new(part.as_ref(), None).map_err(damaged)?;
            if reader.schema() != arrow {
                return Err(Error::changed(format!(
                    "changes of other columns wait to be delivered: the columns are now ({schema})"
                )));
            }
            for batch in reader {
                add(&mut epochs, &batch.map_err(damaged)?, || Batches::new(schema, memory.clone()))?;
            }
        }
        Ok(Outbox::new(schema, epochs))
    }
}

/// Why writing Arrow's format does not fail.
const IN_MEMORY: &str = "batches of the writer's schema, written to memory";

/// Every column takes nulls, for the sake of epochs without changes, and says its type, of which several may have one
/// representation.
fn saved_schema(schema: &Schema) -> SchemaRef {
    let own = [Field::new("epoch", DataType::UInt64, false), Field::new("diff", DataType::Int64, false)];
    let arrow = schema.to_arrow();
    let columns = schema.columns().iter().zip(arrow.fields()).map(|(column, field)| {
        let ty = ("type".to_owned(), column.ty.name());
        field.as_ref().clone().with_nullable(true).with_metadata([ty])
    });
    Arc::new(arrow_schema::Schema::new(own.into_iter().chain(columns).collect::<Vec<_>>()))
}

/// The record batches of an epoch.
fn batches<'a>(
    arrow: &'a SchemaRef,
    epoch: Epoch,
    changes: &'a Batches,
) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
    let batch = move |diffs: Int64Array, columns: Vec<ArrayRef>| {
        let epochs = UInt64Array::from_value(epoch.0, diffs.len());
        let own: [ArrayRef; 2] = [Arc::new(epochs), Arc::new(diffs)];
        let columns = own.into_iter().chain(columns).collect();
        RecordBatch::try_new(arrow.clone(), columns).expect("changes have the columns of their table")
    };
    let nothing = changes.is_empty().then(|| {
        let nulls = arrow.fields().iter().skip(2).map(|field| new_null_array(field.data_type(), 1));
        Ok(batch(Int64Array::from(vec![0]), nulls.collect()))
    });
    let slices = move |changes: Changes| {
        (0..changes.rows).step_by(BATCH_ROWS).map(move |from| {
            let rows = BATCH_ROWS.min(changes.rows - from);
            let diffs = Int64Array::from_iter_values((from..from + rows).map(|row| changes.diffs.get(row)));
            Ok(batch(diffs, changes.columns.iter().map(|column| column.slice(from, rows)).collect()))
        })
    };
    let some = changes.iter().flat_map(move |changes| {
        let (changes, error) = changes.map_or_else(|error| (None, Some(Err(error))), |changes| (Some(changes), None));
        changes.into_iter().flat_map(slices).chain(error)
    });
    nothing.into_iter().chain(some)
}

/// Adds the rows of a record batch to those of its epoch.
fn add(epochs: &mut Vec<EpochChanges>, batch: &RecordBatch, none: impl Fn() -> Batches) -> Result<()> {
    let Some(&epoch) = batch.column(0).as_primitive::<UInt64Type>().values().first() else { return Ok(()) };
    if epochs.last().is_none_or(|last| last.epoch.0 != epoch) {
        epochs.push(EpochChanges { epoch: Epoch(epoch), changes: none() });
    }
    let diffs = batch.column(1).as_primitive::<Int64Type>().values();
    if let (Some(last), true) = (epochs.last_mut(), diffs[0] != 0) {
        let changes = Changes::new(batch.columns()[2..].to_vec(), diffs.clone());
        last.changes.push(changes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_buffer::ScalarBuffer;
    use millpond_columns::types::Type;
    use millpond_error::ErrorKind;

    use super::*;

    fn schema() -> Schema {
        // The names that the saved columns have, too.
        Schema::new([("epoch", Type::Str.required()), ("diff", Type::Int.optional())])
    }

    fn changes(from: usize, diffs: Vec<i64>) -> Changes {
        let rows = diffs.len();
        let users = StringArray::from_iter_values((from..from + rows).map(|row| format!("user {row}")));
        let pages = Int64Array::from_iter((from..from + rows).map(|row| (row % 3 > 0).then_some(row as i64)));
        Changes::new(vec![Arc::new(users), Arc::new(pages)], ScalarBuffer::from(diffs))
    }

    fn parts(outbox: &Outbox) -> Vec<Bytes> {
        let mut parts = Vec::new();
        let mut take = |part: &[u8]| {
            parts.push(Bytes::copy_from_slice(part));
            Ok(())
        };
        outbox.write(&mut take).expect("memory takes all");
        parts
    }

    fn read(schema: &Schema, parts: &[Bytes]) -> Result<Outbox> {
        Outbox::read(schema, parts, &Arc::new(Memory::unlimited()))
    }

    /// Every row with its epoch and multiplicity, and every epoch.
    fn rows(outbox: &Outbox) -> Vec<String> {
        let mut rows = Vec::new();
        for EpochChanges { epoch, changes } in outbox.epochs() {
            rows.push(format!("{epoch:?}"));
            for changes in changes {
                let changes = changes.expect("what waits can be read");
                let (users, pages) = (&changes.columns[0], &changes.columns[1]);
                let (users, pages) = (users.as_string::<i32>(), pages.as_primitive::<Int64Type>());
                let pages = pages.iter().zip(users.iter()).enumerate();
                rows.extend(pages.map(|(row, cells)| format!("{cells:?} {}", changes.diffs.get(row))));
            }
        }
        rows
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let epochs = vec![
            EpochChanges { epoch: Epoch(2), changes: vec![changes(0, vec![1, 1]), changes(7, vec![-1, 3, 1])].into() },
            EpochChanges { epoch: Epoch(4), changes: Batches::default() },
            EpochChanges { epoch: Epoch(6), changes: vec![changes(0, Vec::new())].into() },
            EpochChanges { epoch: Epoch(8), changes: vec![changes(1, vec![-2])].into() },
        ];
        let outbox = Outbox::new(&schema(), epochs);
        let parts = parts(&outbox);
        assert_eq!(parts.len(), 1);
        let read = read(&schema(), &parts).expect("what was written");
        assert_eq!(rows(&read), rows(&outbox));
        assert!(read.epochs()[2].changes.is_empty());
    }

    #[test]
    fn an_epoch_may_go_on_over_several_parts() {
        let large = changes(5, vec![1; 3 * BATCH_ROWS + 7]);
        let epochs = vec![
            EpochChanges { epoch: Epoch(2), changes: vec![large.clone(), large].into() },
            EpochChanges { epoch: Epoch(4), changes: vec![changes(0, vec![-1])].into() },
        ];
        let outbox = Outbox::new(&schema(), epochs);
        let parts = parts(&outbox);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() < 2 * PART_BYTES));
        assert_eq!(rows(&read(&schema(), &parts).expect("what was written")), rows(&outbox));
    }

    #[test]
    fn no_epochs_are_no_bytes() {
        assert!(parts(&Outbox::new(&schema(), Vec::new())).is_empty());
    }

    #[test]
    fn a_table_without_columns_has_changes_too() {
        let no_columns = Schema::default();
        let changes = Changes::new(Vec::new(), ScalarBuffer::from(vec![1, -1, 2]));
        let outbox = Outbox::new(&no_columns, vec![EpochChanges { epoch: Epoch(2), changes: vec![changes].into() }]);
        let read = read(&no_columns, &parts(&outbox)).expect("what was written");
        let changes = read.epochs()[0].changes.iter().next().expect("a batch").expect("what waits can be read");
        assert_eq!((changes.rows, changes.diffs.get(2)), (3, 2));
    }

    #[test]
    fn other_columns_and_other_bytes_are_refused() {
        let outbox = Outbox::new(&schema(), vec![EpochChanges { epoch: Epoch(2), changes: Batches::default() }]);
        let parts = parts(&outbox);
        let other = Schema::new([("epoch", Type::Str.required()), ("pages", Type::Int.optional())]);
        let error = read(&other, &parts).expect_err("other columns");
        let message = format!("changes of other columns wait to be delivered: the columns are now ({other})");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Changed, message.as_str()));
        let bytes = Bytes::from_static(b"these are no record batches");
        let error = read(&schema(), &[bytes]).expect_err("no batches");
        let message = "what is to be delivered cannot be read";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Data, message));
        assert!(std::error::Error::source(&error).is_some());
    }
}
