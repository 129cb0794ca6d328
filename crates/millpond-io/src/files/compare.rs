//! What happened to the files of a source since they were read.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use millpond_error::{Error, Result};

use super::content::{BLOCK_BYTES, Prefix, hash_block, hash_of_blocks, hash_prefixes, read_at};
use super::list::{Found, Stamp, unreadable};
use super::table::FileRecord;

/// What is to be done with the files of a source.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Files that are to be read, in order.
    pub to_read: Vec<ToRead>,
    /// Files with known content and a new stamp.
    pub restamped: Vec<(String, FileRecord)>,
    /// The number of files with nothing new.
    pub unchanged: u64,
    /// Files with nothing new that hold more than was read: a last line without a newline, which waits.
    pub waiting: Vec<Rest>,
}

/// What was not read of a file.
#[derive(Clone, Debug)]
pub struct Rest {
    /// The file.
    pub path: PathBuf,
    /// Where it starts.
    pub start: u64,
    /// The size of the file.
    pub size: u64,
}

/// A file that holds something to read.
#[derive(Clone, Debug)]
pub struct ToRead {
    /// The file.
    pub found: Found,
    /// What was read of it before.
    pub known: Option<FileRecord>,
    /// The hashes of the whole blocks that were read before.
    pub blocks: Vec<u128>,
    /// Whether the file goes on behind what is to be read of it now.
    pub goes_on: bool,
}

/// What is known of the files of a source.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What was read of each.
    pub records: &'a BTreeMap<String, FileRecord>,
    /// The hashes of the blocks of files that this process has read.
    pub blocks: &'a HashMap<String, Vec<u128>>,
    /// Whether a last line without a newline waits; otherwise it is a row.
    pub lines_wait: bool,
}

/// Compares a listing (in the order of keys) with what is known of the files. Known files may have grown; a file that
/// was renamed, rewritten, truncated or deleted is an `Input` error, and nothing is to be read.
///
/// All bytes that were read are compared, by their hash; of a file that this process has read itself, only those of the
/// last block.
pub fn compare(root: &str, files: Vec<Found>, known: Known<'_>, seen_ns: i64) -> Result<Comparison> {
    let Known { records, lines_wait, .. } = known;
    refuse_missing(root, &files, records)?;
    let is_doubtful = |found: &Found, record: &FileRecord| {
        let unread_row = record.read_to < found.stamp.size && !lines_wait;
        record.stamp != found.stamp || record.is_racy() || unread_row
    };
    let doubtful: Vec<usize> = (0..files.len())
        .filter(|i| records.get(&files[*i].key).is_some_and(|record| is_doubtful(&files[*i], record)))
        .collect();
    let mut verified = verify(&files, known, &doubtful)?;
    let mut comparison = Comparison::default();
    for (i, found) in files.into_iter().enumerate() {
        let Some(record) = records.get(&found.key).copied() else {
            comparison.to_read.push(ToRead { found, known: None, blocks: Vec::new(), goes_on: false });
            continue;
        };
        let Some(mut blocks) = verified.remove(&i) else {
            if record.read_to < found.stamp.size {
                comparison.waiting.push(Rest {
                    path: found.path,
                    start: record.last_row_start,
                    size: found.stamp.size,
                });
            } else {
                comparison.unchanged += 1;
            }
            continue;
        };
        if found.stamp.size == record.read_to {
            comparison.unchanged += 1;
            comparison.restamped.push((found.key, FileRecord { stamp: found.stamp, seen_ns, ..record }));
            continue;
        }
        blocks.truncate((record.read_to / BLOCK_BYTES as u64) as usize);
        comparison.to_read.push(ToRead { found, known: Some(record), blocks, goes_on: false });
    }
    Ok(comparison)
}

/// Checks that files still start with all bytes read of them; returns the hashes of their blocks.
fn verify(files: &[Found], known: Known<'_>, doubtful: &[usize]) -> Result<HashMap<usize, Vec<u128>>> {
    let record = |i: usize| &known.records[&files[i].key];
    for i in doubtful {
        if files[*i].stamp.size < record(*i).read_to {
            return Err(truncated(&files[*i], record(*i)));
        }
    }
    let mut verified = HashMap::with_capacity(doubtful.len());
    for i in doubtful {
        let Some(blocks) = known.blocks.get(&files[*i].key) else { continue };
        if ends_alike(&files[*i], record(*i), blocks)? {
            verified.insert(*i, blocks.clone());
        }
    }
    let doubtful: Vec<usize> = doubtful.iter().copied().filter(|i| !verified.contains_key(i)).collect();
    let prefixes: Vec<_> =
        doubtful.iter().map(|i| Prefix { path: &files[*i].path, length: record(*i).read_to }).collect();
    let hashed = hash_prefixes(&prefixes)?;
    for (i, blocks) in doubtful.iter().zip(hashed) {
        match blocks {
            Some(blocks) if hash_of_blocks(&blocks) == record(*i).hash => verified.insert(*i, blocks),
            _ => return Err(rewritten(files, &files[*i], record(*i))),
        };
    }
    Ok(verified)
}

/// Whether a file is the one that was read, and its last block that was read, with these hashes, is the same.
fn ends_alike(found: &Found, record: &FileRecord, blocks: &[u128]) -> Result<bool> {
    let same_file = (found.stamp.device, found.stamp.inode) == (record.stamp.device, record.stamp.inode);
    if !same_file || hash_of_blocks(blocks) != record.hash {
        return Ok(false);
    }
    let Some(last) = blocks.last() else { return Ok(record.read_to == 0) };
    Ok(hash_last_block(&open_found(found)?, &found.path, record.read_to)? == *last)
}

