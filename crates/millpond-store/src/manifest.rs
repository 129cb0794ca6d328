//! The manifest: what one checkpoint consists of.
//!
//! The file is text: the line `millpond manifest 3` (3 is the format version), one line of JSON, and one line with the
//! xxh3-64 of everything before it, as 16 hexadecimal digits. `docs/format.md` describes it byte by byte.

use std::collections::HashMap;

use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

/// The format that this engine reads and writes.
pub const FORMAT: u32 = 3;
const FIRST_WORDS: &str = "millpond manifest ";
/// 16 digits and a newline.
const CHECKSUM_LINE_BYTES: usize = 17;

/// A checkpoint: the state of every step and the position of every source and sink at the end of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the engine that wrote it.
    pub engine: String,
    /// Counts checkpoints from 1, without gaps; part of the file's name and of the names of the blobs written for it.
    pub generation: u64,
    /// The last epoch that is part of it; 0 before the first.
    pub epoch: u64,
    /// The secret that keys are hashed with, drawn when the state was created.
    #[serde(with = "hex")]
    pub hash_seed: u64,
    /// The logical run that wrote it.
    pub run: LogicalRun,
    /// The file of the plan of the program that wrote it; `None` in the first manifest, which has no steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Stateful steps, sources among them.
    pub steps: Vec<StepRecord>,
    /// Result files and other outputs.
    pub sinks: Vec<SinkRecord>,
}

/// A run as users count them: attempts that were cut off and the one that finished are one logical run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalRun {
    /// Counts logical runs, from 1.
    pub number: u64,
    /// An earlier attempt was cut off after it had committed something; this attempt continues it.
    pub continues: bool,
}

/// What a checkpoint holds of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The stable name that state is found by.
    pub name: String,
    /// The step's arrangements.
    pub arrangements: Vec<ArrangementRecord>,
}

/// What a checkpoint holds of one arrangement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrangementRecord {
    /// Name within the step.
    pub name: String,
    /// Its sorted segments; the content is their sum.
    #[serde(rename = "runs")]
    pub segments: Vec<SegmentRecord>,
}

/// One sorted segment, cut to a range of key hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SegmentFields", into = "SegmentFields")]
pub struct SegmentRecord {
    /// Where its bytes stand.
    pub place: BlobRange,
    /// The segment's checksum, as the format of segments defines it.
    pub checksum: u64,
    /// First key hash that counts.
    pub from: u64,
    /// Last key hash that counts.
    pub to: u64,
    /// Rows in the whole segment.
    pub rows: u64,
    /// The level that it is in. Of one level, the key hashes that count are disjoint.
    pub level: u32,
}

/// A [`SegmentRecord`] as it is written. A manifest has many, and serde's `flatten` is several times as slow.
#[derive(Serialize, Deserialize)]
struct SegmentFields {
    blob: String,
    offset: u64,
    length: u64,
    #[serde(with = "hex")]
    checksum: u64,
    #[serde(with = "hex")]
    from: u64,
    #[serde(with = "hex")]
    to: u64,
    rows: u64,
    level: u32,
}

impl From<SegmentFields> for SegmentRecord {
    fn from(fields: SegmentFields) -> Self {
        let SegmentFields { blob, offset, length, checksum, from, to, rows, level } = fields;
        SegmentRecord { place: BlobRange { blob, offset, length }, checksum, from, to, rows, level }
    }
}

impl From<SegmentRecord> for SegmentFields {
    fn from(record: SegmentRecord) -> Self {
        let SegmentRecord { place: BlobRange { blob, offset, length }, checksum, from, to, rows, level } = record;
        SegmentFields { blob, offset, length, checksum, from, to, rows, level }
    }
}

/// A stretch of a blob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRange {
    /// Name of the blob in the state directory.
    pub blob: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// Where stretches of blobs were copied to.
pub type Moves = HashMap<BlobRange, BlobRange>;

/// What a checkpoint holds of one sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkRecord {
    /// The sink's name.
    pub name: String,
    /// What was committed, in the sink's own words.
    pub position: Value,
    /// What is delivered after the commit, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<PartRecord>,
}

/// A part of a sink's outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Where its bytes stand.
    #[serde(flatten)]
    pub place: BlobRange,
    /// XXH3-64 of the bytes.
    #[serde(with = "hex")]
    pub checksum: u64,
}

impl PartRecord {
    /// The record of a part with these bytes, written at `place`.
    pub fn new(place: BlobRange, bytes: &[u8]) -> Self {
        PartRecord { place, checksum: xxh3_64(bytes) }
    }

    /// Whether these are its bytes.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        self.checksum == xxh3_64(bytes)
    }
}

