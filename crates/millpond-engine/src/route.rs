//! The router: sends each row to the worker, and there to the bucket, that owns the range of its key's hash.
//!
//! Hashes are uniform and ranges are contiguous, so a worker's state is one slice of every sorted run, and a bucket is
//! a slice of a worker's small enough for the cache. Much input is scattered into buckets while it streams by; little
//! input is only split by worker, at the end of its epoch.

use std::mem;

use millpond_columns::builder::ColumnBuilder;
use millpond_columns::types::Schema;
use millpond_error::Result;
use timely::bytes::arc::Bytes;

use crate::changes::{Changes, DiffBuffer};
use crate::hash::HashSeed;
use crate::keyed::HashedChanges;

/// Input below this many rows is not scattered.
const SCATTER_FROM_ROWS: usize = 32 * 1024;
/// Buckets of all workers together, roughly. Twice as many take a twelfth off the work on a hundred million rows, and
/// add a twenty-fifth to that on ten million, since fewer rows of a batch of input go to each.
const BUCKETS: usize = 64;
/// A bucket is sent on when it holds this many rows, or fewer where memory is scarce.
const PACKET_ROWS: usize = 8 * 1024;

/// What goes to a keyed operator on some worker.
#[derive(Clone)]
pub enum Message {
    /// Rows.
    Rows(Packet),
    /// How far event time has come in this epoch.
    Time {
        /// The worker that is told.
        worker: usize,
        /// The time, as an instant.
        time: i64,
    },
}

impl Default for Message {
    fn default() -> Self {
        Message::Rows(Packet::default())
    }
}

impl Message {
    /// The worker that it goes to.
    pub fn worker(&self) -> usize {
        match self {
            Message::Rows(packet) => packet.worker,
            Message::Time { worker, .. } => *worker,
        }
    }
}

