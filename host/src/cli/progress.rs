//! Shows on a terminal how far a deploy is: a bar for the upload, then a spinner for each step of the host.
//!
//! Drawn on standard error, and only if that is a terminal; elsewhere nothing is written.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// The progress of one upload.
pub(super) struct Progress {
    bar: ProgressBar,
    step: Option<String>,
}

impl Progress {
    /// Starts with an upload of `bytes`; `quiet` shows nothing.
    pub(super) fn start(bytes: u64, quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
        bar.set_style(style("  upload  [{bar:30}] {bytes} of {total_bytes}").progress_chars("=> "));
        Self { bar, step: None }
    }

    /// Returns the bar, which counts the bytes that were sent.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Returns whether anything is shown.
    pub(super) fn visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Shows the step that begins; the one before it is done.
    pub(super) fn step(&mut self, name: String) {
        if self.step.is_none() {
            self.bar.set_style(style("  {spinner} {msg}"));
            self.bar.enable_steady_tick(TICK);
        }
        self.leave("✓");
        self.bar.set_message(name.clone());
        self.step = Some(name);
    }

    /// Ends with the last step done or failed.
    pub(super) fn finish(mut self, done: bool) {
        self.leave(if done { "✓" } else { "✗" });
        self.bar.finish_and_clear();
    }

    fn leave(&mut self, sign: &str) {
        if let Some(step) = self.step.take() {
            self.bar.println(format!("  {sign} {step}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are written above and parse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses_and_a_quiet_progress_shows_nothing() {
        let mut progress = Progress::start(10, true);
        assert!(!progress.visible());
        progress.step("compile".to_owned());
        progress.step("link".to_owned());
        assert_eq!(progress.step.as_deref(), Some("link"));
        progress.finish(true);
    }
}
