//! The files that a path stands for.
//!
//! - A file stands for itself, whatever its name.
//! - A directory stands for all regular files in it and in the directories below it. Left out are names that start with
//!   `.`, and unfinished files by their names: `~`, `.tmp`, `.part`, `.partial`, `.crdownload` at the end (these are
//!   counted in a notice).
//! - A glob (`*`, `?`, `[...]`, and `**` for directories of any depth) stands for the files that it matches; a wildcard
//!   matches no leading `.`.
//!
//! Symbolic links are followed. In a directory or below a glob, a link to nothing, to itself or to a directory that it
//! is in is left out, and so is a name that is not UTF-8; a sentence each says so. A file that is there under several
//! names (links) is read once, under its own name or the first one in order.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use glob::{MatchOptions, Pattern};
use millpond_error::{Error, Result};

const UNFINISHED: [&str; 5] = ["~", ".tmp", ".part", ".partial", ".crdownload"];

/// How a glob matches.
pub(super) const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a directory leaves a name out because it starts with a point.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a directory leaves a file out because its name says that it is not complete.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    UNFINISHED.iter().any(|end| name.as_encoded_bytes().ends_with(end.as_bytes()))
}

/// A file as a listing finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The path below the source's root, with `/` between names; the name of the file in the table of files.
    pub key: String,
    /// The path to open.
    pub path: PathBuf,
    /// What the file system says about it.
    pub stamp: Stamp,
}

/// What the file system says about a file: if nothing of it changed, the content did not change either, unless the
/// change came within one tick of the file system's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The device.
    pub device: u64,
    /// The inode, unique on the device.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Time of the last change of the content, in nanoseconds since the UNIX epoch.
    pub modified_ns: i64,
    /// Time of the last change of content or attributes.
    pub changed_ns: i64,
}

impl Stamp {
    /// The stamp in what the file system returned.
    pub fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The files of a source, in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The files.
    pub files: Vec<Found>,
    /// What was left out on purpose, and an empty directory: a sentence each.
    pub notices: Vec<String>,
    /// What could not be read, and was left out: a sentence each, the same at each look.
    pub left_out: Vec<String>,
}

/// Looks at the files of a source.
pub trait Look: Send + Sync + fmt::Debug {
    /// When it looked, in nanoseconds since the UNIX epoch, and the files that `path` stands for.
    fn look(&self, path: &str) -> Result<(i64, Listing)>;
}

/// Looks at the file system, and at the clock before: a change in between is never missed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Look for FileSystem {
    fn look(&self, path: &str) -> Result<(i64, Listing)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((i64::try_from(now.as_nanos()).unwrap_or(i64::MAX), list(path)?))
    }
}

/// What kind of thing a source's path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// One file.
    File(PathBuf),
    /// A directory.
    Directory(PathBuf),
    /// A pattern below a directory.
    Glob {
        /// The directory that holds all matches: the part of the pattern before the first wildcard.
        directory: PathBuf,
    },
}

/// Finds out what kind of thing a path is. A path where nothing is, is an `Invalid` error.
pub fn root_of(path: &str) -> Result<Root> {
    if path.is_empty() {
        return Err(Error::invalid("the path of the source is empty"));
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(Root::Directory(path.into())),
        Ok(metadata) if metadata.is_file() => Ok(Root::File(path.into())),
        Ok(_) => Err(Error::invalid(format!("{path} is neither a regular file nor a directory"))),
        Err(_) if path.contains(['*', '?', '[']) => glob_root(path),
        Err(_) if is_broken_link(Path::new(path)) => Err(Error::invalid(format!("{path} is a link to nothing"))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Error::invalid(format!("there is no file or directory {path}"))
                .with_hint(nearest_existing(Path::new(path))))
        }
        Err(error) => Err(unreadable(Path::new(path), &error)),
    }
}

fn glob_root(pattern: &str) -> Result<Root> {
    Pattern::new(pattern).map_err(|error| {
        Error::invalid(format!("{pattern} is not a glob: {} at character {}", error.msg, error.pos + 1))
    })?;
    let mut directory = PathBuf::new();
    for part in Path::new(pattern).parent().unwrap_or(Path::new("")).components() {
        if part.as_os_str().to_string_lossy().contains(['*', '?', '[']) {
            break;
        }
        directory.push(part);
    }
    if directory.as_os_str().is_empty() {
        directory.push(".");
    }
    match fs::metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => Ok(Root::Glob { directory }),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(unreadable(&directory, &error)),
        _ => Err(Error::invalid(format!("{pattern}: there is no directory {}", directory.display()))
            .with_hint(nearest_existing(&directory))),
    }
}

fn nearest_existing(path: &Path) -> String {
    let steps: Vec<&Path> = path.ancestors().collect();
    let missing = steps.windows(2).find(|pair| pair[1].as_os_str().is_empty() || pair[1].exists());
    let Some(&[missing, above]) = missing else { return "give the path of a file or directory".to_owned() };
    if let Some(near) = nearest_name(missing, above) {
        return format!("did you mean {}?", above.join(near).display());
    }
    match (above.as_os_str().is_empty(), std::env::current_dir()) {
        (false, _) => format!("{} exists", above.display()),
        (true, Ok(directory)) => format!("relative paths start at {}", directory.display()),
        (true, Err(_)) => "relative paths start at the working directory".into(),
    }
}