/// Routed rows on their way to a worker.
#[derive(Clone, Default)]
pub struct Packet {
    /// The worker that owns the rows.
    pub worker: usize,
    /// Which of the worker's `buckets` ranges the rows fall into.
    pub bucket: usize,
    /// Into how many ranges the sender divided the worker's range: 1 or [`buckets_per_worker`].
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

/// How many buckets a worker's range has once input is scattered.
pub fn buckets_per_worker(workers: usize) -> usize {
    (BUCKETS / workers).max(1)
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
    pending_bytes: usize,
    buckets: Vec<BucketBuffer>,
    scratch: Scatter,
    packet: PacketSize,
}

/// When a packet is sent on.
#[derive(Clone, Copy, Debug)]
struct PacketSize {
    rows: usize,
    /// Of one column of text.
    bytes: usize,
}

impl Router {
    /// A router for rows of `schema`, whose columns at the positions `key` make up the key.
    /// `packet_bytes` is how large a packet becomes, at most.
    pub fn new(seed: HashSeed, key: Vec<usize>, schema: Schema, workers: usize, packet_bytes: usize) -> Self {
        let rows = PACKET_ROWS.min(packet_bytes / (8 * (schema.len() + 1))).max(1);
        Router {
            packet: PacketSize { rows, bytes: packet_bytes },
            pending_bytes: 0,
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

    /// Takes changes up, and sends on the buckets that are full.
    pub fn push(&mut self, changes: Changes, send: &mut dyn FnMut(Packet) -> Result<()>) -> Result<()> {
        let rows = HashedChanges::new(changes, self.seed, &self.key);
        if !self.buckets.is_empty() {
            return self.scatter(&rows, send);
        }
        self.pending_rows += rows.hashes.len();
        self.pending_bytes += rows.bytes();
        self.pending.push(rows);
        let count = self.workers * buckets_per_worker(self.workers);
        // What is pending takes no more than what is scattered may.
        if self.pending_rows >= SCATTER_FROM_ROWS || self.pending_bytes >= count * self.packet.bytes {
            self.buckets = (0..count).map(|_| BucketBuffer::with_room(&self.schema, &[], self.packet.rows)).collect();
            (self.pending_rows, self.pending_bytes) = (0, 0);
            for rows in mem::take(&mut self.pending) {
                self.scatter(&rows, send)?;
            }
        }
        Ok(())
    }

    /// Sends on all that is left, at the end of an epoch.
    pub fn flush(&mut self, send: &mut dyn FnMut(Packet) -> Result<()>) -> Result<()> {
        let per_worker = buckets_per_worker(self.workers);
        for (index, bucket) in self.buckets.drain(..).enumerate() {
            if !bucket.hashes.is_empty() {
                send(bucket.into_packet(index, per_worker))?;
            }
        }
        (self.pending_rows, self.pending_bytes) = (0, 0);
        for rows in mem::take(&mut self.pending) {
            if self.workers == 1 {
                send(Packet::new(0, 0, 1, rows))?;
            } else {
                for (worker, rows) in split(&rows, self.workers, &self.schema, &mut self.scratch) {
                    send(Packet::new(worker, 0, 1, rows))?;
                }
            }
        }
        Ok(())
    }

    fn scatter(&mut self, rows: &HashedChanges, send: &mut dyn FnMut(Packet) -> Result<()>) -> Result<()> {
        let per_worker = buckets_per_worker(self.workers);
        self.scratch.divide(&rows.hashes, self.buckets.len());
        for (index, bucket) in self.buckets.iter_mut().enumerate() {
            let mut positions = self.scratch.part(index);
            while !positions.is_empty() {
                let room = self.packet.rows - bucket.hashes.len();
                let (now, later) = positions.split_at(room.min(positions.len()));
                bucket.extend(rows, now);
                positions = later;
                if bucket.is_full(self.packet) {
                    let next = BucketBuffer::with_room(&self.schema, &bucket.columns, self.packet.rows);
                    let full = mem::replace(bucket, next);
                    send(full.into_packet(index, per_worker))?;
                }
            }
        }
        Ok(())
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
        self.divide_by(hashes, parts, |hash| part_of(hash, parts));
    }

    /// Sorts the positions of rows by part; `part` says which one a hash falls into.
    pub(crate) fn divide_by(&mut self, hashes: &[u64], parts: usize, part: impl Fn(u64) -> usize) {
        self.starts.clear();
        self.starts.resize(parts + 1, 0);
        self.parts.clear();
        self.parts.extend(hashes.iter().map(|hash| part(*hash) as u32));
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

    /// The positions of the rows of a part.
    pub(crate) fn part(&self, part: usize) -> &[u32] {
        &self.positions[self.starts[part] as usize..self.starts[part + 1] as usize]
    }
}

/// The growing rows of one bucket.
#[derive(Debug)]
pub(crate) struct BucketBuffer {
    hashes: Vec<u64>,
    columns: Vec<ColumnBuilder>,
    diffs: DiffBuffer,
}

impl BucketBuffer {
    /// No rows.
    pub(crate) fn new(schema: &Schema) -> Self {
        BucketBuffer {
            hashes: Vec::new(),
            columns: schema.columns().iter().map(|column| ColumnBuilder::new(column.ty.ty)).collect(),
            diffs: DiffBuffer::default(),
        }
    }

    /// An empty bucket with room for a packet, whose text is likely as long as that of the columns `before`.
    fn with_room(schema: &Schema, before: &[ColumnBuilder], rows: usize) -> Self {
        let mut bucket = BucketBuffer::new(schema);
        bucket.hashes.reserve(rows);
        for (index, column) in bucket.columns.iter_mut().enumerate() {
            column.reserve(rows, before.get(index).map_or(0, ColumnBuilder::text_bytes));
        }
        bucket
    }

    /// Adds the rows at these positions.
    pub(crate) fn extend(&mut self, rows: &HashedChanges, positions: &[u32]) {
        let before = self.hashes.len();
        self.hashes.extend(positions.iter().map(|row| rows.hashes[*row as usize]));
        for (column, array) in self.columns.iter_mut().zip(&rows.changes.columns) {
            column.extend(array, positions);
        }
        self.diffs.extend(before, &rows.changes.diffs, positions.iter().map(|row| *row as usize));
    }

    fn is_full(&self, packet: PacketSize) -> bool {
        self.hashes.len() >= packet.rows || self.columns.iter().any(|column| column.text_bytes() >= packet.bytes)
    }

    /// The bytes that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(ColumnBuilder::bytes).sum();
        if self.hashes.is_empty() { 0 } else { size_of_val(&*self.hashes) + columns + self.diffs.bytes() }
    }

    /// All rows.
    pub(crate) fn into_rows(self) -> HashedChanges {
        let rows = self.hashes.len();
        let columns = self.columns.into_iter().map(ColumnBuilder::finish).collect();
        HashedChanges { hashes: self.hashes, changes: Changes { columns, rows, diffs: self.diffs.finish() } }
    }

    fn into_packet(self, index: usize, per_worker: usize) -> Packet {
        Packet::new(index / per_worker, index % per_worker, per_worker, self.into_rows())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, ArrayRef, Int64Array};
    use millpond_columns::types::Type;

    use super::*;

    /// Every row reaches, once, the bucket that its hash belongs to, whether it came early or late, alone or in masses.
    #[test]
    fn rows_arrive_once_where_they_belong() {
        for (workers, batches, rows) in [(1, 3, 10), (3, 2, 100), (2, 5, 20_000), (5, 1, 100_000), (200, 4, 10_000)] {
            let schema = Schema::new([("n", Type::Int.optional())]);
            let mut router = Router::new(HashSeed(7), vec![0], schema, workers, 1 << 20);
            let mut packets = Vec::new();
            let mut keep = |packet| {
                packets.push(packet);
                Ok(())
            };
            for batch in 0..batches {
                let values = (0..rows).map(|i| (i % 11 > 0).then_some(batch * rows + i));
                let column: ArrayRef = Arc::new(Int64Array::from_iter(values));
                let diffs = (0..rows).map(|i| if i % 3 == 0 { -1 } else { 1 }).collect::<Vec<i64>>();
                router.push(Changes::new(vec![column], diffs.into()), &mut keep).unwrap();
            }
            router.flush(&mut keep).unwrap();
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
