//! The column `_metadata`: what the file system said of a row's file when the row was read.
//!
//! It is a JSON object, its fields in order of their names and without white space: `path` (absolute), `size` (bytes of
//! the file), `modified_at` and `seen_at` (whole seconds since the UNIX epoch: the last change of the file, and when it
//! was looked at) and `owner` (the name of the user that the file belongs to, or the number of one without a name).
//!
//! A row keeps what it was read with, however the file grows. A row that is taken back, because it was a last line
//! without a newline and has gone on since, is taken back with the object that it had: it is kept in an arrangement, by
//! the file.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::path::{PathBuf, absolute};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_engine::arrangement::{SavedMap, SavedValue};
use millpond_engine::hash::HashSeed;
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{Error, Result};
use parking_lot::Mutex;
use serde_json::Value;

use crate::files::list::{Found, unreadable};

/// The name of the column.
pub(crate) const METADATA: &str = "_metadata";
/// The type of the column.
pub(crate) const METADATA_TYPE: ColumnType = Type::Json.required();
const NS: i64 = 1_000_000_000;

/// The object of one file.
pub(crate) type FileMetadata = Arc<str>;

/// The columns of a source whose files have those of `schema`, and the column `_metadata` after them.
///
/// # Errors
/// `Invalid`, if a column has that name.
pub fn with_metadata(schema: &Schema) -> Result<Schema> {
    if schema.index_of(METADATA).is_some() {
        return Err(Error::invalid(format!(
            "the schema has a column {METADATA}, and that is the name of the one asked for"
        )));
    }
    let columns = schema.columns().iter().map(|column| (column.name.clone(), column.ty));
    Ok(Schema::new(columns.chain([(METADATA.to_owned(), METADATA_TYPE)])))
}

/// Describes files for the column.
#[derive(Clone, Debug)]
pub enum Describe {
    /// As they were found when they were looked at, at this time.
    Look { seen_ns: i64, owners: Arc<Owners> },
    /// As another process has described them.
    Told(Arc<HashMap<PathBuf, FileMetadata>>),
}

impl Describe {
    /// The object of a file; `owner` is the number of the user that it belongs to.
    pub fn describe(&self, found: &Found, owner: impl FnOnce() -> std::io::Result<u32>) -> Result<FileMetadata> {
        let (seen_ns, owners) = match self {
            Describe::Look { seen_ns, owners } => (seen_ns, owners),
            Describe::Told(files) => {
                let untold = || {
                    let what = format!("process 0 did not say what {METADATA} holds for {}", found.path.display());
                    Error::unavailable(what).with_hint(MISFIT_HINT)
                };
                return files.get(&found.path).cloned().ok_or_else(untold);
            }
        };
        let owner = owner().map_err(|error| unreadable(&found.path, &error))?;
        let path = absolute(&found.path).unwrap_or_else(|_| found.path.clone());
        let fields = BTreeMap::from([
            ("modified_at", Value::from(found.stamp.modified_ns.div_euclid(NS))),
            ("owner", owners.name_of(owner).as_ref().into()),
            ("path", path.to_string_lossy().into()),
            ("seen_at", seen_ns.div_euclid(NS).into()),
            ("size", found.stamp.size.into()),
        ]);
        Ok(serde_json::to_string(&fields).expect("plain data always has a JSON form").into())
    }
}

/// The names of users, by number; each is looked up once.
#[derive(Debug, Default)]
pub struct Owners(Mutex<HashMap<u32, Arc<str>>>);

impl Owners {
    /// The name that the system has for a user, or the number if it has none.
    fn name_of(&self, user: u32) -> Arc<str> {
        let look_up = || match uzers::get_user_by_uid(user) {
            Some(user) => user.name().to_string_lossy().into(),
            None => user.to_string().into(),
        };
        self.0.lock().entry(user).or_insert_with(look_up).clone()
    }
}

/// What the last row of a file was read with, which ends without a newline and may be taken back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastRow(pub FileMetadata);

impl SavedValue for LastRow {
    fn columns() -> Vec<ColumnType> {
        vec![METADATA_TYPE]
    }

