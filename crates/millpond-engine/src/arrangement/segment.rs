//! A segment: an immutable, sorted, checksummed string of bytes that holds rows by key.
//!
//! In memory, in a file or mapped it is the same bytes, and lookups read them in place. The layout, byte by byte, is in
//! `docs/format.md`: a magic number, the blocks, a footer with the schema and an index of the blocks, and a trailer
//! with the footer's length and checksum. [`Segment::open`] checks the footer, so it costs the same however large the
//! blocks; a block is checked when it is first touched.
//!
//! A key with many rows goes on over several blocks. The index has for each block what a lookup needs to pass over it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use millpond_columns::types::{ColumnType, Type, byte_values};
use millpond_error::{Error, Result};
use millpond_store::{DAMAGE_HINT, ScratchFile};
use xxhash_rust::xxh3::xxh3_64;

use super::batch::{Batch, Plan};
use super::block::{self, Block, Expect};
use super::{ArrangementSchema, BlobRange};
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;
use crate::memory::{Memory, Reserved};

/// The first bytes of a segment; the last of them is the version of the format.
const MAGIC: [u8; 8] = *b"MPRUN\0\0\x01";
/// Bytes of the trailer: the length and the checksum of the footer.
const TRAILER_BYTES: usize = 16;
/// Bytes of the footer's counts: rows, keys, blocks, last hash.
const COUNTS_BYTES: usize = 32;
/// Bytes of a block's entry in the index.
const INDEX_BYTES: usize = 48;
/// The first key of the block is the last key of the block before.
const CONTINUES: u32 = 1;
/// The first cell of the block's first row is null.
const FIRST_NULL: u32 = 2;
/// A block is cut when its rows would take more than this without compression.
pub(super) const BLOCK_BYTES: usize = 32 << 10;

/// An immutable, sorted, checksummed string of bytes that holds rows by key.
#[derive(Debug)]
pub struct Segment {
    name: String,
    bytes: Bytes,
    checksum: u64,
    schema: ArrangementSchema,
    rows: u64,
    keys: u64,
    /// The hash of each block's first key.
    pub(super) first_hashes: Vec<u64>,
    pub(super) blocks: Vec<BlockInfo>,
    last_hash: u64,
    /// One bit for each block: whether it was checked.
    checked: Vec<AtomicU64>,
    /// Whether the bytes are those that it was made in.
    in_memory: bool,
    place: OnceLock<BlobRange>,
    /// Of a segment that is not saved: the memory that it takes.
    _reserved: Option<Arc<Reserved>>,
}

/// What the index knows of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockInfo {
    offset: u64,
    checksum: u64,
    /// The first cell of the first row, if that is an int.
    pub(super) first_value: i64,
    pub(super) length: u32,
    pub(super) keys: u32,
    pub(super) rows: u32,
    /// The number of rows of the first key in this block.
    pub(super) head_rows: u32,
    flags: u32,
    /// The block in which the rows of this block's last key end.
    pub(super) last_key_ends: u32,
}

impl BlockInfo {
    /// Whether the first key is the last key of the block before.
    pub(super) fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    /// Whether the first cell of the first row is null.
    pub(super) fn first_is_null(&self) -> bool {
        self.flags & FIRST_NULL != 0
    }
}