/// The name in a directory that somebody who wrote the path `missing` may have meant.
fn nearest_name(missing: &Path, directory: &Path) -> Option<String> {
    let wanted = missing.file_name()?.to_string_lossy();
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let names = fs::read_dir(directory).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let near = names.map(|name| (strsim::levenshtein(&wanted, &name), name));
    near.filter(|(distance, _)| *distance <= wanted.chars().count() / 3).min().map(|(_, name)| name)
}

/// Lists the files that a path stands for.
pub fn list(path: &str) -> Result<Listing> {
    let mut walk = Walk::default();
    let root = root_of(path)?;
    match &root {
        Root::File(file) => {
            let metadata = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
            let name = file.file_name().map_or_else(|| file.clone(), PathBuf::from);
            walk.take(&name, file.clone(), &metadata, false);
        }
        Root::Directory(directory) => walk.directory(directory, Path::new(""), &mut Vec::new())?,
        Root::Glob { directory } => walk.glob(path, directory)?,
    }
    let empty = match root {
        Root::Glob { .. } => format!("no file matches {path}"),
        _ => format!("{}/ holds no file", path.trim_end_matches('/')),
    };
    Ok(walk.finish(empty))
}

#[derive(Default)]
struct Walk {
    /// Files, and whether each was reached through a link.
    files: Vec<(Found, bool)>,
    unfinished: Vec<String>,
    special: Vec<String>,
    broken: Vec<String>,
}

impl Walk {
    /// Lists a directory; `above` holds device and inode of the directories that lead to it.
    fn directory(&mut self, directory: &Path, below: &Path, above: &mut Vec<(u64, u64)>) -> Result<()> {
        let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        let identity = (metadata.dev(), metadata.ino());
        if above.contains(&identity) {
            self.broken.push(left_out_as(directory, "a link to a directory that it is in"));
            return Ok(());
        }
        above.push(identity);
        let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(directory, &error))?;
            let name = entry.file_name();
            let (path, below) = (entry.path(), below.join(&name));
            let is_utf8 = name.to_str().is_some();
            if is_hidden(&name) {
                continue;
            }
            if !is_utf8 {
                self.broken.push(left_out_as(&path, "its name is not UTF-8"));
                continue;
            }
            let Some(metadata) = self.metadata(&path)? else { continue };
            if metadata.is_dir() {
                self.directory(&path, &below, above)?;
            } else if is_unfinished(&name) {
                self.unfinished.push(path.display().to_string());
            } else {
                let link = entry.file_type().is_ok_and(|ty| ty.is_symlink());
                self.take(&below, path, &metadata, link);
            }
        }
        above.pop();
        Ok(())
    }

    /// What the file system says of a path that was found; `None`, if it is gone again or a link that leads nowhere.
    fn metadata(&mut self, path: &Path) -> Result<Option<Metadata>> {
        let error = match fs::metadata(path) {
            Ok(metadata) => return Ok(Some(metadata)),
            Err(error) => error,
        };
        match fs::symlink_metadata(path) {
            Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(None),
            Ok(metadata) if metadata.is_symlink() && leads_nowhere(&error) => {
                let what = if is_loop(&error) { "a link to itself" } else { "a link to nothing" };
                self.broken.push(left_out_as(path, what));
                Ok(None)
            }
            _ => Err(unreadable(path, &error)),
        }
    }

    /// Lists the files that match; `directory` is the part of the pattern before the first wildcard.
    fn glob(&mut self, pattern: &str, directory: &Path) -> Result<()> {
        let all: Vec<_> = Path::new(pattern).components().collect();
        let is_below = Path::new(pattern).starts_with(directory);
        let fixed = if is_below { directory.components().count() } else { 0 };
        let mut parts =
            all[fixed..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>();
        parts.dedup_by(|a, b| a == "**" && b == "**");
        let parse = |part: &String| {
            Pattern::new(part).map_err(|error| Error::invalid(format!("{pattern} is not a glob: {}", error.msg)))
        };
        let parts = parts.iter().map(parse).collect::<Result<Vec<_>>>()?;
        let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        let path = if is_below { directory } else { Path::new("") };
        self.matches(path, Path::new(""), &parts, &mut vec![(metadata.dev(), metadata.ino())])
    }

    /// Lists what matches the parts of a pattern in one directory.
    fn matches(&mut self, at: &Path, below: &Path, parts: &[Pattern], above: &mut Vec<(u64, u64)>) -> Result<()> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        let is_any_depth = part.as_str() == "**";
        if is_any_depth {
            self.matches(at, below, rest, above)?;
        }
        let directory = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
            let entry = entry.map_err(|error| unreadable(directory, &error))?;
            let name = entry.file_name();
            let shown = name.to_string_lossy();
            let is_match = if is_any_depth { !is_hidden(&name) } else { part.matches_with(&shown, MATCHING) };
            if !is_match {
                continue;
            }
            let path = at.join(&name);
            if name.to_str().is_none() {
                self.broken.push(left_out_as(&path, "its name is not UTF-8"));
                continue;
            }
            let Some(metadata) = self.metadata(&path)? else { continue };
            let below = below.join(&name);
            if metadata.is_dir() {
                let parts = if is_any_depth { parts } else { rest };
                let identity = (metadata.dev(), metadata.ino());
                if parts.is_empty() {
                    continue;
                }
                if above.contains(&identity) {
                    self.broken.push(left_out_as(&path, "a link to a directory that it is in"));
                    continue;
                }
                above.push(identity);
                self.matches(&path, &below, parts, above)?;
                above.pop();
            } else if rest.is_empty() && !is_any_depth {
                let link = entry.file_type().is_ok_and(|ty| ty.is_symlink());
                self.take(&below, path, &metadata, link);
            }
        }
        Ok(())
    }

    fn take(&mut self, below: &Path, path: PathBuf, metadata: &Metadata, link: bool) {
        if !metadata.is_file() {
            self.special.push(path.display().to_string());
            return;
        }
        match below.to_str() {
            None => self.broken.push(left_out_as(&path, "its name is not UTF-8")),
            Some(key) => {
                let found = Found { key: key.to_owned(), path, stamp: Stamp::of(metadata) };
                self.files.push((found, link));
            }
        }
    }

    fn finish(mut self, empty: String) -> Listing {
        let mut notices = Vec::new();
        // A pattern with `**` in it twice may match in several ways.
        self.files.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        self.files.dedup_by(|(a, _), (b, _)| a.key == b.key);
        self.files.sort_by(|(a, a_link), (b, b_link)| (a_link, &a.key).cmp(&(b_link, &b.key)));
        let mut names: HashMap<(u64, u64), usize> = HashMap::new();
        let mut files: Vec<Found> = Vec::with_capacity(self.files.len());
        for (file, _) in self.files {
            // A file system without inodes says 0.
            let known = if file.stamp.inode == 0 { None } else { names.get(&(file.stamp.device, file.stamp.inode)) };
            if let Some(first) = known {
                let first = files[*first].path.display();
                notices.push(format!("{} is another name of {first}, which is read once", file.path.display()));
                continue;
            }
            names.insert((file.stamp.device, file.stamp.inode), files.len());
            files.push(file);
        }
        files.sort_by(|a, b| a.key.cmp(&b.key));
        if files.is_empty() {
            notices.push(empty);
        }
        notices.extend(left_out(self.unfinished, "unfinished by its name", "unfinished by their names"));
        notices.extend(left_out(self.special, "not a regular file", "not regular files"));
        self.broken.sort();
        self.broken.dedup();
        Listing { files, notices, left_out: self.broken }
    }
}

