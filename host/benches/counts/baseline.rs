//! What was counted, as a file to commit: where it counts, then one line a piece.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::say;

/// Growth of a piece that is an error.
const GROWTH: f64 = 0.03;

/// Counts, and what they depend on besides the code.
pub(crate) struct Baseline {
    /// Compiler, valgrind and processor: with others, the same code has other counts.
    made_with: String,
    counts: Vec<(String, u64)>,
}

impl Baseline {
    /// Takes what was counted now.
    pub(crate) fn new(valgrind: &str, counts: Vec<(String, u64)>) -> Self {
        let rustc = Command::new("rustc").arg("--version").output().ok();
        let rustc = rustc.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        // Cryptography and searches take the widest vectors that there are; valgrind 3.19 knows none wider.
        let infos = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let wide = if infos.split_whitespace().any(|flag| flag == "avx2") { " with avx2" } else { "" };
        Self { made_with: format!("{rustc}, {valgrind}, {}{wide}", std::env::consts::ARCH), counts }
    }

    /// Writes it to a file.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        std::fs::write(file, format!("{self}\n")).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Compares it with a file, if that is there and was made with the same tools.
    ///
    /// # Errors
    /// When a piece has grown; the error names it.
    pub(crate) fn compare(&self, file: &Path) -> anyhow::Result<()> {
        let Some(before) = std::fs::read_to_string(file).ok().as_deref().and_then(Self::read) else {
            say(&format!("{self}\n\nthere is no baseline: `make counts UPDATE=1` writes {}", file.display()));
            return Ok(());
        };
        if before.made_with != self.made_with {
            say(&format!("{self}\n\nnot compared: the baseline was made with {}", before.made_with));
            return Ok(());
        }
        let mut known: BTreeMap<&str, u64> = before.counts.iter().map(|(name, count)| (&name[..], *count)).collect();
        let mut grown = Vec::new();
        for (name, now) in &self.counts {
            let Some(then) = known.remove(&name[..]) else {
                say(&format!("{now:>10}  new       {name}"));
                continue;
            };
            let growth = growth(then, *now);
            say(&format!("{now:>10}  {:+7.2} %  {name}", growth * 100.0));
            if growth > GROWTH {
                grown.push(format!("{name}: {then} → {now} instructions ({:+.1} %)", growth * 100.0));
            }
        }
        for name in known.keys() {
            say(&format!("         –  gone      {name}"));
        }
        if !grown.is_empty() {
            let why = "if that is wanted, `make counts UPDATE=1` writes the new baseline";
            bail!("grown by more than {} %; {why}:\n  {}", GROWTH * 100.0, grown.join("\n  "));
        }
        Ok(())
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let made_with = lines.next()?.strip_prefix("# ")?.to_owned();
        let count = |line: &str| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        Some(Self { made_with, counts: lines.filter_map(count).collect() })
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "# {}", self.made_with)?;
        self.counts.iter().try_for_each(|(name, count)| write!(f, "\n{name} {count}"))
    }
}

/// Returns by what part of itself a count has grown; negative when it has become less.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn growth(then: u64, now: u64) -> f64 {
    now as f64 / then.max(1) as f64 - 1.0
}
