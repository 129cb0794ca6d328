//! An epoch's packets, gathered into buckets in ascending order of hashes.
//!
//! A bucket's keys are numbered as its packets come, so that of most rows little more than the number of the key waits
//! for the end of the epoch. When memory has no more room for rows that wait, packets do so in a scratch file, as they
//! came.
//!
//! A bucket that takes too much to be worked on is divided by ranges of hashes, again and again, each part of it as a
//! bucket of its own. What has one hash cannot be divided so: see `hot_key`.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use millpond_columns::types::Schema;
use millpond_error::Result;
use millpond_store::{Extent, ScratchFile};
use parking_lot::Mutex;

use crate::batches::{read_spilled, spill};
use crate::hash::{HashSeed, KeyRange};
use crate::keyed::{HashedChanges, KeyedChanges, KeyedChangesBuilder};
use crate::memory::{Memory, Reserved};
use crate::operator::{Bucket, Buckets};
use crate::route::{BucketBuffer, Packet, Scatter, buckets_per_worker, split};

/// Of one part, no more bytes wait in memory, whatever that has room for: a column holds 2 GiB of text at most.
const PART_BYTES: u64 = 256 << 20;
/// Rows of numbered keys are taken apart in pieces of so many.
const PIECE_ROWS: usize = 8 * 1024;

/// A port as a buffer takes its rows: the positions of its key columns, and its columns.
pub type PortShape = (Vec<usize>, Schema);

/// What all buckets of an epoch have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The seed of the hashes.
    pub seed: HashSeed,
    /// The ports.
    pub ports: Arc<Vec<PortShape>>,
    /// The workers of all processes.
    pub workers: usize,
    /// The memory of the process.
    pub memory: Arc<Memory>,
}

/// The packets of one epoch for one worker. All workers of the process put theirs in at the same time.
#[derive(Debug)]
pub struct EpochBuffer {
    shape: Shape,
    /// By port and bucket; made for the first packet that is divided, since most epochs are small.
    buckets: Vec<OnceLock<Vec<Mutex<Part>>>>,
    /// By port: what came undivided.
    whole: Vec<Mutex<Vec<HashedChanges>>>,
    spill: Spill,
}

/// What waits of one port in one bucket.
#[derive(Debug)]
struct Part {
    rows: KeyedChangesBuilder,
    reserved: Reserved,
    spilled: Option<Spilled>,
}

/// Rows in a scratch file.
#[derive(Debug)]
struct Spilled {
    file: Arc<ScratchFile>,
    /// Where each packet is; there may be very many.
    packets: Vec<Extent>,
    /// The bytes that it takes to work on all of it.
    bytes: u64,
    hashes: KeyRange,
}

/// Makes a scratch file when one is needed.
#[derive(Debug, Default)]
struct Spill(Mutex<Option<Arc<ScratchFile>>>);

impl EpochBuffer {
    /// No packets.
    pub fn new(shape: Shape) -> Self {
        EpochBuffer {
            buckets: shape.ports.iter().map(|_| OnceLock::new()).collect(),
            whole: shape.ports.iter().map(|_| Mutex::default()).collect(),
            spill: Spill::default(),
            shape,
        }
    }

    /// Takes up a packet.
    pub fn push(&self, port: usize, packet: Packet) -> Result<()> {
        let (bucket, buckets) = (packet.bucket, packet.buckets);
        let (key, schema) = &self.shape.ports[port];
        let rows = packet.into_rows(schema, self.shape.seed, key)?;
        if buckets == 1 {
            self.whole[port].lock().push(rows);
            return Ok(());
        }
        let parts = self.buckets[port].get_or_init(|| Part::several(buckets, key, &self.shape.memory));
        debug_assert_eq!(parts.len(), buckets, "packets are divided alike");
        Part::push_to(&parts[bucket], rows, &self.shape.memory, &self.spill)
    }

