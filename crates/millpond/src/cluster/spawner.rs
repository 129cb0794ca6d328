//! A process that `millpond spawn` started ends when `millpond spawn` is gone, however that ended.
//!
//! `millpond spawn` holds the writing end of a pipe and never writes to it: whoever reads from it hears nothing until
//! the writing end is closed, which the system does. So it works on all systems, and also where a shell stands in
//! between.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::sync::Once;
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// Holds the number of the file descriptor that is the reading end.
const VARIABLE: &str = "MILLPOND_SPAWNER_FD";

/// From now on this process is asked to stop when the one that spawned it is gone.
pub(crate) fn watch() {
    static WATCHING: Once = Once::new();
    let number = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<u32>().ok());
    let Some(number) = number else { return };
    WATCHING.call_once(|| {
        let Ok(pipe) = File::open(format!("/dev/fd/{number}")) else { return };
        if pipe.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
            let _ = thread::Builder::new().name("millpond:spawner".to_owned()).spawn(move || {
                wait_for_end(pipe);
                let _ = kill_process(getpid(), Signal::TERM);
            });
        }
    });
}

fn wait_for_end(mut pipe: File) {
    loop {
        match pipe.read(&mut [0; 1]) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
