//! What a process holds of the machine, from `/proc`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Process;

/// Longest wait for a process to come to rest, on a busy machine too: idle threads of the runtime end after ten
/// seconds.
const REST: Duration = Duration::from_secs(60);

/// Time between two looks that have to agree.
const LOOK: Duration = Duration::from_millis(500);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) rss_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    /// Executable memory from the compiler's files: the machine code of one component each.
    pub(crate) codes: u64,
}

impl Usage {
    /// Looks now.
    pub(crate) fn of(process: &Process) -> Self {
        let folder = PathBuf::from(format!("/proc/{}", process.id()));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the process runs");
        let (status, maps) = (read("status"), read("maps"));
        let number = |key: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
            value.expect("Linux says it").parse().expect("a number")
        };
        let is_code = |line: &&str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // Address, permissions, offset, device, inode, and a file: code is mapped from those that the compiler made.
            columns[1] == "r-xp" && columns.get(5).is_some_and(|file| file.ends_with(".cwasm"))
        };
        Self {
            rss_kib: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: std::fs::read_dir(folder.join("fd")).expect("the process runs").count() as u64,
            codes: maps.lines().filter(is_code).count() as u64,
        }
    }

    /// Looks once nothing changes any more: closed connections are gone, and threads that had one thing to do.
    pub(crate) async fn at_rest(process: &Process) -> Self {
        let until = Instant::now() + REST;
        let mut before = Self::of(process);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Self::of(process);
            if now.counts() == before.counts() {
                return now;
            }
            assert!(Instant::now() < until, "no rest within {REST:?}: {before:?} and then {now:?}");
            before = now;
        }
    }

    /// Returns the resident memory in MiB.
    pub(crate) fn rss_mib(self) -> u64 {
        self.rss_kib / 1024
    }

    fn counts(self) -> (u64, u64, u64) {
        (self.threads, self.descriptors, self.codes)
    }
}

/// Returns the time on all cores that a process has taken until now.
pub(crate) fn processor_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("the process runs");
    let (_, fields) = stat.rsplit_once(')').expect("its name stands in brackets");
    // The 14th and 15th of all fields, in hundredths of a second: in the guest's code and in the system's.
    let times = fields.split_whitespace().skip(11).take(2);
    let hundredths: u64 = times.map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(hundredths * 10)
}