    /// The buckets that have rows. What does not fit memory as one bucket is divided before the first one is given.
    /// `check` is asked all along whether to go on.
    pub fn finish<'a>(self, check: &'a dyn Fn() -> Result<()>) -> Result<Gathered<'a>> {
        let EpochBuffer { shape, buckets, whole, spill } = self;
        // What is divided at one port is divided at all, so that a bucket holds all rows of its keys.
        let divided = buckets.iter().any(|buckets| buckets.get().is_some());
        let count = if divided { buckets_per_worker(shape.workers) } else { 1 };
        let mut scratch = Scatter::default();
        let mut waiting: Vec<Waiting> = (0..count).map(|_| Waiting::of(shape.ports.len())).collect();
        for (((key, schema), buckets), whole) in shape.ports.iter().zip(buckets).zip(whole) {
            let buckets = buckets.into_inner().unwrap_or_else(|| Part::several(count, key, &shape.memory));
            for rows in whole.into_inner() {
                if !divided {
                    Part::push_to(&buckets[0], rows, &shape.memory, &spill)?;
                    continue;
                }
                for (part, rows) in split(&rows, count * shape.workers, schema, &mut scratch) {
                    // The parts of one worker follow each other, and all of these rows are this worker's.
                    Part::push_to(&buckets[part % count], rows, &shape.memory, &spill)?;
                }
            }
            for (waiting, part) in waiting.iter_mut().zip(buckets) {
                waiting.parts.push(part.into_inner());
            }
        }
        drop(spill);
        let mut gathered = Gathered { check, shape, buckets: VecDeque::with_capacity(count), hot: VecDeque::new() };
        for waiting in waiting {
            gathered.add(waiting)?;
        }
        Ok(gathered)
    }
}

impl Part {
    fn new(key: &[usize], memory: &Memory) -> Self {
        Part { rows: KeyedChangesBuilder::new(key), reserved: memory.waiting(), spilled: None }
    }

    fn several(count: usize, key: &[usize], memory: &Memory) -> Vec<Mutex<Self>> {
        (0..count).map(|_| Mutex::new(Part::new(key, memory))).collect()
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.spilled.is_none()
    }

    /// Lets rows wait in memory, or else in a scratch file.
    fn push_to(part: &Mutex<Part>, rows: HashedChanges, memory: &Memory, spill: &Spill) -> Result<()> {
        if memory.may_wait(rows.bytes()) {
            let mut part = part.lock();
            if part.reserved.bytes() < PART_BYTES {
                part.rows.push(rows);
                let bytes = part.rows.bytes();
                part.reserved.set(bytes);
                return Ok(());
            }
        }
        let (file, packet) = spill.write(&rows, memory)?;
        let Some(hashes) = KeyRange::of_hashes(rows.hashes.iter().copied()) else { return Ok(()) };
        let mut part = part.lock();
        let none = || Spilled { file, packets: Vec::new(), bytes: 0, hashes };
        let spilled = part.spilled.get_or_insert_with(none);
        spilled.packets.push(packet);
        spilled.bytes += (packet.length + rows.hashes.len() * 8) as u64;
        spilled.hashes = spilled.hashes.hull(hashes);
        Ok(())
    }

    /// About how much memory it takes to work on all of it.
    fn bytes(&self, width: usize) -> u64 {
        self.rows.working_bytes(width) + self.spilled.as_ref().map_or(0, |spilled| spilled.bytes)
    }

    /// The smallest and the largest hash.
    fn hashes(&self) -> Option<KeyRange> {
        self.rows.hashes().into_iter().chain(self.spilled.iter().map(|spilled| spilled.hashes)).reduce(KeyRange::hull)
    }

    /// Reads what is in scratch files, piece by piece.
    fn read(spilled: Option<Spilled>, shape: PortShape, seed: HashSeed) -> impl Iterator<Item = Result<HashedChanges>> {
        let packets =
            |Spilled { file, packets, .. }: Spilled| packets.into_iter().map(move |packet| (file.clone(), packet));
        spilled
            .into_iter()
            .flat_map(packets)
            .map(move |(file, packet)| Ok(HashedChanges::new(read_spilled(&file, packet, &shape.1)?, seed, &shape.0)))
    }

    /// All rows, in memory.
    fn load(mut self, shape: &PortShape, seed: HashSeed) -> Result<Option<KeyedChanges>> {
        for rows in Part::read(self.spilled, shape.clone(), seed) {
            self.rows.push(rows?);
        }
        Ok(self.rows.finish())
    }

    /// All rows, in pieces that are not large.
    fn pieces(self, shape: PortShape, seed: HashSeed) -> impl Iterator<Item = Result<HashedChanges>> {
        self.rows.into_pieces(PIECE_ROWS).map(Ok).chain(Part::read(self.spilled, shape, seed))
    }
}

