//! The lock of a directory: an advisory lock on a small file that says who holds it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use jiff::Timestamp;

/// The text has a fixed length, so that one write replaces it whole.
const TEXT_BYTES: usize = 64;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock on an open file and writes the holder into it; `Ok(Err(holder))` if another has it.
    pub(crate) fn take(file: File) -> io::Result<Result<Lock, String>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(holder(&file)?)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let lock = Lock(file);
        let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S");
        let text = format!("process {} since {now} (UTC)", std::process::id());
        lock.0.write_all_at(format!("{text:<width$}\n", width = TEXT_BYTES - 1).as_bytes(), 0)?;
        Ok(Ok(lock))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a program that another thread starts at this moment still has it, for as long as it
        // takes to get from its fork to its exec. A failure leaves the lock to that.
        let _ = self.0.unlock();
    }
}

/// Who holds the lock. A holder writes its name just after it took the lock: a name of a process that is gone is
/// read again for a moment.
fn holder(file: &File) -> io::Result<String> {
    for _ in 0..50 {
        let mut bytes = [0; TEXT_BYTES];
        let length = file.read_at(&mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
        if is_alive(&text) {
            return Ok(text);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok("another process".to_owned())
}

/// Whether `process N since …` names a running process.
fn is_alive(text: &str) -> bool {
    let number = text.strip_prefix("process ").and_then(|rest| rest.split(' ').next());
    let id = number.and_then(|number| number.parse().ok()).and_then(rustix::process::Pid::from_raw);
    id.is_some_and(|id| rustix::process::test_kill_process(id) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_once_dropped_whoever_else_has_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let open =
            || File::options().create(true).truncate(false).read(true).write(true).open(folder.path().join("lock"));
        let file = open().unwrap();
        // As a program has it that is being started.
        let inherited = file.try_clone().unwrap();
        let lock = Lock::take(file).unwrap().unwrap();
        let holder = Lock::take(open().unwrap()).unwrap().unwrap_err();
        let at: String = holder.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(at.ends_with(" since 0000-00-00 00:00:00 (UTC)"), "{holder}");
        drop(lock);
        assert!(Lock::take(open().unwrap()).unwrap().is_ok());
        drop(inherited);
    }

    #[test]
    fn the_own_process_is_alive_and_nonsense_is_not() {
        assert!(is_alive(&format!("process {} since 2026", std::process::id())));
        assert!(!is_alive("process x"));
        assert!(!is_alive(""));
        assert!(!is_alive("process 2147483646 since 2026"));
    }
}
