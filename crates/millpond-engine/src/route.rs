//! The router: sends each row to the worker, and there to the bucket, that owns the range of its key's hash.
//!
//! Hashes are uniform and ranges are contiguous, so a worker's state is one slice of every sorted run, and a bucket is a
//! slice of a worker's small enough for the cache. Much input is scattered into buckets while it streams by; little
//! input is only split by worker, at the end of its epoch.

use std::mem;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use millpond_plan::types::{Schema, Storage, Type};
use timely::bytes::arc::Bytes;

use crate::cells::{self, Cells, ints};
use crate::changes::{Changes, Diffs};
use crate::hash::HashSeed;
use crate::keyed::HashedChanges;

/// Input below this many rows is not scattered.
const SCATTER_FROM_ROWS: usize = 32 * 1024;
/// Buckets of all workers together, roughly.
const BUCKETS: usize = 64;
/// A bucket is sent on when it holds this many rows.
const PACKET_ROWS: usize = 8 * 1024;
/// A bucket is sent on when a text column of it holds this many bytes.
const PACKET_BYTES: usize = 64 << 20;

/// Routed rows on their way to a worker.
#[derive(Clone, Default)]
pub struct Packet {
    /// The worker that owns the rows.
    pub worker: usize,
    /// Which of the worker's `buckets` ranges the rows fall into.
    pub bucket: usize,
    /// Into how many ranges the sender divided the worker's range: 1 or [`Router::buckets_per_worker`].
    pub buckets: usize,
    /// The number of rows.
    pub count: usize,
    /// The rows; see [`Packet::into_rows`].
    pub rows: PacketRows,
}

/// The rows of a packet.
#[derive(Clone)]
pub enum PacketRows {
    /// Rows of this process.
    Here(HashedChanges),
    /// Rows of another process, as they came.
    Sent(Bytes),
}

impl Default for PacketRows {
    fn default() -> Self {
        PacketRows::Here(HashedChanges::default())
    }
}

impl Packet {
    /// A packet of rows of this process.
    pub fn new(worker: usize, bucket: usize, buckets: usize, rows: HashedChanges) -> Self {
        Packet { worker, bucket, buckets, count: rows.hashes.len(), rows: PacketRows::Here(rows) }
    }
}

/// Hashes the key columns of changes and divides the rows by owner.
#[derive(Debug)]
pub struct Router {
    seed: HashSeed,
    key: Vec<usize>,
    schema: Schema,
    workers: usize,
    pending: Vec<HashedChanges>,
    pending_rows: usize,
    buckets: Vec<BucketBuffer>,
    scratch: Scatter,
}

impl Router {
    /// A router for rows of `schema`, whose columns at the positions `key` make up the key.
    pub fn new(seed: HashSeed, key: Vec<usize>, schema: Schema, workers: usize) -> Self {
        Router {
            seed,
            key,
            schema,
            workers,
            pending: Vec::new(),
            pending_rows: 0,
            buckets: Vec::new(),
            scratch: Scatter::default(),
        }
    }

    /// How many buckets a worker's range has once input is scattered.
    pub fn buckets_per_worker(workers: usize) -> usize {
        (BUCKETS / workers).max(1)
    }

    /// Takes changes up, and sends on the buckets that are full.
    pub fn push(&mut self, changes: Changes, send: &mut dyn FnMut(Packet)) {
        let rows = HashedChanges::new(changes, self.seed, &self.key);
        if !self.buckets.is_empty() {
            self.scatter(&rows, send);
            return;
        }
        self.pending_rows += rows.hashes.len();
        self.pending.push(rows);
        if self.pending_rows >= SCATTER_FROM_ROWS {
            let count = self.workers * Self::buckets_per_worker(self.workers);
            self.buckets = (0..count).map(|_| BucketBuffer::with_room(&self.schema, &[])).collect();
            self.pending_rows = 0;
            for rows in mem::take(&mut self.pending) {
                self.scatter(&rows, send);
            }
        }
    }

