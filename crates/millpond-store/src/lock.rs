//! The lock of a directory: an advisory lock on a small file that says who holds it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The text has a fixed length, so that one write replaces it whole.
const TEXT_BYTES: usize = 64;

/// Takes the lock on an open file and writes the holder into it; `Ok(Err(holder))` if another has it.
pub(crate) fn take(file: &File) -> io::Result<Result<(), String>> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Err(holder(file)?)),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let text = format!("process {} since {} (UTC)", std::process::id(), utc(SystemTime::now()));
    file.write_all_at(format!("{text:<width$}\n", width = TEXT_BYTES - 1).as_bytes(), 0)?;
    Ok(Ok(()))
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

/// `2026-11-22 14:08:03`, by the civil-from-days algorithm (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: u64, expect: &str) {
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expect);
    }

    #[test]
    fn dates_are_civil() {
        check(0, "1970-01-01 00:00:00");
        check(951_782_400, "2000-02-29 00:00:00");
        check(1_701_102_730, "2023-11-27 16:32:10");
        check(4_107_542_399, "2100-02-28 23:59:59");
        check(4_107_542_400, "2100-03-01 00:00:00");
    }

    #[test]
    fn the_own_process_is_alive_and_nonsense_is_not() {
        assert!(is_alive(&format!("process {} since 2026", std::process::id())));
        assert!(!is_alive("process x"));
        assert!(!is_alive(""));
        assert!(!is_alive("process 2147483646 since 2026"));
    }
}
