//! Where a result file is: the folder that it is in, and the name that it is renamed to when it is whole.

use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use millpond_error::{Error, Result};

/// Links that lead to links, at most: as many as Linux follows.
const MOST_LINKS: usize = 40;

/// The folder and the name of a result file: what two sinks may not share. A link leads to the file that it names,
/// since the file is renamed into place, and that must not replace the link.
///
/// # Errors
/// `Invalid`, if what is there is no regular file, or is one only because the program's own output goes to it
/// (`/dev/stdout`), or if a result cannot be there.
pub fn resolve(path: &Path) -> Result<(PathBuf, String)> {
    let label = path.display();
    refuse_open_files(path)?;
    if let Ok(metadata) = path.metadata()
        && !metadata.is_file()
    {
        return Err(not_a_file(path, metadata.file_type()));
    }
    let whole = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(Error::invalid(format!("\"{label}\" is not the name of a file")));
    };
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Error::invalid(format!("\"{label}\" is the name of a directory: results go to a file"))
            .with_hint(format!("name a file in it, such as \"{label}result.csv\"")));
    }
    let Some(name) = name.to_str() else {
        return Err(Error::invalid(format!("the name of the file \"{label}\" is not UTF-8"))
            .with_hint("choose a name in UTF-8: results are found by it in the saved state"));
    };
    let above = folder.ancestors().find_map(|above| Some((above, fs::metadata(above).ok()?)));
    if let Some((above, metadata)) = above
        && !metadata.is_dir()
    {
        return Err(Error::invalid(format!("\"{label}\": {} is not a directory", above.display())));
    }
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok((folder, name.to_owned()))
}

/// The name that a file has until all of it is durable.
pub fn temporary(file: &str) -> String {
    format!(".{file}.millpond-tmp")
}

/// Refuses names that stand for whatever the process has open. Behind one may be a file that somebody else's output is
/// appended to, and a result would take its place.
fn refuse_open_files(path: &Path) -> Result<()> {
    let mut at = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        let Some(folder) = at.parent() else { break };
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if folder == Path::new("/dev") || folder.starts_with("/proc") {
            return Err(Error::invalid(format!(
                "\"{}\" is a name of the system, and results go to a file",
                path.display()
            ))
            .with_hint(NO_FILE_HINT));
        }
        let Ok(target) = fs::read_link(&at) else { break };
        at = folder.join(target);
    }
    Ok(())
}

const NO_FILE_HINT: &str = "write to a regular file, such as \"result.csv\"; to print changes, or to pass them on, subscribe \
     a function to the table";

fn not_a_file(path: &Path, ty: FileType) -> Error {
    let label = path.display();
    if ty.is_dir() {
        let inside = path.join("result.csv");
        return Error::invalid(format!("\"{label}\" is a directory, and results go to a file"))
            .with_hint(format!("name a file in it, such as \"{}\"", inside.display()));
    }
    let what = if ty.is_fifo() {
        "a pipe"
    } else if ty.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Error::invalid(format!("\"{label}\" is {what}, and results go to a regular file")).with_hint(NO_FILE_HINT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use millpond_error::ErrorKind;

    use super::*;

    #[track_caller]
    fn refused(path: &Path, message: &str) {
        let error = resolve(path).expect_err("refused");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, message));
    }

    /// As [`refused`], with this hint, which is followed.
    #[track_caller]
    fn refused_with(path: &Path, message: &str, hint: &str, instead: &Path) {
        refused(path, message);
        assert_eq!(resolve(path).expect_err("refused").hint(), Some(hint));
        resolve(instead).expect("what the hint names is taken");
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_link_leads_to_the_file_that_it_names() {
        let folder = folder();
        fs::write(folder.path().join("out.csv"), "old").expect("written");
        let link = folder.path().join("link.csv");
        symlink("out.csv", &link).expect("a link");
        let (root, name) = resolve(&link).expect("resolved");
        assert_eq!(name, "out.csv");
        assert_eq!(Ok((root, name)), resolve(&folder.path().join("./out.csv")));
    }

    #[test]
    fn standard_output_is_no_result_file_whatever_it_is_called() {
        let folder = folder();
        let link = folder.path().join("out.csv");
        symlink("/dev/stdout", &link).expect("a link");
        let twice = folder.path().join("twice.csv");
        symlink("out.csv", &twice).expect("a link");
        for path in ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/1", "/dev/null", "/dev/../dev/stdout"] {
            let message = format!("\"{path}\" is a name of the system, and results go to a file");
            refused_with(Path::new(path), &message, NO_FILE_HINT, &folder.path().join("result.csv"));
        }
        for path in [&link, &twice] {
            refused(path, &format!("\"{}\" is a name of the system, and results go to a file", path.display()));
        }
    }

    #[test]
    fn a_folder_of_the_system_that_holds_files_is_one_like_others() {
        if Path::new("/dev/shm").is_dir() {
            assert_eq!(resolve(Path::new("/dev/shm/out.csv")).expect("resolved").1, "out.csv");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_named() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        assert!(Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo").success());
        fs::write(at("file"), "").expect("written");
        let shown = |name: &str| format!("\"{}\"", at(name).display());
        refused(&at("socket"), &format!("{} is a socket, and results go to a regular file", shown("socket")));
        refused(&at("pipe"), &format!("{} is a pipe, and results go to a regular file", shown("pipe")));
        let inside = at("result.csv");
        let hint = format!("name a file in it, such as \"{}\"", inside.display());
        let message = format!("\"{}\" is a directory, and results go to a file", folder.path().display());
        refused_with(folder.path(), &message, &hint, &inside);
        let inside = at("new/result.csv");
        let hint = format!("name a file in it, such as \"{}\"", inside.display());
        let message = format!("{} is the name of a directory: results go to a file", shown("new/"));
        refused_with(&at("new/"), &message, &hint, &inside);
        for path in ["", "missing/.."] {
            refused(Path::new(path), &format!("\"{path}\" is not the name of a file"));
        }
        let inside = at("file/out.csv");
        refused(&inside, &format!("\"{}\": {} is not a directory", inside.display(), at("file").display()));
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_named() {
        use std::os::unix::ffi::OsStrExt;
        let path = folder().path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.csv"));
        let message = format!("the name of the file \"{}\" is not UTF-8", path.display());
        let hint = "choose a name in UTF-8: results are found by it in the saved state";
        refused_with(&path, &message, hint, &path.with_file_name("café.csv"));
    }
}