    /// Sends on all that is left, at the end of an epoch.
    pub fn flush(&mut self, send: &mut dyn FnMut(Packet)) {
        let per_worker = Self::buckets_per_worker(self.workers);
        for (index, bucket) in self.buckets.drain(..).enumerate() {
            if !bucket.hashes.is_empty() {
                send(bucket.into_packet(index, per_worker));
            }
        }
        self.pending_rows = 0;
        for rows in mem::take(&mut self.pending) {
            if self.workers == 1 {
                send(Packet::new(0, 0, 1, rows));
            } else {
                for (worker, rows) in split(&rows, self.workers, &self.schema, &mut self.scratch) {
                    send(Packet::new(worker, 0, 1, rows));
                }
            }
        }
    }

    fn scatter(&mut self, rows: &HashedChanges, send: &mut dyn FnMut(Packet)) {
        let per_worker = Self::buckets_per_worker(self.workers);
        self.scratch.divide(&rows.hashes, self.buckets.len());
        for (index, bucket) in self.buckets.iter_mut().enumerate() {
            let mut positions = self.scratch.part(index);
            while !positions.is_empty() {
                let room = PACKET_ROWS - bucket.hashes.len();
                let (now, later) = positions.split_at(room.min(positions.len()));
                bucket.extend(rows, now);
                positions = later;
                if bucket.is_full() {
                    let next = BucketBuffer::with_room(&self.schema, &bucket.columns);
                    let full = mem::replace(bucket, next);
                    send(full.into_packet(index, per_worker));
                }
            }
        }
    }
}

/// Divides rows into `parts` equal ranges of the whole space of hashes; empty parts are left out.
pub fn split(
    rows: &HashedChanges,
    parts: usize,
    schema: &Schema,
    scratch: &mut Scatter,
) -> Vec<(usize, HashedChanges)> {
    scratch.divide(&rows.hashes, parts);
    (0..parts)
        .filter(|part| !scratch.part(*part).is_empty())
        .map(|part| {
            let mut buffer = BucketBuffer::new(schema);
            buffer.extend(rows, scratch.part(part));
            (part, buffer.into_rows())
        })
        .collect()
}

/// The part of the space of hashes, divided into `parts` equal ranges, that `hash` falls into.
#[inline]
pub fn part_of(hash: u64, parts: usize) -> usize {
    ((u128::from(hash) * parts as u128) >> 64) as usize
}

/// Row positions sorted by part, found by counting.
#[derive(Debug, Default)]
pub struct Scatter {
    parts: Vec<u32>,
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl Scatter {
    fn divide(&mut self, hashes: &[u64], parts: usize) {
        self.starts.clear();
        self.starts.resize(parts + 1, 0);
        self.parts.clear();
        self.parts.extend(hashes.iter().map(|hash| part_of(*hash, parts) as u32));
        for part in &self.parts {
            self.starts[*part as usize + 1] += 1;
        }
        for part in 0..parts {
            self.starts[part + 1] += self.starts[part];
        }
        let mut next = self.starts.clone();
        self.positions.clear();
        self.positions.resize(hashes.len(), 0);
        for (row, part) in self.parts.iter().enumerate() {
            let place = &mut next[*part as usize];
            self.positions[*place as usize] = row as u32;
            *place += 1;
        }
    }

    fn part(&self, part: usize) -> &[u32] {
        &self.positions[self.starts[part] as usize..self.starts[part + 1] as usize]
    }
}

/// The growing rows of one bucket.
#[derive(Debug)]
struct BucketBuffer {
    hashes: Vec<u64>,
    columns: Vec<ColumnBuffer>,
    /// Empty while every row is an insertion.
    diffs: Vec<i64>,
}

impl BucketBuffer {
    fn new(schema: &Schema) -> Self {
        BucketBuffer {
            hashes: Vec::new(),
            columns: schema.columns().iter().map(|column| ColumnBuffer::new(column.ty.ty)).collect(),
            diffs: Vec::new(),
        }
    }

    /// An empty bucket with room for a packet, whose text is likely as long as that of the columns `before`.
    fn with_room(schema: &Schema, before: &[ColumnBuffer]) -> Self {
        let mut bucket = BucketBuffer::new(schema);
        bucket.hashes.reserve(PACKET_ROWS);
        for (index, column) in bucket.columns.iter_mut().enumerate() {
            column.reserve(PACKET_ROWS, before.get(index).map_or(0, ColumnBuffer::text_bytes));
        }
        bucket
    }

