//! How much of the machine the dangers may leave with the host.

use std::time::{Duration, Instant};

use crate::support::{Process, Usage};

/// Longest wait for a process to hold no more: idle threads of the runtime end after ten seconds.
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

/// Waits until a process holds no more than before and what so many dangers may leave.
pub(super) async fn comes_back(process: &Process, before: Usage, dangers: usize, last: &str) {
    let most = Usage {
        rss_kib: before.rss_kib + dangers.min(SLOTS) as u64 * SLOT_KIB + REMAINS_KIB,
        threads: before.threads + CHANCE,
        descriptors: before.descriptors + CHANCE,
        codes: before.codes + CODES,
    };
    let until = Instant::now() + REST;
    loop {
        let now = Usage::of(process);
        if fits(now, most) {
            return;
        }
        assert!(Instant::now() < until, "after {last}: {now:?} is more than {most:?}, at the start {before:?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn fits(now: Usage, most: Usage) -> bool {
    now.rss_kib <= most.rss_kib
        && now.threads <= most.threads
        && now.descriptors <= most.descriptors
        && now.codes <= most.codes
}