impl Segment {
    /// Opens a saved segment. `name` is what errors call it, `checksum` what the checkpoint says. Damage is a `Data`
    /// error.
    pub fn open(name: &str, bytes: Bytes, checksum: u64) -> Result<Self> {
        let damaged = |what: &str| damaged(name, what);
        if bytes.len() < MAGIC.len() + TRAILER_BYTES || bytes[..5] != MAGIC[..5] {
            return Err(damaged("it is not a segment"));
        }
        if bytes[..8] != MAGIC {
            return Err(newer(name, "is of a format"));
        }
        let trailer = bytes.len() - TRAILER_BYTES;
        let mut fields = Fields { bytes: &bytes[trailer..] };
        let (length, found) = (fields.u64(), fields.u64());
        if length > (trailer - MAGIC.len()) as u64 {
            return Err(damaged("its footer is out of place"));
        }
        let footer = trailer - length as usize;
        if found != checksum || xxh3_64(&bytes[footer..trailer]) != checksum {
            return Err(damaged("its footer does not match its checksum"));
        }
        let parsed = parse_footer(&bytes[footer..trailer], (footer - MAGIC.len()) as u64);
        let Footer { schema, rows, keys, last_hash, first_hashes, blocks } =
            parsed.map_err(|problem| match problem {
                Problem::Damaged(what) => damaged(what),
                Problem::Type(code) => newer(name, &format!("has a column of type {code}, a type")),
            })?;
        let checked = (0..blocks.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Segment {
            name: name.to_owned(),
            bytes,
            checksum,
            schema,
            rows,
            keys,
            first_hashes,
            blocks,
            last_hash,
            checked,
            in_memory: false,
            _reserved: None,
            place: OnceLock::new(),
        })
    }

    /// The bytes, as a checkpoint saves them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The checksum of the footer, which in turn holds those of the blocks.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The types of the columns.
    pub fn schema(&self) -> &ArrangementSchema {
        &self.schema
    }

    /// The number of rows, of all keys.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The number of keys.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Whether its bytes are those that it was made in, and not those that were saved.
    pub(super) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Where the segment is saved, if it is.
    pub fn place(&self) -> Option<&BlobRange> {
        self.place.get()
    }

    /// Says where the segment was saved; called once, after its bytes were written.
    pub fn set_place(&self, place: BlobRange) {
        let already = self.place.set(place).is_err();
        assert!(!already, "a segment is saved once");
    }

    /// The same segment, saved in another place; its bytes are those that this one has in memory.
    pub(super) fn moved_to(&self, place: BlobRange) -> Segment {
        Segment {
            name: self.name.clone(),
            bytes: self.bytes.clone(),
            schema: self.schema.clone(),
            first_hashes: self.first_hashes.clone(),
            blocks: self.blocks.clone(),
            checked: self.checked.iter().map(|word| AtomicU64::new(word.load(Ordering::Relaxed))).collect(),
            place: OnceLock::from(place),
            _reserved: self._reserved.clone(),
            ..*self
        }
    }

    /// The hashes from the first key to the last; `None` if there is no key.
    pub(super) fn hashes(&self) -> Option<KeyRange> {
        self.first_hashes.first().map(|first| KeyRange { first: *first, last: self.last_hash })
    }

    /// About how many rows have keys in `range`, without touching a block.
    pub(super) fn rows_within(&self, range: KeyRange) -> u64 {
        let Some(all) = self.hashes() else { return 0 };
        let Some(within) = all.intersection(range) else { return 0 };
        if within == all {
            return self.rows;
        }
        let start = self.first_hashes.partition_point(|hash| *hash < within.first).saturating_sub(1);
        let end = self.first_hashes.partition_point(|hash| *hash <= within.last);
        let rows: u64 = self.blocks[start..end].iter().map(|block| u64::from(block.rows)).sum();
        // The blocks at the ends are taken for half.
        if end - start > 2 { rows - u64::from(self.blocks[start].rows) / 2 } else { rows.div_ceil(2) }
    }