fn left_out_as(path: &Path, what: &str) -> String {
    format!("{} is left out: {what}", path.display())
}

fn is_broken_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
        && fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Whether a link cannot be followed to its end.
fn leads_nowhere(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) || is_loop(error)
}

fn is_loop(error: &std::io::Error) -> bool {
    const ELOOP: i32 = 40;
    error.raw_os_error() == Some(ELOOP)
}

fn left_out(mut paths: Vec<String>, one: &str, many: &str) -> Option<String> {
    paths.sort();
    match paths.as_slice() {
        [] => None,
        [path] => Some(format!("{path} is left out: {one}")),
        [path, rest @ ..] => Some(format!("{path} and {} more are left out: {many}", rest.len())),
    }
}

/// The error of a path that the file system refuses.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => Error::unavailable(format!("no permission to read {shown}")),
        ErrorKind::NotFound if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) => {
            Error::unavailable(format!("{shown} is a link to nothing"))
        }
        ErrorKind::NotFound => Error::unavailable(format!("{shown} is gone")),
        _ if is_loop(error) => Error::invalid(format!("{shown} is a link to itself")),
        _ => Error::unavailable(format!("{shown} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_the_file_system_refuses_is_said_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("nowhere", at("link")).unwrap();
        let unavailable = millpond_error::ErrorKind::Unavailable;
        let errors = [
            ("file", 13, unavailable, "no permission to read file"),
            ("file", 2, unavailable, "file is gone"),
            ("link", 2, unavailable, "link is a link to nothing"),
            ("file", 40, millpond_error::ErrorKind::Invalid, "file is a link to itself"),
            ("file", 5, unavailable, "file cannot be read: Input/output error (os error 5)"),
        ];
        for (name, code, kind, message) in errors {
            let error = unreadable(&at(name), &io::Error::from_raw_os_error(code));
            let shown = error.to_string().replace(&format!("{}/", folder.path().display()), "");
            assert_eq!((error.kind(), shown.as_str()), (kind, message));
        }
    }
}
