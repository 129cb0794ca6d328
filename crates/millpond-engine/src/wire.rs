//! Columns as bytes, on their way between processes of one run.
//!
//! Both sides know the types from the plan, so the bytes hold none. A column of `rows` cells is: 1 and a bit for each
//! cell (set where it is not null), or 0 if no cell is null; then
//!
//! - `Boolean`: a bit for each cell;
//! - a type of fixed width: the values;
//! - `Utf8`, `Binary`: `rows + 1` offsets from 0 (32 bits), then the bytes.
//!
//! Every part is padded to a multiple of 8 bytes; numbers are little-endian, as Arrow keeps them.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::GenericBinaryType;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, ToByteSlice};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use millpond_columns::types::Schema;
use millpond_error::{Error, Result};
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use crate::changes::{Changes, Diffs};
use crate::hash::HashSeed;
use crate::keyed::HashedChanges;
use crate::route::{Message, Packet, PacketRows};

/// What to do where a process does not understand another.
pub const MISFIT_HINT: &str = "check that all processes run the same program with the same version of Millpond";

/// Writes changes; without their schema, which [`read_changes`] must be given.
pub fn write_changes<W: Write>(changes: &Changes, out: &mut W) {
    let mut out = Writer { out };
    out.number(changes.rows as u64);
    out.changes(changes);
}

/// The number of bytes that [`write_changes`] writes.
pub fn changes_bytes(changes: &Changes) -> usize {
    let mut count = Count(0);
    write_changes(changes, &mut count);
    count.0
}

/// Reads what [`write_changes`] wrote.
///
/// # Errors
/// `Unavailable`, if the bytes are not those of changes of this schema.
pub fn read_changes(bytes: &[u8], schema: &Schema) -> Result<Changes> {
    let mut reader = Reader { bytes };
    let rows = reader.number()? as usize;
    reader.changes(rows, schema)
}

/// A packet's place and number of rows stand first, so that timely can count it.
const PACKET_HEAD: usize = 4;

impl Packet {
    fn write<W: Write>(&self, out: &mut W) {
        let mut out = Writer { out };
        for number in [self.worker, self.bucket, self.buckets, self.count] {
            out.number(number as u64);
        }
        match &self.rows {
            // A hash costs less than its way.
            PacketRows::Here(rows) => out.changes(&rows.changes),
            PacketRows::Sent(bytes) => out.part(bytes),
        }
    }

    /// The rows, of this schema, hashed by the columns at the positions `key`.
    ///
    /// # Errors
    /// `Unavailable`, if another process sent bytes that are not such rows.
    pub fn into_rows(self, schema: &Schema, seed: HashSeed, key: &[usize]) -> Result<HashedChanges> {
        match self.rows {
            PacketRows::Here(rows) => Ok(rows),
            PacketRows::Sent(bytes) => {
                let changes = Reader { bytes: &bytes }.changes(self.count, schema)?;
                Ok(HashedChanges::new(changes, seed, key))
            }
        }
    }
}

/// Stands in a head for a number of buckets where the message holds no rows but a time.
const TIME: usize = 0;

impl Message {
    fn write<W: Write>(&self, out: &mut W) {
        match self {
            Message::Rows(packet) => packet.write(out),
            Message::Time { worker, time } => {
                let mut out = Writer { out };
                [*worker as u64, *time as u64, TIME as u64, 0].into_iter().for_each(|number| out.number(number));
            }
        }
    }
}

impl ContainerBytes for Message {
    /// Only looks at the head; the rows are read when the operator takes them, and until then stay where they were
    /// received.
    fn from_bytes(mut bytes: Bytes) -> Self {
        let mut reader = Reader { bytes: &bytes };
        let head: [usize; PACKET_HEAD] = std::array::from_fn(|_| reader.number().unwrap_or_default() as usize);
        let length = bytes.len().min(PACKET_HEAD * 8);
        bytes.extract_to(length);
        match head {
            [worker, time, TIME, _] => Message::Time { worker, time: time as i64 },
            [worker, bucket, buckets, count] => {
                Message::Rows(Packet { worker, bucket, buckets, count, rows: PacketRows::Sent(bytes) })
            }
        }
    }

    fn length_in_bytes(&self) -> usize {
        let mut count = Count(0);
        self.write(&mut count);
        count.0
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        self.write(writer);
    }
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
}