    fn extend(&mut self, rows: &HashedChanges, positions: &[u32]) {
        let before = self.hashes.len();
        self.hashes.extend(positions.iter().map(|row| rows.hashes[*row as usize]));
        for (column, array) in self.columns.iter_mut().zip(&rows.changes.columns) {
            column.extend(array, positions);
        }
        match &rows.changes.diffs {
            Diffs::Ones if self.diffs.is_empty() => {}
            Diffs::Ones => self.diffs.resize(self.hashes.len(), 1),
            Diffs::Each(diffs) => {
                self.diffs.resize(before, 1);
                self.diffs.extend(positions.iter().map(|row| diffs[*row as usize]));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.hashes.len() >= PACKET_ROWS || self.columns.iter().any(|column| column.text_bytes() >= PACKET_BYTES)
    }

    fn into_rows(self) -> HashedChanges {
        let rows = self.hashes.len();
        let columns = self.columns.into_iter().map(ColumnBuffer::finish).collect();
        let changes = if self.diffs.is_empty() {
            Changes::inserts(columns, rows)
        } else {
            Changes { columns, rows, diffs: Diffs::Each(ScalarBuffer::from(self.diffs)) }
        };
        HashedChanges { hashes: self.hashes, changes }
    }

    fn into_packet(self, index: usize, per_worker: usize) -> Packet {
        Packet::new(index / per_worker, index % per_worker, per_worker, self.into_rows())
    }
}

/// Text up to this length is copied as one piece of this length, which is one load and one store.
const PIECE_BYTES: usize = 16;

/// Appends the cells of a text column at `positions`.
fn extend_text(offsets: &mut Vec<i32>, bytes: &mut Vec<u8>, starts: &[i32], text: &[u8], positions: &[u32]) {
    let cells = || positions.iter().map(|row| starts[*row as usize] as usize..starts[*row as usize + 1] as usize);
    let total: usize = cells().map(|cell| cell.len()).sum();
    let mut at = bytes.len();
    bytes.resize(at + total + PIECE_BYTES, 0);
    for cell in cells() {
        let end = at + cell.len();
        match (bytes[at..].first_chunk_mut::<PIECE_BYTES>(), text[cell.start..].first_chunk::<PIECE_BYTES>()) {
            // What is copied too much is overwritten by the next cell, or cut off.
            (Some(to), Some(from)) if cell.len() <= PIECE_BYTES => *to = u128::from_ne_bytes(*from).to_ne_bytes(),
            _ => bytes[at..end].copy_from_slice(&text[cell]),
        }
        at = end;
        offsets.push(at as i32);
    }
    bytes.truncate(at);
}

/// A growing column.
#[derive(Debug)]
pub(crate) struct ColumnBuffer {
    values: Values,
    length: usize,
    /// Empty while no cell is null.
    validity: Option<BooleanBufferBuilder>,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBufferBuilder),
    /// Of a type that is stored as integers.
    Int(Vec<i64>, Type),
    Float(Vec<f64>),
    /// Of a type that is stored as bytes.
    Bytes {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
        ty: Type,
    },
}

impl ColumnBuffer {
    fn new(ty: Type) -> Self {
        let values = match ty.storage() {
            Storage::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Storage::Int => Values::Int(Vec::new(), ty),
            Storage::Float => Values::Float(Vec::new()),
            Storage::Bytes => Values::Bytes { offsets: vec![0], bytes: Vec::new(), ty },
        };
        ColumnBuffer { values, length: 0, validity: None }
    }

    /// An empty column of the type of `array`.
    pub(crate) fn like(array: &ArrayRef) -> Self {
        ColumnBuffer::new(Type::stored_as(array.data_type()).unwrap_or(Type::Int))
    }

