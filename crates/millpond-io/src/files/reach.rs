//! How far a source reaches: which files it reads, or would read if they were there.
//!
//! Told by the rules of [`list`](super::list), without a look at the files themselves: a directory costs its names. A
//! file has other names, by links to it and to the directories above it, so device and inode are compared as well as
//! paths.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::list::{MATCHING, Root, is_hidden, is_unfinished, root_of};

/// What tells a file from all others that are there.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Option<Identity> {
    // A file system without inodes says 0.
    (metadata.ino() != 0).then(|| (metadata.dev(), metadata.ino()))
}

/// A file that is written, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The path to it, without links as far as it is there.
    path: PathBuf,
    name: OsString,
    folder: Option<Identity>,
    file: Option<Identity>,
}

/// A folder that files are written in; it need not be there.
pub struct Folder {
    /// The path to it, without links as far as it is there.
    path: PathBuf,
    identity: Option<Identity>,
}

impl Folder {
    /// The folder at this path.
    pub fn new(path: &Path) -> Self {
        let path = real(path);
        Folder { identity: fs::metadata(&path).ok().as_ref().and_then(identity), path }
    }

    /// Its file of this name.
    pub fn file(&self, name: impl AsRef<OsStr>) -> Written {
        self.written(name.as_ref(), |path| fs::metadata(path))
    }

    /// The same of a file that is made anew, or refused where it is a link: what a link leads to is not written.
    pub fn file_not_through_links(&self, name: impl AsRef<OsStr>) -> Written {
        self.written(name.as_ref(), |path| fs::symlink_metadata(path))
    }

    fn written(&self, name: &OsStr, metadata: impl Fn(&Path) -> io::Result<Metadata>) -> Written {
        let path = self.path.join(name);
        let file = metadata(&path).ok().as_ref().and_then(identity);
        Written { folder: self.identity, file, path, name: name.to_owned() }
    }
}

impl Written {
    /// Whether both are one file.
    pub fn is(&self, other: &Written) -> bool {
        self.path == other.path || self.file.is_some() && self.file == other.file
    }

    /// Whether both are in one folder.
    pub fn is_beside(&self, other: &Written) -> bool {
        self.path.parent() == other.path.parent() || self.folder.is_some() && self.folder == other.folder
    }

    /// Whether it is, or will be, at this path.
    pub fn is_at(&self, path: &Path) -> bool {
        self.path == real(path)
    }

    /// Whether its name starts like this.
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.name.as_encoded_bytes().starts_with(prefix.as_bytes())
    }
}

/// A path without links and `..`, as far as it is there; links to what is not there yet are followed, too.
fn real(path: &Path) -> PathBuf {
    /// So many links the system follows as well.
    const MOST_LINKS: usize = 40;
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        let Some((above, there)) = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?))) else {
            break;
        };
        let rest = path.strip_prefix(above).unwrap_or(Path::new("")).to_owned();
        let mut names = rest.components();
        let Some(first) = names.next() else { return there };
        let Ok(target) = fs::read_link(there.join(first)) else { return there.join(rest) };
        path = there.join(target).join(names.as_path());
    }
    path
}

/// The first of these files that the source of `path` reads, with the path under which it would read it. A source that
/// cannot be read reads none.
pub fn first_read(path: &str, written: &[Written]) -> Option<(usize, PathBuf)> {
    let reach = Reach { written };
    match root_of(path).ok()? {
        Root::File(file) => {
            let found = Written { file: fs::metadata(&file).ok().as_ref().and_then(identity), ..Written::at(&file) };
            Some((written.iter().position(|written| written.is(&found))?, file))
        }
        Root::Directory(directory) => {
            let root = real(&directory);
            let below = |relative: &Path| {
                !relative.components().any(|part| is_hidden(part.as_os_str()))
                    && !relative.file_name().is_none_or(is_unfinished)
            };
            reach.below(&directory, &root, below).or_else(|| reach.directory(&directory, &below, &mut Vec::new()))
        }
        Root::Glob { directory } => {
            let rest = Path::new(path).strip_prefix(&directory).unwrap_or(Path::new(path));
            let pattern = Pattern::new(rest.to_str()?).ok()?;
            let below = |relative: &Path| pattern.matches_path_with(relative, MATCHING);
            reach.below(&directory, &real(&directory), below).or_else(|| reach.glob(Path::new(path)))
        }
    }
}

