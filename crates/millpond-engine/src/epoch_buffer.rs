//! An epoch's packets, gathered into buckets in ascending order of hashes.
//!
//! A bucket's keys are numbered as its packets come, so that of most rows little more than the number of the key waits
//! for the end of the epoch.

use std::vec;

use millpond_columns::types::Schema;
use millpond_error::Result;

use crate::hash::HashSeed;
use crate::keyed::{HashedChanges, KeyedChangesBuilder};
use crate::operator::{Bucket, Buckets};
use crate::route::{Packet, Scatter, split};

/// The packets of one epoch for one worker.
#[derive(Debug)]
pub struct EpochBuffer {
    seed: HashSeed,
    workers: usize,
    ports: Vec<PortBuffer>,
}

/// What came in at a port.
#[derive(Debug)]
struct PortBuffer {
    key: Vec<usize>,
    schema: Schema,
    buckets: Vec<KeyedChangesBuilder>,
    /// What came undivided.
    whole: Vec<HashedChanges>,
}

impl EpochBuffer {
    /// No packets. Each port has the positions of the key columns in rows of a schema.
    pub fn new<'a>(seed: HashSeed, ports: impl IntoIterator<Item = (&'a [usize], &'a Schema)>, workers: usize) -> Self {
        let port = |(key, schema): (&[usize], &Schema)| PortBuffer {
            key: key.to_vec(),
            schema: schema.clone(),
            buckets: Vec::new(),
            whole: Vec::new(),
        };
        EpochBuffer { seed, workers, ports: ports.into_iter().map(port).collect() }
    }

    /// Takes up a packet. All packets of an epoch that are divided are divided into the same number of buckets.
    pub fn push(&mut self, port: usize, packet: Packet) -> Result<()> {
        let port = &mut self.ports[port];
        let (bucket, buckets) = (packet.bucket, packet.buckets);
        let rows = packet.into_rows(&port.schema, self.seed, &port.key)?;
        if buckets == 1 {
            port.whole.push(rows);
            return Ok(());
        }
        port.divide(buckets);
        port.buckets[bucket].push(rows);
        Ok(())
    }

    /// The buckets that have rows.
    pub fn finish(self) -> impl Buckets {
        // What is divided at one port is divided at all, so that a bucket holds all rows of its keys.
        let count = self.ports.iter().map(|port| port.buckets.len()).max().unwrap_or_default().max(1);
        let ports = self.ports.into_iter().map(|port| port.finish(count, self.workers)).collect();
        Gathered { ports }
    }
}

impl PortBuffer {
    fn divide(&mut self, buckets: usize) {
        debug_assert!(self.buckets.is_empty() || self.buckets.len() == buckets, "packets are divided alike");
        self.buckets.resize_with(buckets, || KeyedChangesBuilder::new(&self.key));
    }

    fn finish(mut self, count: usize, workers: usize) -> vec::IntoIter<KeyedChangesBuilder> {
        self.divide(count);
        let mut scratch = Scatter::default();
        for rows in self.whole {
            if count == 1 {
                self.buckets[0].push(rows);
                continue;
            }
            for (part, rows) in split(&rows, count * workers, &self.schema, &mut scratch) {
                // The parts of one worker follow each other, and all of these rows are this worker's.
                self.buckets[part % count].push(rows);
            }
        }
        self.buckets.into_iter()
    }
}

/// The buckets of each port, as many at each.
struct Gathered {
    ports: Vec<vec::IntoIter<KeyedChangesBuilder>>,
}

impl Buckets for Gathered {
    fn next(&mut self) -> Result<Option<Bucket>> {
        while self.ports.iter().any(|port| !port.as_slice().is_empty()) {
            let ports: Vec<_> =
                self.ports.iter_mut().map(|port| port.next().and_then(KeyedChangesBuilder::finish)).collect();
            if ports.iter().any(Option::is_some) {
                return Ok(Some(Bucket::new(ports)));
            }
        }
        Ok(None)
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

    proptest! {
        /// Whatever the packets, each key has its rows, in the order in which they came.
        #[test]
        fn every_key_has_its_rows(batches in prop::collection::vec((prop::collection::vec(row(), 1..40), any::<bool>()), 1..5), collide: bool) {
            let schema = Schema::new([("f", Type::Float.optional()), ("n", Type::Int.required()), ("s", Type::Str.optional())]);
            let mut gather = EpochBuffer::new(HashSeed(5), [(&[2, 0][..], &schema)], 1);
            // What comes undivided is put behind the rest of its bucket.
            let mut expected = ByKey::new();
            let some_divided = batches.iter().any(|(_, divided)| *divided);
            let late = batches.iter().filter(|(_, divided)| some_divided && !divided);
            let order = batches.iter().filter(|(_, divided)| !some_divided || *divided).chain(late);
            for row in order.flat_map(|(rows, _)| rows) {
                let float = row.1.map(|float| float.to_bits());
                expected.entry((row.0.clone(), float)).or_default().push((row.2, row.3));
            }
            for (rows, divided) in &batches {
                packets(rows, if *divided { 8 } else { 1 }, collide).into_iter().for_each(|packet| gather.push(0, packet).unwrap());
            }
            let mut found = ByKey::new();
            let mut buckets = gather.finish();
            while let Some(bucket) = buckets.next().unwrap() {
                let rows = group(&bucket.only(), &[1], RowOrder::Arrival).unwrap();
                let (texts, floats) = (rows.keys[0].as_string::<i32>(), rows.keys[1].as_primitive::<Float64Type>());
                for (k, place) in rows.offsets.windows(2).enumerate() {
                    let text = texts.is_valid(k).then(|| texts.value(k).to_owned());
                    let float = floats.is_valid(k).then(|| floats.value(k).to_bits());
                    let ints = rows.rows[0].as_primitive::<Int64Type>();
                    let of_key = (place[0] as usize..place[1] as usize).map(|i| (ints.value(i), rows.diffs.get(i))).collect();
                    prop_assert!(found.insert((text, float), of_key).is_none(), "a key is there once");
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
