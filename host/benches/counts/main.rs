//! Counts the instructions of what a request and a change of the services are made of, and compares them with what
//! was counted before: on one machine they are the same from run to run, however busy it is.
//!
//! This program prepares the data, then runs itself under valgrind's callgrind, which collects only what the pieces do
//! on their own thread (see `pieces`). `--update` writes the baseline; without it, a growth over 3 % is an error. The
//! baseline counts only for the compiler, the valgrind and the kind of processor that it names.
//!
//! Guests are not counted. They are interrupted by a clock, and under valgrind one takes longer than a tick: how often
//! it is looked at depends on the machine. `micro` times them.
//!
//! Not here: the data (see `rooms`), running valgrind and reading what it writes (see `valgrind`), the comparison (see
//! `baseline`).

mod baseline;
mod pieces;
mod rooms;
#[path = "../micro/tiny.rs"]
mod tiny;
mod valgrind;

use std::path::{Path, PathBuf};

use self::baseline::Baseline;
use self::pieces::Pieces;
use self::rooms::{Rooms, Services};

/// As in the host: what is counted makes hundreds of small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The argument by which this program runs the pieces, on data in the folder that follows.
const PIECES: &str = "--pieces";

/// The argument by which the baseline is written.
const UPDATE: &str = "--update";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = &arguments[..]
        && mode == PIECES
    {
        Pieces::of(&Rooms::open(Path::new(folder), Services::Stored)?)?.run();
        return Ok(());
    }
    let valgrind = match valgrind::version() {
        Ok(version) => version,
        Err(why) => {
            say(&format!("nothing was counted: {why}"));
            return Ok(());
        }
    };
    // Natively, and once: components are made and compiled, and the registry is filled.
    let folder = tempfile::tempdir()?;
    Rooms::open(folder.path(), Services::Made)?.close();
    let counts = valgrind::count(folder.path())?;
    let counted = Baseline::new(&valgrind, counts);
    let file = root().join("host/benches/counts/baseline.txt");
    if arguments.iter().any(|argument| argument == UPDATE) {
        counted.write(&file)?;
        say(&format!("{counted}\nwritten to {}", file.display()));
        return Ok(());
    }
    counted.compare(&file)
}

#[expect(clippy::print_stdout, reason = "the bench's one output")]
fn say(text: &str) {
    println!("{text}");
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ lies in the root").to_owned()
}
