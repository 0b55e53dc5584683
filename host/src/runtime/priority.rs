//! What gets the cores when two want them: threads under the system's idle policy give way at once to all others.
//!
//! A low niceness alone does not do: whoever has a core keeps it for the rest of its slice, which is as long as a
//! request. Elsewhere than on Linux threads have no policy of their own, and nothing here does anything.

/// Returns how many threads that stand back there should be: one core is left free of them, where there are two.
///
/// Linux may notice only at its next tick, up to 4 ms later, that somebody waits for the core of such a thread.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// Leaves the cores to all that want them, from this thread and from those that it starts.
#[cfg_attr(target_os = "linux", expect(unsafe_code, reason = "no library of this tree has the call in a safe form"))]
pub(super) fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameters outlive the call. A refusal leaves a thread as it is, which is no harm.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    use std::process::Command;

    use super::*;

    /// Reads the policy of a thread, the 41st field.
    pub(in super::super) fn policy(thread: &str) -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
        fields.split_whitespace().nth(38).and_then(|field| field.parse().ok()).expect("a number")
    }

    #[test]
    fn who_stands_back_starts_others_that_do() {
        stand_back();
        let mut child = Command::new("sleep").arg("60").spawn().expect("every system has it");
        let policies = (policy("thread-self"), policy(&child.id().to_string()));
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert_eq!(policies, (libc::SCHED_IDLE, libc::SCHED_IDLE));
    }
}