impl<W: Write> Writer<'_, W> {
    fn put(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).expect("memory takes all that was counted before");
    }

    fn number(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn part(&mut self, bytes: &[u8]) {
        self.put(bytes);
        self.put(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()]);
    }

    fn changes(&mut self, changes: &Changes) {
        match &changes.diffs {
            Diffs::Ones => self.number(0),
            Diffs::Each(diffs) => {
                self.number(1);
                self.part(diffs.inner().as_slice());
            }
        }
        changes.columns.iter().for_each(|column| self.column(column));
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        self.part(&bits.sliced().as_slice()[..bits.len().div_ceil(8)]);
    }

    /// The offsets as if the first were 0; returns the range that they span.
    fn offsets(&mut self, offsets: &OffsetBuffer<i32>) -> (usize, usize) {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        if first == 0 {
            self.part(offsets.inner().inner().as_slice());
        } else {
            let moved: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
            self.part(moved.to_byte_slice());
        }
        (first as usize, last as usize)
    }

    fn column(&mut self, column: &ArrayRef) {
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.number(0),
            Some(nulls) => {
                self.number(1);
                self.bits(nulls.inner());
            }
        }
        match column.data_type() {
            DataType::Boolean => self.bits(column.as_boolean().values()),
            DataType::Utf8 => {
                let text = column.as_string::<i32>();
                let (first, last) = self.offsets(text.offsets());
                self.part(&text.value_data()[first..last]);
            }
            DataType::Binary => {
                let bytes = column.as_bytes::<GenericBinaryType<i32>>();
                let (first, last) = self.offsets(bytes.offsets());
                self.part(&bytes.value_data()[first..last]);
            }
            other => {
                let Some(width) = other.primitive_width() else { unreachable!("no column is stored as {other}") };
                let data = column.to_data();
                self.part(&data.buffers()[0].as_slice()[data.offset() * width..][..data.len() * width]);
            }
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

fn damaged(what: &str) -> Error {
    Error::unavailable(format!("another process sent rows that cannot be read: {what}")).with_hint(MISFIT_HINT)
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| damaged("they end too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| damaged("they end too early"))?))
    }

    fn part(&mut self, length: usize) -> Result<&'a [u8]> {
        let padded = length.checked_next_multiple_of(8).ok_or_else(|| damaged("a length is too large"))?;
        Ok(&self.take(padded)?[..length])
    }

    /// Elements of `width` bytes, copied to where Arrow wants them.
    fn values(&mut self, count: usize, width: usize) -> Result<Buffer> {
        let length = count.checked_mul(width).ok_or_else(|| damaged("a length is too large"))?;
        Ok(Buffer::from(self.part(length)?))
    }

    fn changes(&mut self, rows: usize, schema: &Schema) -> Result<Changes> {
        let diffs = match self.number()? {
            0 => Diffs::Ones,
            _ => Diffs::Each(ScalarBuffer::from(self.values(rows, 8)?)),
        };
        let types = schema.columns().iter().map(|column| column.ty.ty.to_arrow());
        let columns = types.map(|ty| self.column(&ty, rows).map(make_array)).collect::<Result<_>>()?;
        Ok(Changes { columns, rows, diffs })
    }

    fn column(&mut self, ty: &DataType, rows: usize) -> Result<ArrayData> {
        let nulls = match self.number()? {
            0 => None,
            _ => {
                let bits = BooleanBuffer::new(Buffer::from(self.part(rows.div_ceil(8))?), 0, rows);
                Some(NullBuffer::new(bits).into_inner().into_inner())
            }
        };
        let mut buffers = Vec::new();
        match ty {
            DataType::Boolean => buffers.push(Buffer::from(self.part(rows.div_ceil(8))?)),
            DataType::Utf8 | DataType::Binary => {
                let offsets = self.values(rows.saturating_add(1), 4)?;
                let length = last_offset(&offsets)?;
                buffers.push(offsets);
                buffers.push(Buffer::from(self.part(length)?));
            }
            other => {
                let width = other.primitive_width().ok_or_else(|| damaged("a column has an unknown type"))?;
                buffers.push(self.values(rows, width)?);
            }
        }
        // Checks everything: lengths, offsets, text.
        ArrayData::try_new(ty.clone(), rows, nulls, 0, buffers, Vec::new()).map_err(|error| damaged(&error.to_string()))
    }
}