impl Manifest {
    /// All places of segments and of parts of outboxes.
    pub fn places(&self) -> impl Iterator<Item = &BlobRange> {
        let arrangements = self.steps.iter().flat_map(|step| &step.arrangements);
        let segments = arrangements.flat_map(|arrangement| &arrangement.segments).map(|segment| &segment.place);
        segments.chain(self.sinks.iter().flat_map(|sink| &sink.outbox).map(|part| &part.place))
    }

    /// Says of what was copied where it stands now.
    pub(crate) fn apply(&mut self, moves: &Moves) {
        let arrangements = self.steps.iter_mut().flat_map(|step| &mut step.arrangements);
        let segments = arrangements.flat_map(|arrangement| &mut arrangement.segments).map(|segment| &mut segment.place);
        for place in segments.chain(self.sinks.iter_mut().flat_map(|sink| &mut sink.outbox).map(|part| &mut part.place))
        {
            if let Some(to) = moves.get(place) {
                *place = to.clone();
            }
        }
    }

    /// The record of a step, found by name.
    pub fn step(&self, name: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The record of a sink, found by name.
    pub fn sink(&self, name: &str) -> Option<&SinkRecord> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{FIRST_WORDS}{FORMAT}\n").into_bytes();
        serde_json::to_writer(&mut bytes, self).expect("plain data always has a JSON form");
        bytes.push(b'\n');
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(format!("{checksum:016x}\n").as_bytes());
        bytes
    }

    /// Reads a file's bytes. Errors are of kind `Data` and begin with `path`.
    pub fn decode(bytes: &[u8], path: &str) -> Result<Manifest> {
        check_format(bytes, path)?;
        let damaged = |what: &str| Error::data(format!("{path} is damaged: {what}")).with_hint(DAMAGE_HINT);
        let (body, line) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_LINE_BYTES));
        if format!("{:016x}\n", xxh3_64(body)).as_bytes() != line {
            return Err(damaged("its checksum does not match"));
        }
        let json = body.iter().position(|&byte| byte == b'\n').map_or(body, |newline| &body[newline..]);
        let manifest: Manifest = serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))?;
        if let Some(plan) = &manifest.plan {
            crate::names::check_plan_name(plan).map_err(|what| damaged(&what))?;
        }
        for place in manifest.places() {
            crate::names::check_blob_name(&place.blob).map_err(|what| damaged(&what))?;
            place.offset.checked_add(place.length).ok_or_else(|| damaged("a run has an impossible length"))?;
        }
        Ok(manifest)
    }
}

/// What a person can do about damage.
pub const DAMAGE_HINT: &str =
    "restore the state directory from a backup, or remove it and let the next run compute everything again";

/// The checksum of an encoded manifest, as its last line says.
pub(crate) fn checksum_of(bytes: &[u8]) -> u64 {
    xxh3_64(&bytes[..bytes.len().saturating_sub(CHECKSUM_LINE_BYTES)])
}

fn check_format(bytes: &[u8], path: &str) -> Result<()> {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let version = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix(FIRST_WORDS));
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(FORMAT) => Ok(()),
        Some(version) => Err(other_format(bytes, path, version)),
        _ => {
            Err(Error::data(format!("{path} is damaged: its first line is not that of a manifest"))
                .with_hint(DAMAGE_HINT))
        }
    }
}

/// The state is whole, and of another Millpond; the manifest's own words say which, if they can be read.
fn other_format(bytes: &[u8], path: &str, version: u32) -> Error {
    #[derive(Deserialize)]
    struct Writer {
        engine: String,
    }
    let json = bytes.split(|&byte| byte == b'\n').nth(1).unwrap_or_default();
    let own = env!("CARGO_PKG_VERSION");
    let writer = match serde_json::from_slice(json) {
        Ok(Writer { engine }) if engine == own => format!(" by another build of Millpond {own}"),
        Ok(Writer { engine }) => format!(" by Millpond {engine}"),
        Err(_) => String::new(),
    };
    let message =
        format!("{path} was written{writer} in state format {version}; this Millpond ({own}) reads format {FORMAT}");
    Error::data(message).with_hint(if version > FORMAT {
        "run the program with the newer Millpond that wrote the state"
    } else {
        "go on with the Millpond that wrote the state, or move the state directory and the result files away and run \
         again: that computes everything anew"
    })
}

/// Numbers that use all 64 bits, as 16 hexadecimal digits: JSON readers elsewhere round large numbers.
mod hex {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let digit = |at: u32| char::from_digit((number >> (60 - 4 * at)) as u32 & 15, 16).unwrap_or_default() as u8;
        let digits: [u8; 16] = std::array::from_fn(|at| digit(at as u32));
        serializer.serialize_str(std::str::from_utf8(&digits).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_str(Digits)
    }

    struct Digits;

    impl Visitor<'_> for Digits {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("16 hexadecimal digits")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            let strict = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = strict.then(|| u64::from_str_radix(text, 16).ok()).flatten();
            number.ok_or_else(|| E::custom(format!("{text:?} is not 16 hexadecimal digits")))
        }
    }
}
