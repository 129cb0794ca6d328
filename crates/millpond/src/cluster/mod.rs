//! Several processes that run one program together: who they are, and how they find and trust each other.
//!
//! Each process has a number and an address; a process connects to all with smaller numbers. Between each two processes
//! there is a connection for the dataflow (`link`), and between process 0 and each other one a second, over which
//! process 0 says what to do (`message`). Before anything else both ends of a connection prove that they know the
//! secret, and compare what they are about to run (`handshake`). Processes that `millpond spawn` started end with it
//! (`spawner`).
//!
//! Nothing is encrypted: addresses other than loopback belong into a private network.

mod connect;
pub(crate) mod handshake;
mod link;
pub(crate) mod message;
mod spawner;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use millpond_error::{Error, Result};

pub(crate) use connect::{Connected, connect};
pub(crate) use link::{AGAIN_HINT, Health, Link};
pub(crate) use spawner::watch as end_with_spawner;

/// The most processes of a run.
const MOST_PROCESSES: usize = 256;

/// The processes of a run, and which of them this one is.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    process: usize,
    /// `host:port` of each process.
    addresses: Vec<String>,
    secret: Option<String>,
}

impl Cluster {
    /// One process that runs the program alone.
    pub fn alone() -> Self {
        Cluster { process: 0, addresses: vec![String::new()], secret: None }
    }

    /// Process number `process` of those at these addresses (`host:port`). Without a secret, all must be loopback
    /// addresses.
    ///
    /// # Errors
    /// `Invalid`, if the number is not one of a process, an address cannot be read, or a secret is missing.
    pub fn new(process: usize, addresses: Vec<String>, secret: Option<String>) -> Result<Self> {
        let processes = addresses.len();
        if processes == 0 || processes > MOST_PROCESSES {
            return Err(Error::invalid(format!("processes must be from 1 to {MOST_PROCESSES}, not {processes}")));
        }
        if process >= processes {
            return Err(Error::invalid(format!(
                "there is no process {process} of {processes}: the first is process 0"
            )));
        }
        if let Some(twin) =
            addresses.iter().enumerate().find_map(|(i, address)| addresses[..i].contains(address).then_some(address))
        {
            return Err(Error::invalid(format!("two processes have the address {twin}")));
        }
        let secret = secret.filter(|secret| !secret.is_empty());
        let cluster = Cluster { process, addresses, secret };
        if processes > 1 && cluster.secret.is_none() {
            for (process, address) in cluster.addresses.iter().enumerate() {
                if !resolve(process, address)?.iter().all(|address| address.ip().is_loopback()) {
                    return Err(Error::invalid(format!(
                        "process {process} is at {address}, which other machines may reach, and there is no secret"
                    ))
                    .with_hint("set MILLPOND_SECRET to the same text for all processes"));
                }
            }
        }
        Ok(cluster)
    }

    /// The cluster that `MILLPOND_PROCESSES`, `MILLPOND_PROCESS_ID`, `MILLPOND_ADDRESSES` and `MILLPOND_SECRET`
    /// describe, as `millpond spawn` sets them; one process without them.
    ///
    /// # Errors
    /// `Invalid`, naming the variable.
    pub fn from_env() -> Result<Self> {
        Cluster::of_variables(|name| std::env::var(name).ok())
    }

    /// As [`Cluster::from_env`], by what `variable` says of a name.
    fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let hint = "millpond spawn sets all of them";
        let number = |name: &str| match variable(name) {
            None => Ok(None),
            Some(text) => {
                let wrong = |_| Error::invalid(format!("{name}: \"{text}\" is not a number")).with_hint(hint);
                text.trim().parse::<usize>().map(Some).map_err(wrong)
            }
        };
        let (processes, process) = (number("MILLPOND_PROCESSES")?, number("MILLPOND_PROCESS_ID")?);
        if processes.unwrap_or(1) == 1 {
            return Ok(Cluster::alone());
        }
        let Some(process) = process else {
            return Err(Error::invalid("MILLPOND_PROCESSES is set, and MILLPOND_PROCESS_ID is not").with_hint(hint));
        };
        let Some(addresses) = variable("MILLPOND_ADDRESSES") else {
            return Err(Error::invalid("MILLPOND_PROCESSES is set, and MILLPOND_ADDRESSES is not").with_hint(hint));
        };
        let addresses: Vec<String> = addresses.split(',').map(|address| address.trim().to_owned()).collect();
        if Some(addresses.len()) != processes {
            let (named, processes) = (addresses.len(), processes.unwrap_or(1));
            return Err(Error::invalid(format!(
                "MILLPOND_ADDRESSES names {named} addresses for {processes} processes"
            ))
            .with_hint(hint));
        }
        Cluster::new(process, addresses, variable("MILLPOND_SECRET"))
    }

    /// The number of this process; the first is 0.
    pub fn process(&self) -> usize {
        self.process
    }

    /// The number of processes.
    pub fn processes(&self) -> usize {
        self.addresses.len()
    }

    /// The processes of the run on this machine: those with its host.
    pub(crate) fn neighbours(&self) -> usize {
        let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let own = host(&self.addresses[self.process]);
        self.addresses.iter().filter(|address| host(address) == own).count()
    }

    /// What messages call a process.
    fn name(&self, process: usize) -> String {
        format!("process {process} ({})", self.addresses[process])
    }

    fn key(&self) -> &[u8] {
        self.secret.as_deref().unwrap_or_default().as_bytes()
    }
}

