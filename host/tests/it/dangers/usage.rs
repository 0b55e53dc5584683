//! What a process holds of the machine, and how much of it the dangers may leave there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::Process;

/// Longest wait for a process to come to rest: idle threads of the runtime end after ten seconds.
const REST: Duration = Duration::from_secs(30);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Descriptors and threads that may come and go by chance: a connection of ours, a thread that reads a file.
const CHANCE: u64 = 4;

/// Pieces of code that may be alive beyond those at the start: the dangers' live revision and the one before.
const CODES: u64 = 2;

/// What one more component may leave resident: the pool gives each an instance's slot of its own while there is one,
/// and keeps 4 MiB of its memory, its tables and its stack.
const SLOT_KIB: u64 = 5 << 10;

/// Slots that there are (`runtime.max-instances` of the tests).
const SLOTS: usize = 64;

/// What may be left besides: page caches of the databases, and what the allocator keeps after the largest danger.
const REMAINS_KIB: u64 = 96 << 10;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    rss_kib: u64,
    threads: u64,
    descriptors: u64,
    /// Executable memory from the compiler's files: the machine code of one component each.
    codes: u64,
}

impl Usage {
    fn of(process: &Process) -> Self {
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

    /// Looks once nothing changes any more.
    pub(super) async fn at_rest(process: &Process) -> Self {
        let until = Instant::now() + REST;
        let counts = |usage: Self| (usage.threads, usage.descriptors, usage.codes);
        let mut before = Self::of(process);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Self::of(process);
            if counts(now) == counts(before) {
                return now;
            }
            assert!(Instant::now() < until, "no rest within {REST:?}: {before:?} and then {now:?}");
            before = now;
        }
    }

    /// Waits until a process holds no more than this and what so many dangers may leave.
    pub(super) async fn comes_back(self, process: &Process, dangers: usize, last: &str) {
        let most = Self {
            rss_kib: self.rss_kib + dangers.min(SLOTS) as u64 * SLOT_KIB + REMAINS_KIB,
            threads: self.threads + CHANCE,
            descriptors: self.descriptors + CHANCE,
            codes: self.codes + CODES,
        };
        let until = Instant::now() + REST;
        loop {
            let now = Self::of(process);
            if now.fits(most) {
                return;
            }
            assert!(Instant::now() < until, "after {last}: {now:?} is more than {most:?}, at the start {self:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    fn fits(self, most: Self) -> bool {
        self.rss_kib <= most.rss_kib
            && self.threads <= most.threads
            && self.descriptors <= most.descriptors
            && self.codes <= most.codes
    }
}
