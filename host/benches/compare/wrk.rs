//! Runs `wrk` and reads what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Longest wait for one answer; what takes longer counts as failed.
const TIMEOUT: &str = "10s";

/// What clients saw in one run.
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Requests without an answer, or with one that is neither 2xx nor 3xx.
    pub(crate) failed: f64,
}

/// Returns its name and version; none when it is not installed.
pub(crate) fn version() -> Option<String> {
    // It shows its version with its usage, and then ends with an error.
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.starts_with("wrk "))?;
    Some(line.split(" [").next().unwrap_or(line).to_owned())
}

/// Writes the script that makes `wrk` send a kind of request.
pub(crate) fn script(folder: &Path, method: &str, token: Option<&str>, body: &str) -> anyhow::Result<PathBuf> {
    let mut text = format!("wrk.method = \"{method}\"\n");
    if let Some(token) = token {
        text += &format!("wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n");
    }
    if !body.is_empty() {
        text += &format!("wrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [[{body}]]\n");
    }
    let file = folder.join("request.lua");
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Asks for a while.
pub(crate) fn run(script: &Path, url: &str, connections: u32, seconds: u32) -> anyhow::Result<Run> {
    // With the server on the same cores, more threads than two would only take them away from it.
    let threads = connections.min(2);
    let mut command = Command::new("wrk");
    command.args(["--latency", "--timeout", TIMEOUT]);
    command.args(["--threads", &threads.to_string(), "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(script).arg(url);
    let output = command.output().context("wrk cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "wrk ended with {}: {errors}", output.status);
    read(&text).with_context(|| format!("wrk printed what is not understood:\n{text}"))
}

/// Reads the report.
fn read(text: &str) -> Option<Run> {
    let mut run = Run { requests: 0.0, per_second: f64::NAN, p50_ms: f64::NAN, p99_ms: f64::NAN, failed: 0.0 };
    for line in text.lines().map(str::trim) {
        if let Some((requests, _)) = line.split_once(" requests in ") {
            run.requests = requests.parse().ok()?;
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            run.per_second = rate.trim().parse().ok()?;
        } else if let Some(time) = line.strip_prefix("50%") {
            run.p50_ms = milliseconds(time.trim())?;
        } else if let Some(time) = line.strip_prefix("99%") {
            run.p99_ms = milliseconds(time.trim())?;
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            run.failed += count.trim().parse::<f64>().ok()?;
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            // "connect 0, read 0, write 0, timeout 0"
            let counts = counts.split(',').filter_map(|part| part.trim().rsplit_once(' ')?.1.parse::<f64>().ok());
            run.failed += counts.sum::<f64>();
        }
    }
    (run.per_second.is_finite() && run.p50_ms.is_finite() && run.p99_ms.is_finite()).then_some(run)
}

fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|number| number * factor);
        }
    }
    None
}