impl Spill {
    fn write(&self, rows: &HashedChanges, memory: &Memory) -> Result<(Arc<ScratchFile>, Extent)> {
        let file = {
            let mut file = self.0.lock();
            match &*file {
                Some(file) => file.clone(),
                None => file.insert(Arc::new(memory.scratch_file()?)).clone(),
            }
        };
        let packet = spill(&rows.changes, &file, memory)?;
        Ok((file, packet))
    }
}

/// What waits in one bucket, by port.
#[derive(Debug)]
struct Waiting {
    parts: Vec<Part>,
}

impl Waiting {
    /// Nothing, of so many ports: there may be very many buckets.
    fn of(ports: usize) -> Self {
        Waiting { parts: Vec::with_capacity(ports) }
    }
}

/// The buckets of an epoch.
pub struct Gathered<'a> {
    check: &'a dyn Fn() -> Result<()>,
    shape: Shape,
    buckets: VecDeque<Waiting>,
    /// Those with rows of one hash only that are too many for one bucket.
    hot: VecDeque<Waiting>,
}

impl<'a> Gathered<'a> {
    /// Adds a bucket whose hashes come after all others; divided, if it is large.
    fn add(&mut self, waiting: Waiting) -> Result<()> {
        let parts = || waiting.parts.iter().zip(self.shape.ports.iter());
        let bytes: u64 = parts().map(|(part, (_, schema))| part.bytes(schema.len())).sum();
        let most = self.shape.memory.bucket_bytes();
        if bytes <= most {
            if waiting.parts.iter().any(|part| !part.is_empty()) {
                self.buckets.push_back(waiting);
            }
            return Ok(());
        }
        match waiting.parts.iter().filter_map(Part::hashes).reduce(KeyRange::hull) {
            Some(hashes) if hashes.first < hashes.last => self.divide(waiting, hashes, bytes.div_ceil(most) * 2),
            _ => {
                self.hot.push_back(waiting);
                Ok(())
            }
        }
    }

    /// Divides a bucket into about so many.
    fn divide(&mut self, waiting: Waiting, KeyRange { first, last }: KeyRange, wanted: u64) -> Result<()> {
        let Shape { seed, ports, memory, .. } = self.shape.clone();
        let most = (memory.parts() / ports.len() as u64).max(2);
        let wanted = wanted.min(most).next_power_of_two();
        let width = last - first;
        // The last part may be shorter than the others.
        let shift = (u64::BITS - width.leading_zeros()).saturating_sub(wanted.ilog2());
        let count = (width >> shift) as usize + 1;
        let spill = Spill::default();
        let mut divided: Vec<Waiting> = (0..count).map(|_| Waiting::of(ports.len())).collect();
        let mut scatter = Scatter::default();
        let most = memory.packet_bytes(count * ports.len());
        for (part, shape) in waiting.parts.into_iter().zip(ports.iter()) {
            let parts = Part::several(count, &shape.0, &memory);
            let mut buffers: Vec<BucketBuffer> = (0..count).map(|_| BucketBuffer::new(&shape.1)).collect();
            for rows in part.pieces(shape.clone(), seed) {
                (self.check)()?;
                let rows = rows?;
                scatter.divide_by(&rows.hashes, count, |hash| ((hash - first) >> shift) as usize);
                for (number, buffer) in buffers.iter_mut().enumerate() {
                    let positions = scatter.part(number);
                    if positions.is_empty() {
                        continue;
                    }
                    buffer.extend(&rows, positions);
                    if buffer.bytes() >= most {
                        let full = std::mem::replace(buffer, BucketBuffer::new(&shape.1));
                        Part::push_to(&parts[number], full.into_rows(), &memory, &spill)?;
                    }
                }
            }
            for (part, buffer) in parts.iter().zip(buffers).filter(|(_, buffer)| buffer.bytes() > 0) {
                Part::push_to(part, buffer.into_rows(), &memory, &spill)?;
            }
            for (divided, part) in divided.iter_mut().zip(parts) {
                divided.parts.push(part.into_inner());
            }
        }
        divided.into_iter().try_for_each(|waiting| self.add(waiting))
    }

