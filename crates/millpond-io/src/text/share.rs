//! Pieces of files that another process of a run reads: what it is told, what it says, and how it reads.
//!
//! The process that owns the source cuts and hashes the files, so that a piece is whole rows; the other one reads the same
//! bytes from the same files again, and parses them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millpond_engine::changes::Changes;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::format::Format;
use super::input::{FileInput, Metadata, Scratch, Work};
use super::metadata::{Describe, FileMetadata};
use super::options::OnError;
use super::reader::{FileReader, OpenFile, Piece, Reached, Reading, TooLong};
use super::waiting::Waiting;
use crate::files::compare::ToRead;
use crate::files::list::{Found, Stamp, unreadable};
use crate::files::table::FileRecord;
use crate::source::{PieceReader, Reject};

/// A piece of input, as one process tells another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SharedPiece {
    pub number: u64,
    /// The files, by their position in the owner's list.
    pub files: Vec<(usize, SharedFile)>,
    /// Where the piece is in the only file; otherwise the files are read whole.
    pub place: Option<SharedPlace>,
}

/// A file to read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SharedFile {
    path: Vec<u8>,
    inode: u64,
    size: u64,
    /// What the column `_metadata` holds of the file, and what its last row was read with, if it is one to be taken back.
    metadata: Option<String>,
    last_row: Option<String>,
    /// Whole blocks that were read before.
    blocks: usize,
    /// Whether the file goes on behind what is to be read of it now.
    goes_on: bool,
    /// Where reading ended, where the last row started that had no newline, and whether it counted.
    known: Option<(u64, u64, u64)>,
}

/// A [`Piece`], without its file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SharedPlace {
    text: (usize, usize),
    offset: u64,
    retract: Option<(usize, usize)>,
    last_row: Option<usize>,
    length: usize,
    too_long: Option<TooLong>,
}

/// What came out of a piece.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SharedResult {
    pub number: u64,
    pub files: Vec<FileResult>,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The rejected rows: position of the file, place in it, and the row.
    pub rejects: Vec<(usize, u64, Reject)>,
    /// What was left out up to the end of a file.
    pub left_out: Vec<(usize, String)>,
}

/// What came out of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FileResult {
    pub index: usize,
    pub first_block: usize,
    /// Hashes of blocks, the upper half first.
    pub blocks: Vec<(u64, u64)>,
    pub rows: u64,
    /// The rows read from a last line without a newline, if the piece holds one.
    pub last_rows: Option<u64>,
    /// What the last row was read with, if the column `_metadata` is asked for.
    pub metadata: Option<String>,
    pub reached: Option<(u64, u64, Option<Waiting>)>,
    /// The last line without a newline, if the piece holds it and it cannot be read as a row.
    pub waiting: Option<Waiting>,
    /// The columns that the file does not have.
    pub lacking: Vec<String>,
}

impl SharedFile {
    pub fn of(task: &ToRead, metadata: Option<FileMetadata>, last_row: Option<&FileMetadata>) -> Self {
        SharedFile {
            path: task.found.path.as_os_str().as_bytes().to_vec(),
            inode: task.found.stamp.inode,
            size: task.found.stamp.size,
            metadata: metadata.map(|metadata| metadata.to_string()),
            last_row: last_row.map(|metadata| metadata.to_string()),
            blocks: task.blocks.len(),
            goes_on: task.goes_on,
            known: task.known.map(|known| (known.read_to, known.last_row_start, known.last_rows)),
        }
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The file as this process sees it. Machines number their devices differently.
    fn task(&self) -> Result<ToRead> {
        let path = self.path();
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let stamp = Stamp { inode: self.inode, size: self.size, ..Stamp::of(&metadata) };
        let found = Found { key: String::new(), path: path.to_owned(), stamp };
        let known = self.known.map(|(read_to, last_row_start, last_rows)| FileRecord {
            read_to,
            last_row_start,
            last_rows,
            ..FileRecord::default()
        });
        Ok(ToRead { found, known, blocks: vec![0; self.blocks], goes_on: self.goes_on })
    }
}

impl SharedPlace {
    pub fn of<F: Format>(piece: &Piece<F>) -> Self {
        SharedPlace {
            text: (piece.text.start, piece.text.end),
            offset: piece.offset,
            retract: piece.retract.as_ref().map(|row| (row.start, row.end)),
            last_row: piece.last_row,
            length: piece.length,
            too_long: piece.too_long,
        }
    }