    /// A block, checked at first touch.
    #[inline]
    pub(super) fn block(&self, b: usize) -> Result<Block<'_>> {
        let info = &self.blocks[b];
        // In bounds: the index was checked against the length, or written with the bytes.
        let bytes = &self.bytes[info.offset as usize..][..info.length as usize];
        if self.checked[b / 64].load(Ordering::Relaxed) >> (b % 64) & 1 == 0 {
            self.check_block(b, bytes)?;
        }
        Ok(Block::new(bytes, info.keys, info.rows, &self.schema))
    }

    /// The number of blocks that were touched.
    #[cfg(test)]
    pub(super) fn touched(&self) -> u32 {
        self.checked.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }

    #[cold]
    fn check_block(&self, b: usize, bytes: &[u8]) -> Result<()> {
        let info = &self.blocks[b];
        if xxh3_64(bytes) != info.checksum {
            return Err(damaged(&self.name, &format!("block {b} does not match its checksum")));
        }
        let BlockInfo { keys, rows, head_rows, .. } = *info;
        let expect = Expect { keys, rows, head_rows, first_hash: self.first_hashes[b] };
        block::check(bytes, expect, &self.schema).map_err(|what| damaged(&self.name, what))?;
        self.checked[b / 64].fetch_or(1 << (b % 64), Ordering::Relaxed);
        Ok(())
    }
}

fn damaged(name: &str, what: &str) -> Error {
    Error::data(format!("{name}: the saved segment is damaged: {what}")).with_hint(DAMAGE_HINT)
}

/// Little-endian fields, one after the other; the caller has checked the length.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.bytes.split_first_chunk().expect("the length was checked");
        self.bytes = tail;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

struct Footer {
    schema: ArrangementSchema,
    rows: u64,
    keys: u64,
    last_hash: u64,
    first_hashes: Vec<u64>,
    blocks: Vec<BlockInfo>,
}

/// Why a footer cannot be read.
enum Problem {
    Damaged(&'static str),
    /// A column is of a type of this code, which a later version may have written.
    Type(u8),
}

impl From<&'static str> for Problem {
    fn from(what: &'static str) -> Self {
        Problem::Damaged(what)
    }
}

/// The error of a segment that a later version wrote.
fn newer(name: &str, what: &str) -> Error {
    Error::data(format!("{name}: the segment {what} that this version does not know"))
        .with_hint("use the version of Millpond that wrote the state, or a newer one")
}

/// Reads a footer whose checksum is right, and checks that all that it says of the blocks is possible: `block_bytes` is
/// their length together.
fn parse_footer(footer: &[u8], block_bytes: u64) -> std::result::Result<Footer, Problem> {
    const SHORT: &str = "its footer is too short";
    let Some((counts, types)) = footer.split_first_chunk::<4>() else { return Err(SHORT.into()) };
    let mut fields = Fields { bytes: counts };
    let (key_columns, row_columns) =
        (u16::from_le_bytes(fields.take()) as usize, u16::from_le_bytes(fields.take()) as usize);
    let columns = key_columns + row_columns;
    let schema_bytes = (4 + columns).next_multiple_of(8);
    if footer.len() < schema_bytes + COUNTS_BYTES {
        return Err(SHORT.into());
    }
    let types = types[..columns].iter().map(|code| type_of(*code).ok_or(Problem::Type(*code)));
    let mut key = types.collect::<std::result::Result<Vec<_>, _>>()?;
    let row = key.split_off(key_columns);
    let schema = ArrangementSchema { key, row };

    let mut fields = Fields { bytes: &footer[schema_bytes..] };
    let (rows, keys, count, last_hash) = (fields.u64(), fields.u64(), fields.u64(), fields.u64());
    if count.checked_mul(INDEX_BYTES as u64) != Some(fields.bytes.len() as u64) {
        return Err("its index has another length than it says".into());
    }
    let mut first_hashes = Vec::with_capacity(count as usize);
    let mut blocks: Vec<BlockInfo> = Vec::with_capacity(count as usize);
    let mut offset = 0u64;
    let (mut rows_seen, mut keys_seen) = (0u64, 0u64);
    for b in 0..count {
        first_hashes.push(fields.u64());
        let info = BlockInfo {
            offset: MAGIC.len() as u64 + offset,
            first_value: fields.u64() as i64,
            checksum: fields.u64(),
            length: fields.u32(),
            keys: fields.u32(),
            rows: fields.u32(),
            head_rows: fields.u32(),
            flags: fields.u32(),
            last_key_ends: 0,
        };
        fields.u32();
        offset += u64::from(info.length);
        rows_seen += u64::from(info.rows);
        keys_seen += u64::from(info.keys) - u64::from(info.continues() && info.keys > 0);
        let possible = info.keys > 0
            && (1..=info.rows).contains(&info.head_rows)
            && (info.keys > 1 || info.head_rows == info.rows)
            && !(b == 0 && info.continues());
        if !possible {
            return Err("its index has impossible counts".into());
        }
        blocks.push(info);
    }
    if offset != block_bytes || rows_seen != rows || keys_seen != keys {
        return Err("its index does not add up".into());
    }
    if !first_hashes.is_sorted() || first_hashes.last().is_some_and(|hash| *hash > last_hash) {
        return Err("its index is not sorted".into());
    }
    link_continued(&mut blocks);
    Ok(Footer { schema, rows, keys, last_hash, first_hashes, blocks })
}