impl Written {
    fn at(path: &Path) -> Self {
        let real = real(path);
        Written { name: real.file_name().unwrap_or_default().to_owned(), path: real, folder: None, file: None }
    }
}

struct Reach<'a> {
    written: &'a [Written],
}

impl Reach<'_> {
    /// A file that is below the root of the source by its path, and whose path from there the source takes.
    fn below(&self, shown: &Path, root: &Path, takes: impl Fn(&Path) -> bool) -> Option<(usize, PathBuf)> {
        self.written.iter().enumerate().find_map(|(at, written)| {
            let relative = written.path.strip_prefix(root).ok()?;
            takes(relative).then(|| (at, shown.join(relative)))
        })
    }

    /// A file that a walk through a directory meets; `above` holds the directories that lead to it.
    fn directory(
        &self,
        directory: &Path,
        below: &impl Fn(&Path) -> bool,
        above: &mut Vec<Option<Identity>>,
    ) -> Option<(usize, PathBuf)> {
        let own = identity(&fs::metadata(directory).ok()?);
        if own.is_some() && above.contains(&own) {
            return None;
        }
        above.push(own);
        let takes = |name: &OsStr| !is_hidden(name) && !is_unfinished(name);
        let found = self.entries(directory, own, &takes, &mut |inner| {
            if inner.exists() { self.directory(inner, below, above) } else { self.below(inner, &real(inner), below) }
        });
        above.pop();
        found
    }

    fn glob(&self, pattern: &Path) -> Option<(usize, PathBuf)> {
        let last = Pattern::new(pattern.file_name()?.to_str()?).ok()?;
        let takes = |name: &OsStr| name.to_str().is_some_and(|name| last.matches_with(name, MATCHING));
        let parent = pattern.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut folders = glob::glob_with(parent.to_str()?, MATCHING).ok()?.flatten().collect::<Vec<_>>();
        // Any depth is also none.
        if parent.ends_with("**") {
            let base = parent.parent().filter(|base| !base.as_os_str().is_empty()).unwrap_or(Path::new("."));
            folders.extend(glob::glob_with(base.to_str()?, MATCHING).ok()?.flatten());
        }
        folders.iter().find_map(|folder| {
            let own = match fs::metadata(folder) {
                Ok(metadata) if metadata.is_dir() => identity(&metadata),
                Ok(_) => return None,
                Err(_) => {
                    let directly = |relative: &Path| relative.components().count() == 1 && takes(relative.as_os_str());
                    return self.below(folder, &real(folder), directly);
                }
            };
            self.entries(folder, own, &takes, &mut |_| None)
        })
    }

    /// A file that would be taken directly in a directory, or what `inside` finds in one below it, which a link may
    /// lead to before it is there.
    fn entries(
        &self,
        directory: &Path,
        own: Option<Identity>,
        takes: &dyn Fn(&OsStr) -> bool,
        inside: &mut dyn FnMut(&Path) -> Option<(usize, PathBuf)>,
    ) -> Option<(usize, PathBuf)> {
        let here = |written: &Written| own.is_some() && written.folder == own && takes(&written.name);
        if let Some(at) = self.written.iter().position(here) {
            return Some((at, directory.join(&self.written[at].name)));
        }
        fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
            let name = entry.file_name();
            let ty = entry.file_type().ok()?;
            let known =
                ty.is_file() && self.written.iter().any(|w| w.file.is_some_and(|(_, inode)| inode == entry.ino()));
            if is_hidden(&name) && !takes(&name) || ty.is_file() && !known {
                return None;
            }
            let path = entry.path();
            let metadata = fs::metadata(&path).ok();
            if metadata.is_none() && !ty.is_symlink() {
                return None;
            }
            if takes(&name) {
                let found = metadata.as_ref().and_then(identity);
                // What a link leads to may be made, or made anew, at any time.
                let target = ty.is_symlink().then(|| real(&path));
                let is_it = |written: &Written| {
                    written.file.is_some() && written.file == found || target.as_ref() == Some(&written.path)
                };
                if let Some(at) = self.written.iter().position(is_it) {
                    return Some((at, path));
                }
            }
            let may_hold = metadata.is_none_or(|metadata| metadata.is_dir());
            if may_hold && !is_hidden(&name) { inside(&path) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Files, links (`name -> target`) and hard links (`name = target`), each after the directories that it needs.
    fn folder(entries: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for entry in entries {
            let (name, link) = entry.split_once(" -> ").map_or((*entry, None), |(name, to)| (name, Some(to)));
            let (name, other) = name.split_once(" = ").map_or((name, None), |(name, to)| (name, Some(to)));
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            match (link, other) {
                (Some(to), _) => symlink(to, &path).expect("a link"),
                (_, Some(to)) => fs::hard_link(folder.path().join(to), &path).expect("a hard link"),
                _ if name.ends_with('/') => fs::create_dir_all(&path).expect("a folder"),
                _ => fs::write(&path, name).expect("a file"),
            }
        }
        folder
    }

    /// Checks under which path a source reads a file that is written; "" if under none.
    #[track_caller]
    fn check(entries: &[&str], source: &str, file: &str, expected: &str) {
        let folder = folder(entries);
        let path = folder.path().join(file);
        let written = Folder::new(path.parent().expect("a parent")).file(path.file_name().expect("a name"));
        let other = Folder::new(folder.path().parent().expect("a parent")).file("other");
        let root = folder.path().display().to_string();
        let found = first_read(&format!("{root}/{source}"), &[other, written]);
        let found = found.map(|(at, path)| {
            assert_eq!(at, 1);
            path.strip_prefix(&root).expect("inside").display().to_string()
        });
        assert_eq!(found.unwrap_or_default(), expected, "{source} and {file}");
    }

    #[test]
    fn a_file_is_read_under_all_of_its_names() {
        check(&["in/a.csv"], "in/a.csv", "in/a.csv", "in/a.csv");
        check(&["in/a.csv"], "in/a.csv", "in/../in/./a.csv", "in/a.csv");
        check(&["in/a.csv", "b.csv = in/a.csv"], "in/a.csv", "b.csv", "in/a.csv");
        check(&["in/a.csv", "b.csv -> in/a.csv"], "b.csv", "in/a.csv", "b.csv");
        check(&["in/a.csv", "also -> in"], "also/a.csv", "in/a.csv", "also/a.csv");
        check(&["in/a.csv", "b.csv"], "in/a.csv", "b.csv", "");
        check(&["in/a.csv"], "in/a.csv", "in/b.csv", "");
    }

    #[test]
    fn a_directory_reads_what_is_in_it_and_below() {
        check(&["in/a.csv"], "in", "in/out.csv", "in/out.csv");
        check(&["in/a.csv"], "in/", "in/new/deep/out.csv", "in/new/deep/out.csv");
        check(&["in/sub/a.csv"], "in", "in/sub/out.csv", "in/sub/out.csv");
        check(&["in/a.csv", "also -> in"], "in", "also/out.csv", "in/out.csv");
        check(&["in/a.csv", "also -> in"], "also", "in/out.csv", "also/out.csv");
        check(&["in/a.csv", "out/b.csv", "in/sub -> ../out"], "in", "out/new.csv", "in/sub/new.csv");
        check(&["in/a.csv", "out/b.csv", "in/c.csv = out/b.csv"], "in", "out/b.csv", "in/c.csv");
        check(&["in/a.csv", "out/b.csv", "in/x/c.csv -> ../../out/b.csv"], "in", "out/b.csv", "in/x/c.csv");
        check(&["in/a.csv"], "", "in/out.csv", "in/out.csv");
    }

    #[test]
    fn a_directory_leaves_names_out() {
        for file in ["in/.out.csv", "in/.hidden/out.csv", "in/out.csv.tmp", "in/out.csv~", "out.csv", "in2/out.csv"] {
            check(&["in/a.csv", "in/.hidden/"], "in", file, "");
        }
        check(&["in/a.csv", "out/b.csv", "in/.sub -> ../out"], "in", "out/b.csv", "");
        check(&["in/a.csv", "out/b.csv", "in/c.tmp = out/b.csv"], "in", "out/b.csv", "");
        check(&["in/a.csv", "in/loop -> ."], "in", "out/b.csv", "");
    }

    #[test]
    fn a_glob_reads_what_it_matches() {
        check(&["in/a.csv"], "in/*.csv", "in/out.csv", "in/out.csv");
        check(&["in/a.csv"], "in/*.csv", "in/out.jsonl", "");
        check(&["in/a.csv"], "in/2026-*.csv", "in/out.csv", "");
        check(&["in/a.csv"], "in/*.csv", "in/sub/out.csv", "");
        check(&["in/a.csv"], "in/**/*.csv", "in/new/sub/out.csv", "in/new/sub/out.csv");
        check(&["in/a.csv"], "in/**/*.csv", "in/out.csv", "in/out.csv");
        check(&["in/x/a.csv"], "in/*/a?.csv", "in/x/a1.csv", "in/x/a1.csv");
        check(&["in/x/a.csv"], "in/*/a?.csv", "in/y/a1.csv", "in/y/a1.csv");
        check(&["in/a.csv"], "in/*", "in/.out.csv", "");
        check(&["in/a.csv"], "in/.*", "in/.out.csv", "in/.out.csv");
        check(&["in/a.csv", "also -> in"], "also/*.csv", "in/out.csv", "also/out.csv");
        check(&["in/a.csv", "out/b.csv", "in/x -> ../out"], "in/*/*.csv", "out/new.csv", "in/x/new.csv");
        check(&["in/a.csv", "out/b.csv", "in/x -> ../out"], "in/**/*.csv", "out/new.csv", "in/x/new.csv");
        check(&["in/a.csv", "out/b", "in/c.csv = out/b"], "in/*.csv", "out/b", "in/c.csv");
        check(&["in/a.csv", "out/b", "in/c.csv -> ../out/b"], "in/*.csv", "out/b", "in/c.csv");
        check(&["in/a.csv", "out/b", "in/c.txt -> ../out/b"], "in/*.csv", "out/b", "");
    }

    #[test]
    fn a_link_to_what_is_not_there_yet_reads_it() {
        check(&["in/a.csv", "in/l -> ../st"], "in", "st/lock", "in/l/lock");
        check(&["in/a.csv", "in/l -> ../x"], "in", "x/st/lock", "in/l/st/lock");
        check(&["in/a.csv", "in/l -> ../st/lock"], "in", "st/lock", "in/l");
        check(&["in/a.csv", "in/l -> ../m", "m -> st"], "in", "st/lock", "in/l/lock");
        check(&["in/a.csv", "in/l -> ../st"], "in/*/*", "st/lock", "in/l/lock");
        check(&["in/a.csv", "in/l -> ../st/lock"], "in/*", "st/lock", "in/l");
        check(&["in/a.csv", "in/l.csv -> ../o.csv"], "in/*.csv", "o.csv", "in/l.csv");
        check(&["in/a.csv", "out -> in"], "in", "out/o.csv", "in/o.csv");
        check(&["in/a.csv", "in/l -> ../st"], "in", "st/.hidden", "");
        check(&["in/a.csv", "in/l -> ../st"], "in", "st2/lock", "");
        check(&["in/a.csv", "in/.l -> ../st", "in/loop -> loop"], "in", "st/lock", "");
        check(&["in/a.csv", "in/l -> ../st"], "in/*", "st/lock", "");
        check(&["in/a.csv", "in/l.txt -> ../o.csv"], "in/*.csv", "o.csv", "");
    }

    #[test]
    fn a_source_that_is_not_there_reads_nothing() {
        check(&[], "in/a.csv", "in/a.csv", "");
        check(&[], "in/[", "in/a.csv", "");
    }
}
