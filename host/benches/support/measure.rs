//! What the benches that print a table have in common: the middle and the range of some numbers, progress, the machine,
//! and where the table goes.

use std::path::Path;
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

/// Returns the least and the most of some numbers.
pub(crate) fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    values.into_iter().fold(none, |(least, most), value| (least.min(value), most.max(value)))
}

/// Writes a table to a file and to the terminal.
#[expect(clippy::print_stdout, reason = "the bench's one output")]
pub(crate) fn publish(table: &str, file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, table)?;
    println!("{table}");
    Ok(())
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