/// Fills in where the last key of each block ends.
fn link_continued(blocks: &mut [BlockInfo]) {
    for b in (0..blocks.len()).rev() {
        blocks[b].last_key_ends = match blocks.get(b + 1) {
            Some(next) if next.continues() && next.keys == 1 => next.last_key_ends,
            Some(next) if next.continues() => b as u32 + 1,
            _ => b as u32,
        };
    }
}

/// Cells may be null.
const OPTIONAL: u8 = 0x80;
/// Cells may be error values, beside null and valid: reserved, written by no version yet.
#[cfg(test)]
pub(super) const FALLIBLE: u8 = 0x40;

/// The codes of types are fixed, those of types to come included, so that no later version gives one another meaning: 8
/// pointers of 16 bytes, 9 decimals, 10 dates, 11 arrays of numbers, 12 accumulators as bytes of their own.
fn type_of(code: u8) -> Option<ColumnType> {
    let ty = match code & !OPTIONAL {
        0 => Type::Bool,
        1 => Type::Int,
        2 => Type::Float,
        3 => Type::Str,
        4 => Type::DateTimeNaive,
        5 => Type::DateTimeUtc,
        6 => Type::Duration,
        // What is made of values is stored in bytes that are ordered as they are.
        7 => Type::Bytes,
        _ => return None,
    };
    Some(ColumnType { ty, optional: code & OPTIONAL != 0 })
}

fn code_of(ty: ColumnType) -> u8 {
    let code = match ty.ty {
        Type::Bool => 0,
        Type::Int => 1,
        Type::Float => 2,
        Type::Str => 3,
        Type::DateTimeNaive => 4,
        Type::DateTimeUtc => 5,
        Type::Duration => 6,
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => 7,
    };
    if ty.optional { code | OPTIONAL } else { code }
}

/// Builds a [`Segment`] from rows in ascending order.
#[derive(Debug)]
pub struct SegmentBuilder {
    schema: ArrangementSchema,
    /// About how large a block is, without compression.
    block_bytes: usize,
    /// What was built, but for what is in the file.
    bytes: Vec<u8>,
    /// The first bytes, of a segment that is too large for memory, and how many they are.
    file: Option<ScratchFile>,
    in_file: usize,
    first_hashes: Vec<u64>,
    blocks: Vec<BlockInfo>,
    /// Rows for the next block.
    pending: Batch,
    /// Whether the first pending key is the last key of the block before.
    continues: bool,
    last_hash: u64,
    rows: u64,
    keys: u64,
    /// How large segments become, at least and at most: a segment ends when it takes an eighth of what was built.
    segment_bytes: (usize, usize),
    /// The segments that ended, of smaller keys.
    done: Vec<Segment>,
    /// Where segments are, if that is limited.
    memory: Option<Arc<Memory>>,
    /// Why a segment could not be kept.
    failed: Option<Error>,
}

impl SegmentBuilder {
    /// A builder of one segment of this schema.
    pub fn new(schema: ArrangementSchema) -> Self {
        SegmentBuilder::with_sizes(schema, BLOCK_BYTES, (usize::MAX, usize::MAX), None)
    }