    /// Appends the cells of `array` at `positions`.
    pub(crate) fn extend(&mut self, array: &ArrayRef, positions: &[u32]) {
        match &mut self.values {
            Values::Bool(values) => {
                let source = array.as_boolean().values();
                positions.iter().for_each(|row| values.append(source.value(*row as usize)));
            }
            Values::Int(values, _) => {
                let source = ints(array);
                values.extend(positions.iter().map(|row| source[*row as usize]));
            }
            Values::Float(values) => {
                let source = array.as_primitive::<Float64Type>().values();
                values.extend(positions.iter().map(|row| source[*row as usize]));
            }
            Values::Bytes { offsets, bytes, .. } => {
                let (source, source_bytes) = cells::bytes(array);
                extend_text(offsets, bytes, source, source_bytes, positions);
            }
        }
        self.extend_validity(array, positions);
        self.length += positions.len();
    }

    /// Appends all cells of `array`.
    pub(crate) fn append(&mut self, array: &ArrayRef) {
        match &mut self.values {
            Values::Bool(values) => values.append_buffer(array.as_boolean().values()),
            Values::Int(values, _) => values.extend_from_slice(ints(array)),
            Values::Float(values) => values.extend_from_slice(array.as_primitive::<Float64Type>().values()),
            Values::Bytes { offsets, bytes, .. } => {
                let (source, source_bytes) = cells::bytes(array);
                let (first, last) = (source[0] as usize, source[array.len()] as usize);
                let before = bytes.len();
                bytes.extend_from_slice(&source_bytes[first..last]);
                i32::try_from(bytes.len()).expect("text that an array can hold");
                offsets.extend(source[1..=array.len()].iter().map(|end| (before + *end as usize - first) as i32));
            }
        }
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => self.validity_mut().append_buffer(nulls.inner()),
            None => self.append_valid(array.len()),
        }
        self.length += array.len();
    }

    /// Makes room for this many more rows, with so many bytes of text and a little more.
    fn reserve(&mut self, rows: usize, text_bytes: usize) {
        match &mut self.values {
            Values::Bool(values) => values.reserve(rows),
            Values::Int(values, _) => values.reserve(rows),
            Values::Float(values) => values.reserve(rows),
            Values::Bytes { offsets, bytes, .. } => {
                offsets.reserve(rows);
                bytes.reserve(text_bytes + text_bytes / 16);
            }
        }
    }

    fn extend_validity(&mut self, array: &ArrayRef, positions: &[u32]) {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => {
                let validity = self.validity_mut();
                positions.iter().for_each(|row| validity.append(nulls.is_valid(*row as usize)));
            }
            None => self.append_valid(positions.len()),
        }
    }

    /// Says of the cells so far that none is null, if that was not written down.
    fn validity_mut(&mut self) -> &mut BooleanBufferBuilder {
        self.validity.get_or_insert_with(|| {
            let mut validity = BooleanBufferBuilder::new(self.length);
            validity.append_n(self.length, true);
            validity
        })
    }

    fn append_valid(&mut self, cells: usize) {
        if let Some(validity) = &mut self.validity {
            validity.append_n(cells, true);
        }
    }

    fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Bytes { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// Drops all cells but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(length),
            Values::Int(values, _) => values.truncate(length),
            Values::Float(values) => values.truncate(length),
            Values::Bytes { offsets, bytes, .. } => {
                offsets.truncate(length + 1);
                bytes.truncate(offsets[length] as usize);
            }
        }
        if let Some(validity) = &mut self.validity {
            validity.truncate(length);
        }
        self.length = length;
    }

    /// Whether a cell is null.
    pub(crate) fn has_nulls(&self) -> bool {
        self.validity.is_some()
    }

    /// The values, if they are stored as integers and none is null.
    pub(crate) fn ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Int(values, _) if self.validity.is_none() => Some(values),
            _ => None,
        }
    }

    /// Whether cell `i` equals cell `j` of `other`, which is of the same type; so does null null.
    pub(crate) fn equals(&self, i: usize, other: &Cells<'_>, j: usize) -> bool {
        let is_null = self.validity.as_ref().is_some_and(|validity| !validity.get_bit(i));
        if is_null || other.is_null(j) {
            return is_null && other.is_null(j);
        }
        match (&self.values, other.values) {
            (Values::Bool(values), cells::Values::Bool(others)) => values.get_bit(i) == others.value(j),
            (Values::Int(values, _), cells::Values::Int(others)) => values[i] == others[j],
            (Values::Float(values), cells::Values::Float(others)) => values[i].to_bits() == others[j].to_bits(),
            (Values::Bytes { offsets, bytes, .. }, cells::Values::Str(others)) => {
                bytes[offsets[i] as usize..offsets[i + 1] as usize] == *others.get(j)
            }
            _ => unreachable!("the columns are of one type"),
        }
    }

    /// The column.
    pub(crate) fn finish(self) -> ArrayRef {
        let nulls = self.validity.map(|mut validity| NullBuffer::new(validity.finish()));
        match self.values {
            Values::Bool(mut values) => {
                let values: BooleanBuffer = values.finish();
                Arc::new(BooleanArray::new(values, nulls))
            }
            Values::Int(values, ty) => ty.int_array(ScalarBuffer::from(values), nulls),
            Values::Float(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Bytes { offsets, bytes, ty } => {
                ty.byte_array(offsets, bytes, nulls).expect("cells are copied whole, and text is UTF-8")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    /// Cells of many lengths, so that copies of whole pieces and of single bytes stand beside each other.
    #[test]
    fn text_is_copied_cell_by_cell() {
        let cells: Vec<String> = (0..60).map(|i: usize| "0123456789abcdef".repeat(3)[..i % 40].to_owned()).collect();
        let source = StringArray::from(cells.clone());
        let positions: Vec<u32> = (0..60).map(|i| (i * 37) % 60).collect();
        let array: ArrayRef = Arc::new(source);
        let mut column = ColumnBuffer::new(Type::Str);
        column.extend(&array, &positions[..20]);
        column.extend(&array, &positions[20..]);
        let copied = column.finish();
        let expected: Vec<&str> = positions.iter().map(|row| cells[*row as usize].as_str()).collect();
        assert_eq!(copied.as_string::<i32>().iter().map(Option::unwrap).collect::<Vec<_>>(), expected);
    }

    /// Every row reaches, once, the bucket that its hash belongs to, whether it came early or late, alone or in masses.
    #[test]
    fn rows_arrive_once_where_they_belong() {
        for (workers, batches, rows) in [(1, 3, 10), (3, 2, 100), (2, 5, 20_000), (5, 1, 100_000), (200, 4, 10_000)] {
            let schema = Schema::new([("n", Type::Int.optional())]);
            let mut router = Router::new(HashSeed(7), vec![0], schema, workers);
            let mut packets = Vec::new();
            for batch in 0..batches {
                let values = (0..rows).map(|i| (i % 11 > 0).then_some(batch * rows + i));
                let column: ArrayRef = Arc::new(Int64Array::from_iter(values));
                let diffs = (0..rows).map(|i| if i % 3 == 0 { -1 } else { 1 }).collect::<Vec<i64>>();
                router.push(Changes::new(vec![column], diffs.into()), &mut |packet| packets.push(packet));
            }
            router.flush(&mut |packet| packets.push(packet));
            let mut seen = Vec::new();
            for packet in &packets {
                let PacketRows::Here(rows) = &packet.rows else { unreachable!("nothing was sent") };
                for (row, hash) in rows.hashes.iter().enumerate() {
                    let part = part_of(*hash, workers * packet.buckets);
                    assert_eq!((part / packet.buckets, part % packet.buckets), (packet.worker, packet.bucket));
                    let column = rows.changes.columns[0].as_primitive::<Int64Type>();
                    seen.push((column.is_valid(row).then(|| column.value(row)), rows.changes.diffs.get(row)));
                }
            }
            let all = (0..batches).flat_map(|batch| (0..rows).map(move |i| (batch, i)));
            let mut expected: Vec<_> = all
                .map(|(batch, i)| ((i % 11 > 0).then_some(batch * rows + i), if i % 3 == 0 { -1 } else { 1 }))
                .collect();
            expected.sort();
            seen.sort();
            assert_eq!(seen, expected, "{workers} workers, {batches} x {rows} rows");
        }
    }
}