fn last_offset(offsets: &Buffer) -> Result<usize> {
    let last = offsets.as_slice().last_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes));
    last.and_then(|last| usize::try_from(last).ok()).ok_or_else(|| damaged("an offset is negative"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
    use millpond_columns::types::Type;
    use millpond_error::ErrorKind;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const TYPES: [Type; 8] = [
        Type::Bool,
        Type::Int,
        Type::Float,
        Type::Str,
        Type::Bytes,
        Type::DateTimeNaive,
        Type::DateTimeUtc,
        Type::Duration,
    ];

    fn column(ty: Type, rows: usize, random: &mut StdRng) -> ArrayRef {
        let nulls = random.random_bool(0.5);
        let valid: Vec<bool> = (0..rows).map(|_| !nulls || random.random_bool(0.7)).collect();
        let ints: Vec<i64> = (0..rows).map(|_| random.random_range(-9..9)).collect();
        let cells = || ints.iter().zip(&valid).map(|(int, valid)| valid.then_some(*int));
        match ty {
            Type::Bool => Arc::new(BooleanArray::from_iter(cells().map(|cell| cell.map(|int| int > 0)))),
            Type::Float => Arc::new(Float64Array::from_iter(cells().map(|cell| cell.map(|int| int as f64 / 2.0)))),
            Type::Str => {
                Arc::new(StringArray::from_iter(cells().map(|cell| cell.map(|int| "é".repeat((int + 9) as usize)))))
            }
            Type::Bytes => {
                Arc::new(BinaryArray::from_iter(cells().map(|cell| cell.map(|int| vec![0xff; (int + 9) as usize]))))
            }
            _ => ty.int_array(ints.clone().into(), Some(NullBuffer::from(valid))),
        }
    }

    /// Columns of every type, some cut out of longer ones, come out as they went in.
    #[test]
    fn changes_arrive_as_they_were_sent() {
        for seed in 0..500 {
            let mut random = StdRng::seed_from_u64(seed);
            let types: Vec<Type> =
                (0..random.random_range(0..5)).map(|_| TYPES[random.random_range(0..TYPES.len())]).collect();
            let schema = Schema::new(types.iter().enumerate().map(|(i, ty)| (i.to_string(), ty.optional())));
            let all = random.random_range(0..40);
            let start = random.random_range(0..=all);
            let rows = random.random_range(0..=all - start);
            let columns = types.iter().map(|ty| column(*ty, all, &mut random).slice(start, rows)).collect();
            let changes = match random.random_bool(0.5) {
                true => Changes::inserts(columns, rows),
                false => Changes::new(columns, (0..rows as i64).map(|i| i % 3 * 2 - 1).collect()),
            };
            let mut bytes = Vec::new();
            write_changes(&changes, &mut bytes);
            assert_eq!(bytes.len(), changes_bytes(&changes), "seed {seed}");
            let read = read_changes(&bytes, &schema).unwrap();
            assert_eq!((read.rows, &read.diffs), (rows, &changes.diffs), "seed {seed}");
            for (read, sent) in read.columns.iter().zip(&changes.columns) {
                assert_eq!(read.as_ref(), sent.as_ref(), "seed {seed}");
            }
            // Bytes that were cut off are an error, never a panic.
            let cut = random.random_range(0..bytes.len());
            let _ = read_changes(&bytes[..cut], &schema);
        }
    }

    /// The bytes of one column of text, each number of `parts` in eight bytes; what is said of them.
    #[track_caller]
    fn check_damaged(parts: &[u64], reason: &str) {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let error = read_changes(&bytes, &Schema::new([("user", Type::Str.required())])).unwrap_err();
        let text = format!(
            "another process sent rows that cannot be read: {reason}\n\
             hint: check that all processes run the same program with the same version of Millpond"
        );
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, text));
    }

    #[test]
    fn bytes_that_are_no_rows_are_refused() {
        check_damaged(&[], "they end too early");
        // Of one row: all are added, none is null, and the text ends before its offset.
        check_damaged(&[1, 0, 0, 4 << 32], "they end too early");
        check_damaged(&[u64::MAX, 0, 0], "a length is too large");
        check_damaged(&[1, 0, 0, 0xffff_ffff << 32], "an offset is negative");
        let text = "Invalid argument error: Invalid UTF8 sequence at string index 0 (0..1): invalid utf-8 sequence of 1 bytes \
                    from index 0";
        check_damaged(&[1, 0, 0, 1 << 32, 0xff], text);
        let bytes: Vec<u8> = [1, 0, 0, 1 << 32, 0x61_u64].iter().flat_map(|part| part.to_le_bytes()).collect();
        assert_eq!(read_changes(&bytes, &Schema::new([("user", Type::Str.required())])).unwrap().rows, 1);
    }

    fn sent(message: &Message) -> Message {
        let mut bytes = Vec::new();
        message.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), message.length_in_bytes());
        Message::from_bytes(timely::bytes::arc::BytesMut::from(bytes).freeze())
    }

    #[test]
    fn a_time_arrives_as_it_was_sent() {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let arrived = sent(&Message::Time { worker: 3, time });
            assert!(matches!(arrived, Message::Time { worker: 3, time: found } if found == time));
        }
    }

    #[test]
    fn a_packet_arrives_as_it_was_sent() {
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![7, 8, 9]))];
        let rows = HashedChanges::new(Changes::new(columns, vec![1, -1, 2].into()), HashSeed(6), &[0]);
        let packet = Packet { worker: 5, bucket: 3, buckets: 4, count: 3, rows: PacketRows::Here(rows.clone()) };
        let Message::Rows(arrived) = sent(&Message::Rows(packet)) else { unreachable!("rows were sent") };
        assert_eq!((arrived.worker, arrived.bucket, arrived.buckets, arrived.count), (5, 3, 4, 3));
        let arrived = arrived.into_rows(&Schema::new([("n", Type::Int.required())]), HashSeed(6), &[0]).unwrap();
        assert_eq!(arrived.hashes, rows.hashes);
        assert_eq!(arrived.changes.diffs, rows.changes.diffs);
        assert_eq!(arrived.changes.columns[0].as_ref(), rows.changes.columns[0].as_ref());
    }
}
