//! What a format of text files is to the source that reads them: where rows start and end, and how they become columns.

use std::fmt::Debug;
use std::fs::File;
use std::path::Path;

use millpond_columns::types::{Column, Schema};
use millpond_error::{Error, Result};

use super::cut::Cut;
use super::problem::{Problem, RowMessage};
use super::reader::Reading;
use super::rows::Rows;
use super::waiting::Waiting;

/// A format whose rows end with a newline. It is asked once for a file or a piece of about 256 KiB, never for a row.
pub trait Format: Clone + Debug + Send + Sync + Sized + 'static {
    /// The name of the format in messages.
    const NAME: &'static str;
    /// What the start of a file says about its rows.
    type Layout: Debug + Send + Sync;
    /// Finds where whole rows end.
    type Cutter: Cut;
    /// Room for parsing, used again for the next piece.
    type Scratch: Debug + Default + Send;
    /// What can be wrong with a row.
    type RowError: Debug;

    /// Checks the options of the format, before any state is touched.
    fn check(&self, schema: &Schema) -> Result<()>;

    /// Reads the start of a file of `size` bytes.
    fn start(&self, file: &File, path: &Path, size: u64, reading: &Reading<Self>) -> Result<Start<Self::Layout>>;

    /// The columns that are read and that a file does not have: all their cells are null.
    fn lacking(_layout: &Self::Layout) -> &[String] {
        &[]
    }

    /// Finds where whole rows end in a text whose first row starts at `start`.
    fn cutter(&self, start: usize) -> Self::Cutter;

    /// Appends the rows of a text that starts at the start of a row. Returns what is wrong, at most one problem a row,
    /// in the order of rows; these rows are left out. `stop` says that nothing behind the first problem is wanted.
    fn parse(
        &self,
        text: &[u8],
        layout: &Self::Layout,
        stop: bool,
        scratch: &mut Self::Scratch,
        rows: &mut Rows,
    ) -> Vec<Problem<Self::RowError>>;

    /// Puts into words what is wrong with a row of `text`; `columns` are those that are read.
    fn explain(
        &self,
        problem: &Problem<Self::RowError>,
        text: &[u8],
        layout: &Self::Layout,
        columns: &[Column],
    ) -> RowMessage;
}

/// What the start of a file holds.
#[derive(Debug)]
pub enum Start<L> {
    /// Rows start at this byte.
    Rows(L, u64),
    /// No row yet, and perhaps something that waits for the rest.
    Nothing {
        /// What waits.
        waiting: Option<Waiting>,
    },
}

/// Stands at the start of some UTF-8 files.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Starts of files that are not text.
const NOT_TEXT: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "is compressed (gzip)"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd)"),
    (b"BZh", "is compressed (bzip2)"),
    (b"\xfd7zXZ\x00", "is compressed (xz)"),
    (b"PK\x03\x04", "is a zip archive"),
    (b"\xff\xfe", "is UTF-16 text"),
    (b"\xfe\xff", "is UTF-16 text"),
];

/// Refuses a file whose first bytes say that it is not text.
pub(crate) fn refuse_binary(text: &[u8], path: &Path) -> Result<()> {
    match NOT_TEXT.iter().find(|(start, _)| text.starts_with(start)) {
        None => Ok(()),
        Some((_, what)) => Err(Error::input(format!("{} {what}; this version reads plain UTF-8 text", path.display()))),
    }
}