    /// The rows of a hash that are too many for one bucket, once.
    pub(crate) fn take_hot(&mut self) -> Option<HotBucket<'a>> {
        self.hot.pop_front().map(|waiting| HotBucket { shape: self.shape.clone(), check: self.check, waiting })
    }
}

/// Rows of one hash that are too many for one bucket.
pub(crate) struct HotBucket<'a> {
    /// What it has in common with the other buckets.
    pub shape: Shape,
    /// Says whether to go on.
    pub check: &'a dyn Fn() -> Result<()>,
    waiting: Waiting,
}

impl HotBucket<'_> {
    /// The rows of each port, in pieces that are not large.
    pub(crate) fn into_ports(self) -> Vec<Box<dyn Iterator<Item = Result<HashedChanges>>>> {
        let seed = self.shape.seed;
        let ports = self.waiting.parts.into_iter().zip(self.shape.ports.iter().cloned());
        let pieces =
            |(part, shape): (Part, PortShape)| -> Box<dyn Iterator<Item = _>> { Box::new(part.pieces(shape, seed)) };
        ports.map(pieces).collect()
    }
}

impl Buckets for Gathered<'_> {
    fn next(&mut self) -> Result<Option<Bucket>> {
        (self.check)()?;
        let Some(Waiting { parts }) = self.buckets.pop_front() else { return Ok(None) };
        let load = |(part, shape): (Part, &PortShape)| part.load(shape, self.shape.seed);
        let ports = parts.into_iter().zip(self.shape.ports.iter()).map(load).collect::<Result<_>>()?;
        Ok(Some(Bucket::new(ports)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
    use millpond_columns::types::Type;
    use proptest::prelude::*;

    use super::*;
    use crate::changes::Changes;
    use crate::group::{RowOrder, group};
    use crate::hash::hash_columns;
    use crate::route::part_of;

    /// A key of text and a float, each with nulls; then a row column.
    type Row = (Option<String>, Option<f64>, i64, i64);

    /// The rows of each key: the row column and the multiplicity.
    type ByKey = BTreeMap<(Option<String>, Option<u64>), Vec<(i64, i64)>>;

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        vec![
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
            Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0.as_deref()))),
        ]
    }

    fn packets(rows: &[Row], buckets: usize, collide: bool) -> Vec<Packet> {
        let all = columns(rows);
        let mut hashes = hash_columns(HashSeed(5), &[all[2].clone(), all[0].clone()], rows.len());
        if collide {
            hashes.iter_mut().for_each(|hash| *hash &= 0b11 << 62);
        }

        (0..buckets)
            .map(|bucket| {
                let at: Vec<usize> = (0..rows.len()).filter(|&row| part_of(hashes[row], buckets) == bucket).collect();
                let kept: Vec<Row> = at.iter().map(|&row| rows[row].clone()).collect();
                let changes = Changes::new(columns(&kept), kept.iter().map(|row| row.3).collect());
                let hashes = at.iter().map(|&row| hashes[row]).collect();
                Packet::new(0, bucket, buckets, HashedChanges { hashes, changes })
            })
            .filter(|packet| packet.count > 0)
            .collect()
    }

    fn row() -> impl Strategy<Value = Row> {
        let text = prop_oneof![
            Just(None),
            "[ab]{0,2}".prop_map(Some),
            "[ab]{7,9}".prop_map(Some),
            "[a]{15,18}".prop_map(Some)
        ];
        let float = prop_oneof![Just(None), Just(Some(0.0)), Just(Some(-1.5)), Just(Some(f64::NAN)), Just(Some(1.5))];
        (text, float, 0..5i64, prop_oneof![Just(1i64), Just(1), Just(-1)])
    }

    /// Adds rows to those of their keys.
    fn note(found: &mut ByKey, rows: &KeyedChanges) {
        let rows = group(rows, &[1], RowOrder::Arrival).unwrap();
        let (texts, floats) = (rows.keys[0].as_string::<i32>(), rows.keys[1].as_primitive::<Float64Type>());
        for (k, place) in rows.offsets.windows(2).enumerate() {
            let text = texts.is_valid(k).then(|| texts.value(k).to_owned());
            let float = floats.is_valid(k).then(|| floats.value(k).to_bits());
            let ints = rows.rows[0].as_primitive::<Int64Type>();
            let of_key = (place[0] as usize..place[1] as usize).map(|i| (ints.value(i), rows.diffs.get(i)));
            found.entry((text, float)).or_default().extend(of_key);
        }
    }

    fn shape(memory: Memory) -> Shape {
        let columns = [("f", Type::Float.optional()), ("n", Type::Int.required()), ("s", Type::Str.optional())];
        let ports = Arc::new(vec![(vec![2, 0], Schema::new(columns))]);
        Shape { seed: HashSeed(5), ports, workers: 1, memory: Arc::new(memory) }
    }

    fn push(buffer: &EpochBuffer, rows: &[Row], divided: bool, collide: bool) {
        let buckets = if divided { buckets_per_worker(1) } else { 1 };
        packets(rows, buckets, collide).into_iter().for_each(|packet| buffer.push(0, packet).unwrap());
    }

    fn batches() -> impl Strategy<Value = Vec<(Vec<Row>, bool)>> {
        prop::collection::vec((prop::collection::vec(row(), 1..40), any::<bool>()), 1..5)
    }

    proptest! {
        /// Whatever the packets, each key has its rows, in the order in which they came.
        #[test]
        fn every_key_has_its_rows(batches in batches(), collide: bool) {
            let buffer = EpochBuffer::new(shape(Memory::unlimited()));
            // What comes undivided is put behind the rest of its bucket.
            let mut expected = ByKey::new();
            let some_divided = batches.iter().any(|(_, divided)| *divided);
            let late = batches.iter().filter(|(_, divided)| some_divided && !divided);
            let order = batches.iter().filter(|(_, divided)| !some_divided || *divided).chain(late);
            for row in order.flat_map(|(rows, _)| rows) {
                let float = row.1.map(|float| float.to_bits());
                expected.entry((row.0.clone(), float)).or_default().push((row.2, row.3));
            }
            batches.iter().for_each(|(rows, divided)| push(&buffer, rows, *divided, collide));
            let (mut found, mut keys) = (ByKey::new(), 0);
            let mut buckets = buffer.finish(&|| Ok(())).unwrap();
            while let Some(bucket) = buckets.next().unwrap() {
                let rows = bucket.only();
                keys += rows.hashes.len();
                note(&mut found, &rows);
            }
            prop_assert_eq!(keys, found.len(), "a key is in one bucket");
            prop_assert_eq!(found, expected);
        }

        /// However little memory there is, each key has its rows, in one bucket if they are not too many.
        #[test]
        fn every_key_has_its_rows_however_little_memory_there_is(batches in batches(), limit in 0..60_000u64) {
            let buffer = EpochBuffer::new(shape(Memory::tiny(limit, 1)));
            let mut expected = ByKey::new();
            for row in batches.iter().flat_map(|(rows, _)| rows) {
                let float = row.1.map(|float| float.to_bits());
                expected.entry((row.0.clone(), float)).or_default().push((row.2, row.3));
            }
            batches.iter().for_each(|(rows, divided)| push(&buffer, rows, *divided, false));
            let (mut found, mut keys) = (ByKey::new(), 0);
            let mut buckets = buffer.finish(&|| Ok(())).unwrap();
            let memory = buckets.shape.memory.clone();
            while let Some(hot) = buckets.take_hot() {
                let mut of_hot = ByKey::new();
                for rows in hot.into_ports().into_iter().flatten() {
                    note(&mut of_hot, &KeyedChanges::new(rows.unwrap(), &[2, 0]));
                }
                prop_assert_eq!(of_hot.len(), 1, "these keys have hashes of their own");
                keys += 1;
                found.extend(of_hot);
            }
            let mut last = 0;
            while let Some(bucket) = buckets.next().unwrap() {
                let rows = bucket.only();
                let first = *rows.hashes.iter().min().unwrap();
                prop_assert!(keys == 0 || first >= last, "buckets ascend");
                last = *rows.hashes.iter().max().unwrap();
                keys += rows.hashes.len();
                note(&mut found, &rows);
            }
            prop_assert_eq!(keys, found.len(), "a key is in one bucket");
            found.values_mut().chain(expected.values_mut()).for_each(|rows| rows.sort_unstable());
            prop_assert_eq!(found, expected);
            drop(buckets);
            prop_assert!(memory.may_wait((limit / 8 * 3) as usize), "nothing is taken any more");
        }
    }
}
