//! Pieces of files that another process of a run reads: what it is told, what it says, and how it reads.
//!
//! The process that owns the source cuts and hashes the files, so that a piece is whole rows; the other one reads the
//! same bytes from the same files again, and parses them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond_engine::changes::Changes;
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{Error, Result};
use parking_lot::Mutex;
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
    /// What the column `_metadata` holds of the file, and what its last row was read with, if it is one to be taken
    /// back.
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
    pub(crate) fn of(task: &ToRead, metadata: Option<FileMetadata>, last_row: Option<&FileMetadata>) -> Self {
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
    pub(crate) fn of<F: Format>(piece: &Piece<F>) -> Self {
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
    pub(crate) fn reached(&self) -> Option<Reached> {
        let (read_to, last_row_start, waiting) = self.reached.clone()?;
        Some(Reached { read_to, last_row_start, waiting })
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = u128> {
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
    pub(crate) fn new(reading: Reading<F>, on_error: OnError, metadata_at: Option<usize>) -> Self {
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
        let mut open = self.open.lock();
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
        let shared: SharedPiece = serde_json::from_slice(piece).map_err(|error| {
            let what = format!("process 0 handed out a piece of input that cannot be understood: {error}");
            Error::unavailable(what).with_hint(MISFIT_HINT)
        })?;
        let tasks = shared.files.iter().map(|(_, file)| file.task()).collect::<Result<Vec<_>>>()?;
        let reading = self.reading_of(&shared.files);
        let last_rows = shared.files.iter().map(|(_, file)| file.last_row.as_deref().map(FileMetadata::from)).collect();
        let mut scratch = self.pool.lock().pop().unwrap_or_default();
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
        self.pool.lock().push(scratch);
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
        Ok((changes, serde_json::to_vec(&result).expect("plain data always has a JSON form")))
    }
}

#[cfg(test)]
mod tests {
    use millpond_engine::changes::Epoch;
    use millpond_engine::hash::HashSeed;
    use millpond_error::ErrorKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::csv::CsvSource;
    use crate::source::{EpochInput, Source};
    use crate::testing::{Bag, Play, add};

    /// Two small files, handed out to another process as one piece, with what that makes of it.
    struct Shared {
        play: Play,
        source: CsvSource,
        input: Arc<dyn EpochInput>,
        reader: Arc<dyn PieceReader>,
        piece: Vec<u8>,
    }

    impl Shared {
        fn new() -> Self {
            let mut play = Play::new("user: str, at: int");
            play.write("a.csv", "user,at\na,1\n").write("b.csv", "user,at\nb,2\n");
            play.options.with_metadata = true;
            let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
            let input = source.next_epoch(&[0, 1, 2]).unwrap().into_input().unwrap();
            let reader = source.piece_reader(&[0, 1, 2]).unwrap();
            let (number, piece) = input.hand_out().unwrap();
            assert_eq!(number, 0);
            assert!(input.hand_out().is_none());
            Shared { play, source, input, reader, piece }
        }

        /// The piece, or what came of it, with a change.
        fn change(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
            let mut value = serde_json::from_slice(bytes).unwrap();
            change(&mut value);
            serde_json::to_vec(&value).unwrap()
        }

        #[track_caller]
        fn check(&self, error: &Error, message: &str) {
            assert_eq!((error.kind(), error.hint()), (ErrorKind::Unavailable, Some(MISFIT_HINT)));
            assert_eq!(self.play.shorten(error.message()), message);
        }
    }

    #[test]
    fn a_piece_that_another_process_reads_counts() {
        let mut shared = Shared::new();
        let (changes, result) = shared.reader.read(&shared.piece).unwrap();
        let mut bag = Bag::new();
        add(&changes, &mut bag);
        assert_eq!(bag.keys().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["a", "b"]);
        shared.input.hand_in(&result).unwrap();
        shared.source.finish_epoch(Epoch(2)).unwrap();
        assert_eq!((shared.source.counts().rows_read, shared.source.table().values().len()), (2, 2));
    }

    /// What comes back of a piece is looked at before it counts: nothing of it is taken for read.
    #[test]
    fn a_result_that_is_not_of_its_piece_is_refused() {
        type Change = fn(&mut Value);
        let results: [(Change, &str); 4] = [
            (|result| *result = json!([]), "cannot be understood: invalid length 0, expected struct SharedResult"),
            (|result| result["number"] = json!(9), "is of piece 9, which is not under way"),
            (|result| result["files"][1]["index"] = json!(2), "names file 2 of 2"),
            (
                |result| result["files"][1]["first_block"] = json!(usize::MAX),
                "has hashes of 1 block from number 18446744073709551615 of logs/b.csv, which has 1",
            ),
        ];
        for (change, message) in results {
            let mut shared = Shared::new();
            let (_, result) = shared.reader.read(&shared.piece).unwrap();
            let error = shared.input.hand_in(&Shared::change(&result, change)).unwrap_err();
            let (kind, hint) = (error.kind(), error.hint());
            assert_eq!((kind, hint), (ErrorKind::Unavailable, Some(MISFIT_HINT)));
            let message = format!("what came back of a piece of input {message}");
            assert!(shared.play.shorten(error.message()).starts_with(&message), "{error}");
            let unread = shared.source.finish_epoch(Epoch(2)).unwrap_err();
            assert_eq!(unread.message(), "the input of the epoch was not read to its end");
            assert!(shared.source.table().values().is_empty());
        }
    }

    #[test]
    fn a_result_that_leaves_out_a_file_does_not_count() {
        let mut shared = Shared::new();
        let (_, result) = shared.reader.read(&shared.piece).unwrap();
        let half = |result: &mut Value| drop(result["files"].as_array_mut().unwrap().pop());
        shared.input.hand_in(&Shared::change(&result, half)).unwrap();
        let error = shared.source.finish_epoch(Epoch(2)).unwrap_err();
        shared.check(&error, "no process has read logs/b.csv to its end");
        assert!(shared.source.table().values().is_empty());
    }

    #[test]
    fn a_piece_that_cannot_be_understood_is_told_of_process_0() {
        let shared = Shared::new();
        let error = shared.reader.read(b"pieces").unwrap_err();
        let message =
            "process 0 handed out a piece of input that cannot be understood: expected value at line 1 column 1";
        shared.check(&error, message);
        let piece = Shared::change(&shared.piece, |piece| piece["files"][1][1]["metadata"] = Value::Null);
        let error = shared.reader.read(&piece).unwrap_err();
        shared.check(&error, "process 0 did not say what _metadata holds for logs/b.csv");
    }
}
