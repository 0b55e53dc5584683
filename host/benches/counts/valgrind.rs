//! Runs this program under callgrind and reads what that writes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::PIECES;
use super::pieces::{COLLECTED, COUNTED};

/// Returns its name and version.
///
/// # Errors
/// Says why nothing can be counted on this machine.
pub(crate) fn version() -> Result<String, &'static str> {
    let output = Command::new("valgrind").arg("--version").output().ok().filter(|output| output.status.success());
    let output = output.ok_or("valgrind is not installed")?;
    // Components are compiled outside of it, for the processor that is there.
    let infos = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if infos.split_whitespace().any(|flag| flag.starts_with("avx512")) {
        return Err("valgrind knows no AVX-512, which compiled components use on this processor");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Counts the instructions of each piece, once, on data in a folder.
pub(crate) fn count(folder: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let parts = folder.join("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", parts.display()));
    // Only within that function, on its thread; and one file for each time that this one returns.
    command.arg(format!("--toggle-collect={COUNTED}")).arg(format!("--dump-after={COLLECTED}"));
    command.arg(std::env::current_exe()?).arg(PIECES).arg(folder);
    let output = command.stdin(Stdio::null()).output().context("valgrind cannot be started")?;
    let (names, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the pieces ended with {} under valgrind:\n{errors}", output.status);
    let mut counts = Vec::new();
    for (number, line) in names.lines().enumerate() {
        let (times, name) = line.split_once(' ').with_context(|| format!("{line:?} is no piece"))?;
        let times: u64 = times.parse().with_context(|| format!("{line:?} is no piece"))?;
        let part = folder.join(format!("callgrind.{}", number + 1));
        let text = std::fs::read_to_string(&part).with_context(|| format!("callgrind wrote nothing for {name:?}"))?;
        let total = total(&text).with_context(|| format!("callgrind wrote no total for {name:?}"))?;
        ensure!(total > times, "callgrind collected nothing for {name:?}: are its symbols stripped?");
        counts.push((name.to_owned(), total / times));
    }
    ensure!(!counts.is_empty(), "there were no pieces:\n{errors}");
    Ok(counts)
}

/// Finds the sum of a file of callgrind.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