fn refused(path: &Path, what: &str, hint: &str) -> Error {
    let hint = format!("{hint}, or start again with new state");
    Error::input(format!("{} {what}: this version refuses such a file; nothing was read or changed", path.display()))
        .with_hint(hint)
}

fn truncated(found: &Found, record: &FileRecord) -> Error {
    let what =
        format!("was truncated: {} bytes of it had been read, and it holds {}", record.read_to, found.stamp.size);
    refused(&found.path, &what, "put the old content back")
}

fn rewritten(files: &[Found], found: &Found, record: &FileRecord) -> Error {
    let same = |stamp: &Stamp| (stamp.device, stamp.inode) == (record.stamp.device, record.stamp.inode);
    let moved = files.iter().find(|other| other.key != found.key && same(&other.stamp));
    match moved {
        Some(other) => {
            let what = format!("was renamed to {}, and another file took its place", other.path.display());
            refused(&found.path, &what, "put the old name back")
        }
        None => {
            let what =
                format!("was rewritten: its first {} bytes, which had been read, are not the same", record.read_to);
            refused(&found.path, &what, "put the old content back, and write new rows to a new file or to the end")
        }
    }
}

/// Refuses to go on when a known file is not there any more.
fn refuse_missing(root: &str, files: &[Found], known: &BTreeMap<String, FileRecord>) -> Result<()> {
    let mut listed = files.iter().map(|found| found.key.as_str()).peekable();
    let mut missing = Vec::new();
    // Both are in ascending order.
    for (name, record) in known {
        while listed.next_if(|key| *key < name.as_str()).is_some() {}
        if listed.next_if_eq(&name.as_str()).is_none() {
            missing.push((name, record));
        }
    }
    let Some((name, record)) = missing.first() else { return Ok(()) };
    let path = path_of(root, files, name);
    let fresh: Vec<&Found> = files.iter().filter(|found| !known.contains_key(&found.key)).collect();
    let more = match missing.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    if let Some(found) = renamed_to(record, &fresh) {
        let what = format!("was renamed to {}{more}", found.path.display());
        return Err(refused(&path, &what, "put the old name back"));
    }
    if missing.len() * 2 > known.len() && known.len() > 1 {
        let (gone, all) = (missing.len(), known.len());
        let what = format!("{gone} of the {all} files known in {root} are gone, {} first", path.display());
        return Err(Error::input(format!("{what}: the directory may be unmounted; nothing was read or changed"))
            .with_hint("mount it, or put the files back, or start again with new state"));
    }
    Err(refused(&path, &format!("was deleted{more}"), "put the file back"))
}

/// Where a file that is not listed would be.
fn path_of(root: &str, files: &[Found], name: &str) -> PathBuf {
    // A listed file's path is the directory of the source and its key.
    let listed = files.iter().find_map(|found| {
        let path = found.path.to_str()?;
        path.strip_suffix(found.key.as_str()).map(|directory| Path::new(directory).join(name))
    });
    listed.unwrap_or_else(|| match super::list::root_of(root) {
        Ok(super::list::Root::Directory(directory) | super::list::Root::Glob { directory }) => directory.join(name),
        _ => PathBuf::from(name),
    })
}

/// The new file that is a missing one under another name: by its inode, or by its content among the first few.
fn renamed_to<'a>(record: &FileRecord, fresh: &[&'a Found]) -> Option<&'a Found> {
    const MOST_FILES: usize = 64;
    const MOST_BYTES: u64 = 256 << 20;
    let same_inode = |found: &&&Found| {
        (found.stamp.device, found.stamp.inode) == (record.stamp.device, record.stamp.inode)
            && found.stamp.size >= record.read_to
    };
    if let Some(found) = fresh.iter().find(same_inode) {
        return Some(found);
    }
    if record.read_to == 0 || record.read_to > MOST_BYTES {
        return None;
    }
    let candidates = fresh.iter().filter(|found| found.stamp.size >= record.read_to);
    let candidates = candidates.take(MOST_FILES.min((MOST_BYTES / record.read_to) as usize));
    candidates.copied().find(|found| {
        let hashed = hash_prefixes(&[Prefix { path: &found.path, length: record.read_to }]);
        matches!(hashed.as_deref(), Ok([Some(blocks)]) if hash_of_blocks(blocks) == record.hash)
    })
}

/// The hash of the block that `length` bytes from the start of a file end in.
pub(crate) fn hash_last_block(file: &std::fs::File, path: &Path, length: u64) -> Result<u128> {
    let start = length.saturating_sub(1) / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
    let mut block = vec![0; (length - start) as usize];
    read_at(file, path, &mut block, start)?;
    Ok(hash_block(&block))
}

/// Opens the file that a listing found, and no other that took its place since.
pub(crate) fn open_found(found: &Found) -> Result<std::fs::File> {
    let file = std::fs::File::open(&found.path).map_err(|error| unreadable(&found.path, &error))?;
    let stamp = Stamp::of(&file.metadata().map_err(|error| unreadable(&found.path, &error))?);
    if (stamp.device, stamp.inode) != (found.stamp.device, found.stamp.inode) {
        return Err(Error::unavailable(format!("{} was replaced while the run started", found.path.display()))
            .with_hint("run again when the file is at rest"));
    }
    Ok(file)
}
