//! The files that a path stands for.
//!
//! - A file stands for itself, whatever its name.
//! - A directory stands for all regular files in it and in the directories below it. Left out are names that start with
//!   `.`, and unfinished files by their names: `~`, `.tmp`, `.part`, `.partial`, `.crdownload` at the end (these are
//!   counted in a notice).
//! - A glob (`*`, `?`, `[...]`, and `**` for directories of any depth) stands for the files that it matches; a wildcard
//!   matches no leading `.`.
//!
//! Symbolic links are followed; one that leads to a directory that it is in is refused. A file that is there under
//! several names (links) is read once, under its own name or the first one in order.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use millpond_error::{Error, Result};

const UNFINISHED: [&str; 5] = ["~", ".tmp", ".part", ".partial", ".crdownload"];

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
    /// What was left out, and an empty directory: a sentence each.
    pub notices: Vec<String>,
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
    let existing = path.ancestors().skip(1).find(|p| !p.as_os_str().is_empty() && p.exists());
    match existing {
        Some(parent) => format!("{} exists", parent.display()),
        None => match std::env::current_dir() {
            Ok(directory) => format!("relative paths start at {}", directory.display()),
            Err(_) => "relative paths start at the working directory".into(),
        },
    }
}

/// Lists the files that a path stands for.
pub fn list(path: &str) -> Result<Listing> {
    let mut walk = Walk::default();
    let root = root_of(path)?;
    match &root {
        Root::File(file) => {
            let metadata = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
            let name = file.file_name().map_or_else(|| file.clone(), PathBuf::from);
            walk.take(&name, file.clone(), &metadata, false)?;
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
}

impl Walk {
    /// Lists a directory; `above` holds device and inode of the directories that lead to it.
    fn directory(&mut self, directory: &Path, below: &Path, above: &mut Vec<(u64, u64)>) -> Result<()> {
        let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        let identity = (metadata.dev(), metadata.ino());
        if above.contains(&identity) {
            let shown = directory.display();
            return Err(Error::invalid(format!("{shown} is a link to a directory that it is in"))
                .with_hint("remove the link, or read a glob that leaves it out"));
        }
        above.push(identity);
        let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(directory, &error))?;
            let name = entry.file_name();
            let (path, below) = (entry.path(), below.join(&name));
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let metadata = match fs::metadata(&path) {
                // Gone since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => continue,
                Err(error) => return Err(unreadable(&path, &error)),
                Ok(metadata) => metadata,
            };
            if metadata.is_dir() {
                self.directory(&path, &below, above)?;
            } else if UNFINISHED.iter().any(|end| name.ends_with(end)) {
                self.unfinished.push(path.display().to_string());
            } else {
                let link = entry.file_type().is_ok_and(|ty| ty.is_symlink());
                self.take(&below, path, &metadata, link)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn glob(&mut self, pattern: &str, directory: &Path) -> Result<()> {
        let options =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
        let paths = glob::glob_with(pattern, options)
            .map_err(|error| Error::invalid(format!("{pattern} is not a glob: {}", error.msg)))?;
        for path in paths {
            let path = path.map_err(|error| unreadable(error.path(), error.error()))?;
            let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if metadata.is_dir() {
                continue;
            }
            let link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
            let below = path.strip_prefix(directory).unwrap_or(&path).to_owned();
            self.take(&below, path, &metadata, link)?;
        }
        Ok(())
    }

    fn take(&mut self, below: &Path, path: PathBuf, metadata: &Metadata, link: bool) -> Result<()> {
        if !metadata.is_file() {
            self.special.push(path.display().to_string());
            return Ok(());
        }
        let Some(key) = below.to_str() else {
            return Err(Error::invalid(format!("the name of the file {} is not UTF-8", path.display())));
        };
        let found = Found { key: key.to_owned(), path, stamp: Stamp::of(metadata) };
        self.files.push((found, link));
        Ok(())
    }

    fn finish(mut self, empty: String) -> Listing {
        let mut notices = Vec::new();
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
        Listing { files, notices }
    }
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
        _ if error.raw_os_error() == Some(40) => Error::invalid(format!("{shown} is a link to itself")),
        _ => Error::unavailable(format!("{shown} cannot be read: {error}")),
    }
}