    fn piece<F: Format>(&self, file: Arc<OpenFile<F>>) -> Piece<F> {
        Piece {
            file,
            text: self.text.0..self.text.1,
            offset: self.offset,
            retract: self.retract.map(|(start, end)| start..end),
            last_row: self.last_row,
            length: self.length,
            too_long: self.too_long,
        }
    }
}

impl FileResult {
    pub fn reached(&self) -> Option<Reached> {
        let (read_to, last_row_start, waiting) = self.reached.clone()?;
        Some(Reached { read_to, last_row_start, waiting })
    }

    pub fn hashes(&self) -> impl Iterator<Item = u128> {
        self.blocks.iter().map(|(high, low)| u128::from(*high) << 64 | u128::from(*low))
    }
}

/// The halves of a hash.
pub(crate) fn halves(hash: u128) -> (u64, u64) {
    ((hash >> 64) as u64, hash as u64)
}

/// Files stay open while pieces of them come.
const OPEN_FILES: usize = 16;

/// By path and size.
type OpenFiles<F> = HashMap<(PathBuf, u64), Arc<OpenFile<F>>>;

/// Reads pieces of the files of one source.
pub(crate) struct FilePieceReader<F: Format> {
    reading: Reading<F>,
    on_error: OnError,
    /// The position of the column `_metadata` among the columns that are used.
    metadata_at: Option<usize>,
    open: Mutex<OpenFiles<F>>,
    pool: Mutex<Vec<Scratch<F::Scratch>>>,
}

impl<F: Format> FilePieceReader<F> {
    pub fn new(reading: Reading<F>, on_error: OnError, metadata_at: Option<usize>) -> Self {
        FilePieceReader { reading, on_error, metadata_at, open: Mutex::default(), pool: Mutex::default() }
    }

    /// As `self.reading`, with what the owner says of these files.
    fn reading_of(&self, files: &[(usize, SharedFile)]) -> Reading<F> {
        let told =
            files.iter().filter_map(|(_, file)| Some((file.path().to_owned(), file.metadata.as_deref()?.into())));
        let told: HashMap<PathBuf, FileMetadata> = told.collect();
        Reading { describe: (!told.is_empty()).then(|| Describe::Told(Arc::new(told))), ..self.reading.clone() }
    }

    fn file(&self, task: &ToRead, reading: &Reading<F>) -> Result<Arc<OpenFile<F>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (task.found.path.clone(), task.found.stamp.size);
        if let Some(file) = open.get(&key) {
            return Ok(file.clone());
        }
        let file = FileReader::open(0, task, reading)?.file().clone();
        if open.len() >= OPEN_FILES {
            open.clear();
        }
        open.insert(key, file.clone());
        Ok(file)
    }
}

impl<F: Format> PieceReader for FilePieceReader<F> {
    fn read(&self, piece: &[u8]) -> Result<(Changes, Vec<u8>)> {
        let odd =
            |error: serde_json::Error| Error::unavailable(format!("a piece of input cannot be understood: {error}"));
        let shared: SharedPiece = serde_json::from_slice(piece).map_err(odd)?;
        let tasks = shared.files.iter().map(|(_, file)| file.task()).collect::<Result<Vec<_>>>()?;
        let reading = self.reading_of(&shared.files);
        let last_rows = shared.files.iter().map(|(_, file)| file.last_row.as_deref().map(FileMetadata::from)).collect();
        let mut scratch = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let work = match (&shared.place, tasks.first()) {
            (Some(place), Some(task)) => {
                let file = self.file(task, &reading)?;
                scratch.buffer.fill(&file, place.offset, place.length)?;
                Work::Piece(place.piece(file))
            }
            _ => Work::Files(0..tasks.len()),
        };
        let metadata = Metadata { at: self.metadata_at, last_rows };
        let input = FileInput::new(reading, self.on_error.clone(), tasks, metadata);
        let changes = input.work(work, &mut scratch)?;
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        let mut result = input.shared_result(shared.place.is_some());
        result.number = shared.number;
        let holds_last = shared.place.as_ref().is_none_or(|place| place.last_row.is_some());
        for file in &mut result.files {
            file.last_rows = file.last_rows.filter(|_| holds_last);
            file.index = shared.files[file.index].0;
        }
        let own = result.rejects.iter_mut().map(|(index, ..)| index);
        for index in own.chain(result.left_out.iter_mut().map(|(index, _)| index)) {
            *index = shared.files[*index].0;
        }
        Ok((changes, serde_json::to_vec(&result).map_err(odd)?))
    }
}