    pub(super) fn with_sizes(
        schema: ArrangementSchema,
        block_bytes: usize,
        segment_bytes: (usize, usize),
        memory: Option<Arc<Memory>>,
    ) -> Self {
        SegmentBuilder {
            segment_bytes,
            memory,
            failed: None,
            done: Vec::new(),
            block_bytes,
            pending: Batch::new(&schema),
            schema,
            bytes: MAGIC.to_vec(),
            file: None,
            in_file: 0,
            first_hashes: Vec::new(),
            blocks: Vec::new(),
            continues: false,
            last_hash: 0,
            rows: 0,
            keys: 0,
        }
    }

    /// A builder of another segment of this kind.
    pub(super) fn like(&self) -> Self {
        SegmentBuilder::with_sizes(self.schema.clone(), self.block_bytes, self.segment_bytes, self.memory.clone())
    }

    /// Adds rows, sorted; their keys come after all keys added before. Keys without rows are left out.
    pub fn append(&mut self, rows: &KeyedRows) {
        debug_assert!(rows.hashes.is_sorted(), "keys ascend");
        debug_assert!(rows.hashes.first().is_none_or(|first| *first >= self.last_hash), "keys ascend over calls");
        let sizes = Sizes::new(rows);
        let mut key = 0;
        while key < rows.hashes.len() {
            if rows.offsets[key] == rows.offsets[key + 1] {
                key += 1;
                continue;
            }
            if self.is_full() && rows.hashes[key] > self.last_hash {
                self.end_segment();
            }
            let space = self.block_bytes.saturating_sub(self.pending.plain_bytes());
            let end = sizes.keys_that_fit(key, space);
            if end > key {
                self.pending.push_groups(rows, key..end);
                self.keys += (end - key) as u64;
                key = end;
            } else if self.pending.plain_bytes() >= self.block_bytes / 2 {
                self.flush();
            } else {
                self.push_large_key(rows, key, &sizes);
                key += 1;
            }
        }
    }

    /// Whether no row is pending and the segment is so large that it ends before the next hash.
    fn is_full(&self) -> bool {
        let built: usize = self.done.iter().map(|segment| segment.bytes.len()).sum();
        let (least, most) = self.segment_bytes;
        self.pending.hashes.is_empty() && self.in_file + self.bytes.len() >= (built / 8).clamp(least, most)
    }

