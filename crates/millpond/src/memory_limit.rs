//! How much memory the rows of a run may take.

use std::fs;
use std::path::{Component, Path, PathBuf};

use bytesize::ByteSize;
use millpond_error::{Error, Result};

/// A run is not possible with less.
const LEAST: u64 = 16 << 20;
/// What to write.
const HINT: &str = "such as 150MB or 2GiB";

/// The number of bytes that a text says, such as `150MB`, `2GiB` or `1000000`.
///
/// # Errors
/// `Invalid`, if the text is not that; `name` is whose it is.
pub fn parse(name: &str, text: &str) -> Result<u64> {
    let bytes = text
        .trim()
        .parse::<ByteSize>()
        .map_err(|_| Error::invalid(format!("{name}: \"{text}\" is not a number of bytes")).with_hint(HINT))?;
    check(name, bytes.as_u64())
}

/// The same number of bytes, if a run is possible with it.
pub(crate) fn check(name: &str, bytes: u64) -> Result<u64> {
    if bytes < LEAST {
        return Err(
            Error::invalid(format!("{name} must be at least {}, not {bytes} bytes", ByteSize(LEAST))).with_hint(HINT)
        );
    }
    Ok(bytes)
}

/// Half of what this process can have, divided by the processes of the run on this machine.
pub(crate) fn usual(processes: usize) -> u64 {
    let machine = machine(Path::new("/")).unwrap_or(u64::MAX);
    (machine / 2 / processes.max(1) as u64).max(LEAST)
}

/// The memory of the machine, or of the control group that this process is in, if that is less. `root` is where the
/// file system begins.
fn machine(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    Some(groups.lines().filter_map(|line| group(root, line)).fold(total, u64::min))
}

/// The limit of a control group, of which a line of `/proc/self/cgroup` tells: `0::/path` of version 2, or
/// `5:memory:/path` of version 1. The groups around it count, too.
fn group(root: &Path, line: &str) -> Option<u64> {
    let (_, line) = line.split_once(':')?;
    let (controllers, path) = line.split_once(':')?;
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        some if some.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mount = root.join(mount);
    // In a container the path may be one of the host, which is not there: then the group itself is mounted.
    let within = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>();
    let limit = |group: &Path| fs::read_to_string(mount.join(group).join(file)).ok()?.trim().parse::<u64>().ok();
    within.ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_limit_is_a_number_of_bytes() {
        let cases = [
            ("150MB", 150_000_000),
            (" 2GiB ", 2 << 30),
            ("1.5 GB", 1_500_000_000),
            ("16777216", 16 << 20),
            ("64MiB", 64 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse("memory_limit", text).unwrap(), bytes, "{text}");
        }
        let wrong = [
            ("much", "MILLPOND_MEMORY: \"much\" is not a number of bytes"),
            ("", "MILLPOND_MEMORY: \"\" is not a number of bytes"),
            ("-1GB", "MILLPOND_MEMORY: \"-1GB\" is not a number of bytes"),
            ("1MB", "MILLPOND_MEMORY must be at least 16.0 MiB, not 1000000 bytes"),
        ];
        for (text, message) in wrong {
            let error = parse("MILLPOND_MEMORY", text).unwrap_err();
            assert_eq!(
                (error.kind(), error.message(), error.hint()),
                (ErrorKind::Invalid, message, Some(HINT)),
                "{text}"
            );
        }
    }

    /// A file system with these files.
    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_control_group_limits_the_machine() {
        let total = ("proc/meminfo", "MemTotal:        1000 kB\nMemFree: 1 kB\n");
        let limit = |more: &[(&str, &str)]| {
            let mut all = vec![total];
            all.extend(more);
            machine(files(&all).path())
        };
        assert_eq!(limit(&[]), Some(1_024_000));
        let version_2 = ("proc/self/cgroup", "0::/jobs/one\n");
        assert_eq!(limit(&[version_2, ("sys/fs/cgroup/jobs/one/memory.max", "max\n")]), Some(1_024_000));
        assert_eq!(limit(&[version_2, ("sys/fs/cgroup/jobs/one/memory.max", "500000\n")]), Some(500_000));
        let outer = ("sys/fs/cgroup/jobs/memory.max", "400000\n");
        assert_eq!(limit(&[version_2, outer, ("sys/fs/cgroup/jobs/one/memory.max", "500000\n")]), Some(400_000));
        // The path is one of the host, and what is mounted is the group itself.
        assert_eq!(limit(&[version_2, ("sys/fs/cgroup/memory.max", "300000\n")]), Some(300_000));
        let version_1 = ("proc/self/cgroup", "7:cpu,cpuacct:/x\n5:memory:/jobs\n");
        let group = ("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "200000\n");
        assert_eq!(limit(&[version_1, group]), Some(200_000));
        let none = ("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(&[version_1, none]), Some(1_024_000));
        assert!(usual(1) >= LEAST);
    }
}
