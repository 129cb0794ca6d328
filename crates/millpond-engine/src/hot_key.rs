//! Rows of one key that are too many for one step.
//!
//! They are sorted as state is: in segments, of which scratch files hold what memory has no room for, and which are
//! merged as they are read. So rows that cancel are gone, and the operator gets the others in order, in pieces, each as
//! if it were an epoch of its own. What it emits is brought together over all of them, so that the whole looks like one
//! step.

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::types::Schema;
use millpond_columns::view::take;
use millpond_error::Result;

use crate::arrangement::{Arrangement, ArrangementSchema};
use crate::changes::{Changes, Epoch};
use crate::consolidate::consolidate;
use crate::epoch_buffer::{HotBucket, PortShape, Shape};
use crate::group::{RowOrder, group};
use crate::hash::KeyRange;
use crate::keyed::{HashedChanges, KeyedChanges, KeyedChangesBuilder, KeyedRows};
use crate::operator::{Bucket, Emit, Operator, StepContext, buckets};
use crate::operators::owners;

/// Steps an operator over the rows of a hash; `output` are the columns that it emits. The watermark does not move.
pub(crate) fn step(
    operator: &mut dyn Operator,
    epoch: Epoch,
    hot: HotBucket<'_>,
    output: &Schema,
    emit: &mut Emit<'_>,
) -> Result<()> {
    let context = StepContext { epoch, watermark: None };
    let pieces = operator.pieces();
    let (shape, check) = (hot.shape.clone(), hot.check);
    let mut ports = Vec::new();
    for (number, (rows, port)) in hot.into_ports().into_iter().zip(shape.ports.iter()).enumerate() {
        let rows = rows.map(|rows| check().and(rows));
        ports.push((number, Sorted::new(rows, port, pieces.first, &shape)?));
    }
    // Who comes later meets what came before: the fewer rows that are, the fewer are read again.
    ports.sort_by_key(|(_, sorted)| sorted.rows.size().rows);
    let streams = pieces.scatters && ports.iter().all(|(_, sorted)| sorted.insert_only);
    let mut net = NetChanges::new(output, &shape);
    for (number, sorted) in ports {
        sorted.pieces(&shape, &mut |rows| {
            check()?;
            let ports = (0..shape.ports.len()).map(|port| (port == number).then(|| rows.clone())).collect();
            let mut bucket = buckets([Bucket::new(ports)]);
            operator.step(&context, &mut bucket, &mut |changes| match streams {
                true => emit(changes),
                false => net.push(changes),
            })
        })?;
    }
    net.finish(emit)
}

/// The rows of a port in order, none twice.
struct Sorted {
    rows: Arrangement,
    /// Where each column of the port stands in the arrangement, its keys first.
    places: Vec<usize>,
    key: Vec<usize>,
    /// Whether no row is removed.
    insert_only: bool,
}

impl Sorted {
    fn new(
        rows: impl Iterator<Item = Result<HashedChanges>>,
        (key, schema): &PortShape,
        first: Option<usize>,
        shape: &Shape,
    ) -> Result<Self> {
        let others = (0..schema.len()).filter(|column| !key.contains(column) && Some(*column) != first);
        let others: Vec<usize> = first.into_iter().filter(|first| !key.contains(first)).chain(others).collect();
        let order: Vec<usize> = key.iter().chain(&others).copied().collect();
        let places = (0..schema.len()).map(|column| order.iter().position(|at| *at == column));
        let places = places.map(|place| place.expect("each column is somewhere")).collect();
        let ty = |columns: &[usize]| columns.iter().map(|&column| schema.columns()[column].ty).collect();
        let mut sorted = Arrangement::new(ArrangementSchema { key: ty(key), row: ty(&others) }, KeyRange::ALL);
        sorted.count_in(shape.memory.clone());
        let mut insert_only = true;
        let mut add = |rows: KeyedChangesBuilder| {
            let Some(rows) = rows.finish() else { return Ok(()) };
            let rows = group(&rows, &others, RowOrder::Consolidated)?;
            insert_only &= rows.diffs.insert_only();
            let mut builder = sorted.builder();
            builder.append(&rows);
            sorted.insert(builder.finish()?);
            Ok(())
        };
        let mut next = KeyedChangesBuilder::new(key);
        for rows in rows {
            next.push(rows?);
            if next.working_bytes(schema.len()) >= shape.memory.bucket_bytes() {
                add(std::mem::replace(&mut next, KeyedChangesBuilder::new(key)))?;
            }
        }
        add(next)?;
        Ok(Sorted { rows: sorted, places, key: key.clone(), insert_only })
    }

    /// The rows, in pieces that a step can take.
    fn pieces(self, shape: &Shape, take_up: &mut dyn FnMut(KeyedChanges) -> Result<()>) -> Result<()> {
        self.rows.scan_pieces(shape.memory.bucket_bytes() as usize / 2, &mut |rows| {
            let owners = UInt32Array::from(owners(&rows.offsets));
            let hashes = owners.values().iter().map(|&key| rows.hashes[key as usize]).collect();
            let KeyedRows { keys, rows, diffs, .. } = rows;
            let column = |place: &usize| match place.checked_sub(keys.len()) {
                None => take(&keys[*place], &owners),
                Some(row) => rows[row].clone(),
            };
            let columns: Vec<ArrayRef> = self.places.iter().map(column).collect();
            let changes = Changes { columns, rows: owners.len(), diffs };
            take_up(KeyedChanges::new(HashedChanges { hashes, changes }, &self.key))
        })
    }
}

/// Changes of several steps, brought together.
struct NetChanges<'a> {
    shape: &'a Shape,
    few: Vec<HashedChanges>,
    few_bytes: usize,
    many: Arrangement,
}

impl<'a> NetChanges<'a> {
    fn new(output: &Schema, shape: &'a Shape) -> Self {
        let key = output.columns().iter().map(|column| column.ty).collect();
        let mut many = Arrangement::new(ArrangementSchema { key, row: Vec::new() }, KeyRange::ALL);
        many.count_in(shape.memory.clone());
        NetChanges { shape, few: Vec::new(), few_bytes: 0, many }
    }

    fn push(&mut self, changes: Changes) -> Result<()> {
        let key: Vec<usize> = (0..changes.columns.len()).collect();
        let rows = HashedChanges::new(changes, self.shape.seed, &key);
        self.few_bytes += rows.bytes();
        self.few.push(rows);
        if self.few_bytes as u64 >= self.shape.memory.bucket_bytes() / 4 { self.sort_away() } else { Ok(()) }
    }

    fn sort_away(&mut self) -> Result<()> {
        let rows = HashedChanges::concat(&std::mem::take(&mut self.few));
        self.few_bytes = 0;
        let key: Vec<usize> = (0..rows.changes.columns.len()).collect();
        let rows = group(&KeyedChanges::new(rows, &key), &[], RowOrder::Consolidated)?;
        let mut builder = self.many.builder();
        builder.append(&rows);
        self.many.insert(builder.finish()?);
        Ok(())
    }

    fn finish(mut self, emit: &mut Emit<'_>) -> Result<()> {
        if self.few.is_empty() && self.many.is_empty() {
            return Ok(());
        }
        if self.many.is_empty() {
            let all = HashedChanges::concat(&self.few);
            let net = consolidate(all.changes, self.shape.seed)?;
            return if net.is_empty() { Ok(()) } else { emit(net) };
        }
        if !self.few.is_empty() {
            self.sort_away()?;
        }
        self.many.scan_pieces(self.shape.memory.bucket_bytes() as usize / 4, &mut |rows| emit(rows.into_changes()))
    }
}