    fn end_segment(&mut self) {
        let next = SegmentBuilder { done: std::mem::take(&mut self.done), failed: self.failed.take(), ..self.like() };
        match std::mem::replace(self, next).end() {
            Ok((segment, mut buffer)) => {
                buffer.clear();
                buffer.extend_from_slice(&self.bytes);
                self.bytes = buffer;
                self.done.push(segment);
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// Adds a key that is too large for one block.
    fn push_large_key(&mut self, rows: &KeyedRows, key: usize, sizes: &Sizes<'_>) {
        let end = rows.offsets[key + 1] as usize;
        let mut row = rows.offsets[key] as usize;
        self.keys += 1;
        self.pending.push_keys(rows, key..key + 1);
        loop {
            let space = self.block_bytes.saturating_sub(self.pending.plain_bytes());
            let fit = sizes.rows_that_fit(row, end, space).max(row + 1);
            self.pending.push_rows(rows, row..fit);
            row = fit;
            if row == end {
                return;
            }
            self.flush();
            self.continues = true;
            self.pending.push_keys(rows, key..key + 1);
        }
    }

    /// Adds rows of other segments.
    pub(super) fn append_plan(&mut self, plan: &Plan<'_>) {
        if plan.hashes.is_empty() {
            return;
        }
        let mut continues = plan.continues;
        if plan.continues && self.pending.hashes.is_empty() {
            // The key's rows so far are in the block before.
            continues = false;
            self.continues = true;
        }
        self.pending.push_plan(plan, continues);
        self.keys += plan.hashes.len() as u64 - u64::from(plan.continues);
        if self.pending.plain_bytes() >= self.block_bytes / 8 * 7 {
            self.flush();
        }
    }

    /// The bytes that the pending rows leave in their block.
    pub(super) fn space(&self) -> usize {
        self.block_bytes.saturating_sub(self.pending.plain_bytes()).max(self.block_bytes / 16)
    }

    /// The number of rows added.
    pub(super) fn rows(&self) -> u64 {
        self.rows + self.pending.diffs.len() as u64
    }

    /// The hash of the last key added; `None` before the first.
    pub(super) fn last_hash(&self) -> Option<u64> {
        self.pending.hashes.last().copied().or((self.rows > 0).then_some(self.last_hash))
    }

    fn flush(&mut self) {
        let batch = &self.pending;
        let (Some(first), Some(last)) = (batch.hashes.first(), batch.hashes.last()) else { return };
        let first_cell = self.schema.row.first().map(|ty| (ty.ty, &batch.rows[0]));
        let first_null = first_cell.is_some_and(|(_, column)| column.valid.first() == Some(&0));
        let first_value = match first_cell {
            Some((ty, column)) if ty.is_stored_as_int() && !first_null => column.words[0] as i64,
            _ => 0,
        };
        let start = self.bytes.len();
        block::encode(batch, &mut self.bytes);
        self.first_hashes.push(*first);
        self.blocks.push(BlockInfo {
            offset: (self.in_file + start) as u64,
            checksum: xxh3_64(&self.bytes[start..]),
            first_value,
            length: u32::try_from(self.bytes.len() - start).expect("a block is under 4 GiB"),
            keys: batch.hashes.len() as u32,
            rows: batch.diffs.len() as u32,
            head_rows: batch.offsets[1] as u32,
            flags: u32::from(self.continues) * CONTINUES + u32::from(first_null) * FIRST_NULL,
            last_key_ends: 0,
        });
        self.last_hash = *last;
        self.rows += batch.diffs.len() as u64;
        self.continues = false;
        self.pending.clear();
        if let Some(memory) = &self.memory
            && self.bytes.len() >= 2 * memory.segment_bytes()
            && self.failed.is_none()
        {
            self.failed = self.spill().err();
        }
    }

    /// Lets what was built go to a scratch file.
    fn spill(&mut self) -> Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(memory.scratch_file()?),
        };
        memory.append(file, &self.bytes)?;
        self.in_file += self.bytes.len();
        self.bytes.clear();
        Ok(())
    }

    /// The segments, in ascending order of keys, no hash in two of them; none without rows.
    ///
    /// # Errors
    /// `Unavailable`, if memory has no room for one and no scratch file can be written.
    pub fn finish(mut self) -> Result<Vec<Segment>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut segments = std::mem::take(&mut self.done);
        segments.extend(Some(self.finish_one()?).filter(|segment| segment.rows > 0));
        Ok(segments)
    }

    /// What was added since the last segment ended, as a segment, with or without rows.
    pub(super) fn finish_one(self) -> Result<Segment> {
        Ok(self.end()?.0)
    }

    /// As [`finish_one`](Self::finish_one); also the memory that it was built in, if the segment does not have that.
    fn end(mut self) -> Result<(Segment, Vec<u8>)> {
        debug_assert!(self.done.is_empty(), "it is the only segment");
        self.flush();
        let footer = self.bytes.len();
        self.write_footer();
        let checksum = xxh3_64(&self.bytes[footer..]);
        let length = (self.bytes.len() - footer) as u64;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        link_continued(&mut self.blocks);
        if let Some(error) = self.failed {
            return Err(error);
        }
        let room = self.memory.as_ref().map(|memory| (memory, memory.room_for_segment(self.bytes.len())));
        let (bytes, reserved, buffer) = match (room, self.file) {
            (None, _) => (self.bytes.into(), None, Vec::new()),
            (Some((_, Some(room))), None) => (self.bytes.into(), Some(room), Vec::new()),
            (Some((memory, _)), file) => (memory.keep(file, &self.bytes)?, None, self.bytes),
        };
        let segment = Segment {
            name: "a segment in memory".to_owned(),
            bytes,
            _reserved: reserved.map(Arc::new),
            checksum,
            schema: self.schema,
            rows: self.rows,
            keys: self.keys,
            checked: (0..self.blocks.len().div_ceil(64)).map(|_| AtomicU64::new(u64::MAX)).collect(),
            first_hashes: self.first_hashes,
            blocks: self.blocks,
            last_hash: self.last_hash,
            in_memory: true,
            place: OnceLock::new(),
        };
        Ok((segment, buffer))
    }

