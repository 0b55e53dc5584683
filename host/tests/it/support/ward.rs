//! Ends what a test has started and removes its folder, also when the tests panic, are interrupted or are killed.
//!
//! A shell waits for the end of its input, whose other end this process holds: however the process ends, the system
//! closes that.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The folder, and the command that ends its server if there is one. Each line of input names the processes to kill,
/// instead of those of the line before.
const SCRIPT: &str = r#"
folder=$1
shift
while read -r line; do running=$line; done
[ -z "$running" ] || kill -KILL $running
[ $# -eq 0 ] || "$@"
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

/// What is left of processes and their folder ends when this is dropped, and with this process at the latest.
pub(crate) struct Ward {
    shell: Child,
}

impl Ward {
    /// Watches over a folder, before there is anything to end in it.
    pub(crate) fn of(folder: &Path) -> Self {
        Self::with(folder, None)
    }

    /// Watches over a folder with a server that a command ends.
    pub(crate) fn of_server(folder: &Path, stop: &Command) -> Self {
        Self::with(folder, Some(stop))
    }

    fn with(folder: &Path, stop: Option<&Command>) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "ward"]).arg(folder).env_remove("running");
        if let Some(stop) = stop {
            shell.arg(stop.get_program()).args(stop.get_args());
        }
        // In a group of its own: a terminal's Ctrl-C ends the tests and not this.
        shell.current_dir("/").process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { shell: shell.spawn().expect("a shell can be started") }
    }

    /// Names the processes that are to be killed, instead of those that were named before.
    pub(crate) fn runs(&mut self, processes: &[u32]) {
        let line = processes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let stdin = self.shell.stdin.as_mut().expect("it is open until this is dropped");
        // Called while tests panic, too: a shell that somebody has ended leaves things behind and is no second panic.
        let _ = writeln!(stdin, "{line}");
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