/// The secret is never shown.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("process", &self.process)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

fn resolve(process: usize, address: &str) -> Result<Vec<SocketAddr>> {
    let reason = match address.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "it is of no machine".to_owned(),
        Err(reason) => reason.to_string(),
    };
    let what = format!("process {process}: \"{address}\" is no address of the form host:port: {reason}");
    Err(Error::invalid(what).with_hint("such as 127.0.0.1:4000"))
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[track_caller]
    fn check(process: usize, addresses: &[&str], secret: Option<&str>, message: &str) {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        let error = Cluster::new(process, addresses, secret.map(str::to_owned)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, message));
    }

    #[test]
    fn another_machine_needs_a_secret() {
        let text = "process 1 is at 192.0.2.1:4001, which other machines may reach, and there is no secret\n\
                    hint: set MILLPOND_SECRET to the same text for all processes";
        check(0, &["127.0.0.1:4000", "192.0.2.1:4001"], None, text);
        check(0, &["127.0.0.1:4000", "192.0.2.1:4001"], Some(""), text);
        // As the hint says.
        let addresses = vec!["127.0.0.1:4000".to_owned(), "192.0.2.1:4001".to_owned()];
        let cluster = Cluster::new(0, addresses, Some("open sesame".to_owned())).unwrap();
        assert!(!format!("{cluster:?}").contains("sesame"));
    }

    #[test]
    fn numbers_and_addresses_are_checked() {
        let two = ["127.0.0.1:4000", "127.0.0.1:4001"];
        check(2, &two, None, "there is no process 2 of 2: the first is process 0");
        check(0, &[two[0], two[0]], None, "two processes have the address 127.0.0.1:4000");
        check(0, &[], None, "processes must be from 1 to 256, not 0");
        check(0, &[two[0]; 257], None, "processes must be from 1 to 256, not 257");
        let text = "process 1: \"4001\" is no address of the form host:port: invalid socket address\n\
                    hint: such as 127.0.0.1:4000";
        check(0, &[two[0], "4001"], None, text);
        Cluster::new(1, two.map(str::to_owned).to_vec(), None).unwrap();
    }

    /// The variables without the prefix, and what is said of them.
    #[track_caller]
    fn of_variables(set: &[(&str, &str)]) -> Result<Cluster> {
        let value = |name: &str| {
            let name = name.strip_prefix("MILLPOND_").unwrap();
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Cluster::of_variables(value)
    }

    #[test]
    fn the_environment_names_all_processes_or_none() {
        let all = [("PROCESSES", "2"), ("PROCESS_ID", "1"), ("ADDRESSES", "127.0.0.1:4000, 127.0.0.1:4001")];
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("PROCESSES", "two")], "MILLPOND_PROCESSES: \"two\" is not a number"),
            (&[("PROCESSES", "2"), ("PROCESS_ID", "-1")], "MILLPOND_PROCESS_ID: \"-1\" is not a number"),
            (&all[..1], "MILLPOND_PROCESSES is set, and MILLPOND_PROCESS_ID is not"),
            (&all[..2], "MILLPOND_PROCESSES is set, and MILLPOND_ADDRESSES is not"),
            (
                &[all[0], all[1], ("ADDRESSES", "127.0.0.1:4000")],
                "MILLPOND_ADDRESSES names 1 addresses for 2 processes",
            ),
        ];
        for (set, message) in cases {
            let error = of_variables(set).unwrap_err();
            let text = format!("{message}\nhint: millpond spawn sets all of them");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, text));
        }
        assert_eq!(of_variables(&[]).unwrap(), Cluster::alone());
        assert_eq!(of_variables(&[("PROCESSES", "1")]).unwrap(), Cluster::alone());
        let cluster = of_variables(&all).unwrap();
        assert_eq!((cluster.process(), cluster.processes()), (1, 2));
    }
}
