//! What the benches that print a table have in common: the middle of some numbers, progress, and the machine.

use std::process::Command;

/// Returns the middle number, or the mean of the two that are; not a number when there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Says on the terminal what is being measured: it takes minutes.
#[expect(clippy::print_stderr, reason = "progress, apart from the table on stdout")]
pub(crate) fn say(what: &str) {
    eprintln!("{what} …");
}

/// Names the machine and the build, as far as the system tells.
pub(crate) fn machine() -> String {
    let unknown = || "unknown".to_owned();
    let cores = std::thread::available_parallelism().map_or_else(|_| unknown(), |cores| cores.to_string());
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let infos = text("/proc/cpuinfo");
    let model = infos.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = text("/proc/sys/kernel/osrelease");
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.map_or_else(unknown, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let assertions = if cfg!(debug_assertions) { "on: not comparable" } else { "off" };
    [
        format!("- cores: {cores} ({model})"),
        format!("- kernel: {} {}", std::env::consts::OS, kernel.trim()),
        format!("- build: {rustc}, profile `bench`, which inherits `release`; debug assertions {assertions}"),
    ]
    .join("\n")
}