    fn to_rows<'a>(values: impl Iterator<Item = &'a Self> + Clone) -> Vec<ArrayRef> {
        vec![Arc::new(BinaryArray::from_iter_values(values.map(|LastRow(object)| object.as_bytes())))]
    }

    fn from_row(rows: &[ArrayRef], row: usize) -> std::result::Result<Self, &'static str> {
        let object = std::str::from_utf8(rows[0].as_binary::<i32>().value(row));
        object.map(|object| LastRow(object.into())).map_err(|_| "no text for the last row")
    }

    fn order(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// The last rows of files, by file.
pub(crate) type LastRows = SavedMap<LastRow>;

/// No last rows.
pub(crate) fn last_rows(seed: HashSeed) -> LastRows {
    SavedMap::new(seed, |name, times| format!("the saved state holds {times} last rows of {name}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement, SavedSegment};
    use millpond_engine::changes::Diffs;
    use millpond_engine::hash::{KeyRange, hash_columns};
    use millpond_engine::keyed::KeyedRows;
    use millpond_error::ErrorKind;
    use millpond_store::DAMAGE_HINT;

    use super::*;
    use crate::testing::save_arrangement;

    #[test]
    fn owners_have_a_name_or_their_number() {
        let owners = Owners::default();
        assert_eq!([0, 0, 3_999_999_999].map(|user| owners.name_of(user).to_string()), ["root", "root", "3999999999"]);
    }

    /// What is said of saved last rows of these segments.
    #[track_caller]
    fn check_damaged(objects: &[&[u8]], what: &str) {
        let mut saved = SavedArrangement::default();
        let schema = ArrangementSchema { key: vec![Type::Str.required()], row: vec![METADATA_TYPE] };
        for (level, object) in (0..).zip(objects) {
            let mut arrangement = Arrangement::new(schema.clone(), KeyRange::ALL);
            let mut builder = arrangement.builder();
            let keys: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["a.csv"]))];
            let hashes = hash_columns(HashSeed(7), &keys, 1);
            let rows: Vec<ArrayRef> = vec![Arc::new(BinaryArray::from(vec![*object]))];
            builder.append(&KeyedRows { hashes, keys, offsets: vec![0, 1], rows, diffs: Diffs::Ones });
            arrangement.insert(builder.finish().unwrap());
            let name = format!("run-{level}");
            saved.segments.extend(
                save_arrangement(&name, &arrangement).segments.into_iter().map(|run| SavedSegment { level, ..run }),
            );
        }
        let error = last_rows(HashSeed(7)).open(saved).unwrap_err();
        let text = format!("the saved state holds {what} of a.csv\nhint: {DAMAGE_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
    }

    #[test]
    fn last_rows_that_no_run_saved_are_damage() {
        check_damaged(&[b"{}", b"{}"], "2 last rows");
        check_damaged(&[b"{}", b"{\"size\":1}"], "2 last rows");
        check_damaged(&[b"\xff"], "no text for the last row");
    }

    #[test]
    fn a_column_called_metadata_is_in_the_way_of_the_one_asked_for() {
        let error = with_metadata(&Schema::new([(METADATA, Type::Str.required())])).unwrap_err();
        let message = "the schema has a column _metadata, and that is the name of the one asked for";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, message));
        assert_eq!(with_metadata(&Schema::new([("meta", Type::Str.required())])).unwrap().len(), 2);
    }

    #[test]
    fn last_rows_are_there_after_a_restart() {
        let object = |text: &str| Some(LastRow(text.into()));
        let mut last = last_rows(HashSeed(7));
        let updates = [
            vec![("a", object("{}")), ("b", object("{\"size\":1}")), ("c", None)],
            vec![("b", object("{\"size\":2}")), ("a", object("{}"))],
            vec![("a", None), ("c", object("{}"))],
        ];
        let mut expect = BTreeMap::new();
        for update in updates {
            for (name, new) in &update {
                match new {
                    Some(new) => drop(expect.insert((*name).to_owned(), new.clone())),
                    None => drop(expect.remove(*name)),
                }
            }
            last.update(update.into_iter().map(|(name, new)| (name.to_owned(), new)).collect()).unwrap();
            let saved = save_arrangement("last rows", last.arrangement());
            last = last_rows(HashSeed(7));
            last.open(saved).unwrap();
            assert_eq!(last.values(), &expect);
        }
    }
}
