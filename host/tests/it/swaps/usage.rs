//! What a process holds of the machine, from `/proc`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::Process;

/// Longest wait for a process to come to rest.
const REST: Duration = Duration::from_secs(60);

/// Time between two looks that have to agree.
const LOOK: Duration = Duration::from_millis(500);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) rss_kib: u64,
    pub(super) threads: u64,
    pub(super) descriptors: usize,
    /// Executable memory from the compiler's files: the machine code of one component each.
    pub(super) codes: usize,
}

impl Usage {
    /// Looks now.
    pub(super) fn of(process: &Process) -> Self {
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
            descriptors: std::fs::read_dir(folder.join("fd")).expect("the process runs").count(),
            codes: maps.lines().filter(is_code).count(),
        }
    }

    /// Looks once nothing changes any more: closed connections are gone, and threads that had one thing to do.
    pub(super) async fn at_rest(process: &Process) -> Self {
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

    fn counts(self) -> (u64, usize, usize) {
        (self.threads, self.descriptors, self.codes)
    }

    pub(super) fn rss_mib(self) -> u64 {
        self.rss_kib / 1024
    }
}