    fn write_footer(&mut self) {
        let out = &mut self.bytes;
        let start = out.len();
        out.extend_from_slice(&(self.schema.key.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.schema.row.len() as u16).to_le_bytes());
        out.extend(self.schema.key.iter().chain(&self.schema.row).map(|ty| code_of(*ty)));
        out.resize(start + (out.len() - start).next_multiple_of(8), 0);
        for count in [self.rows, self.keys, self.blocks.len() as u64, self.last_hash] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.reserve(self.blocks.len() * INDEX_BYTES + TRAILER_BYTES);
        for (hash, block) in self.first_hashes.iter().zip(&self.blocks) {
            for word in [*hash, block.first_value as u64, block.checksum] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            for word in [block.length, block.keys, block.rows, block.head_rows, block.flags, 0] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// The plain sizes of keys and rows, to find how many fit a block.
struct Sizes<'a> {
    rows: &'a KeyedRows,
    /// The offsets of text columns.
    key_texts: Vec<&'a [i32]>,
    row_texts: Vec<&'a [i32]>,
    /// Whether a key has no rows.
    has_empty: bool,
}

impl<'a> Sizes<'a> {
    fn new(rows: &'a KeyedRows) -> Self {
        let has_empty = rows.offsets.windows(2).any(|pair| pair[0] == pair[1]);
        Sizes { rows, key_texts: texts(&rows.keys), row_texts: texts(&rows.rows), has_empty }
    }

    /// The end of the keys from `key` that take at most `space` bytes together, and all have rows.
    fn keys_that_fit(&self, key: usize, space: usize) -> usize {
        let offsets = &self.rows.offsets;
        let size = |end: usize| {
            let (first, last) = (offsets[key] as usize, offsets[end] as usize);
            text_bytes(&self.key_texts, key, end)
                + 8 * (2 + self.rows.keys.len()) * (end - key)
                + self.rows_size(first, last)
        };
        // A key takes 24 bytes at least.
        let most = self.rows.hashes.len().min(key + space / 24);
        let end = last_that_fits(key, most, space, size);
        if !self.has_empty {
            return end;
        }
        (key..end).find(|key| offsets[*key] == offsets[*key + 1]).unwrap_or(end)
    }

    /// The end of the rows from `row` that take at most `space` bytes together.
    fn rows_that_fit(&self, row: usize, end: usize, space: usize) -> usize {
        last_that_fits(row, end.min(row + space / 8), space, |end| self.rows_size(row, end))
    }

    fn rows_size(&self, row: usize, end: usize) -> usize {
        8 * (1 + self.rows.rows.len()) * (end - row) + text_bytes(&self.row_texts, row, end)
    }
}

fn texts(columns: &[arrow_array::ArrayRef]) -> Vec<&[i32]> {
    columns.iter().filter_map(|column| byte_values(column)).map(|(offsets, _)| offsets).collect()
}

fn text_bytes(texts: &[&[i32]], start: usize, end: usize) -> usize {
    texts.iter().map(|offsets| (offsets[end] - offsets[start]) as usize).sum()
}

/// The largest number from `start` to `most` with a size of at most `space`; sizes grow with it.
fn last_that_fits(start: usize, most: usize, space: usize, size: impl Fn(usize) -> usize) -> usize {
    let (mut low, mut high) = (start, most + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if size(middle) <= space { low = middle } else { high = middle }
    }
    low
}
