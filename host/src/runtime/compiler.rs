//! Compiles in a process of its own, one component at a time, behind everything that serves.
//!
//! Whatever a component does to the compiler, it does to that process alone: its crash, its memory, its time and its
//! locks are not the host's. What it makes is kept as a file, by digest, and mapped into the host.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use wasmtime::Engine;

use super::compile::CompileError;
use super::engine::settings;
use super::priority;
use crate::names::ComponentDigest;

/// Longest wait for a compilation: the largest of the platform takes a second, and who is faster than this stays.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long the compiler gets only what others leave of the cores: on an idle machine it has ended by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far it stands back after that: as far as it can and still get on, about a fiftieth of a contended core.
const NICENESS: i32 = 19;

/// Memory that the compiler may take: a hundred times what the largest component of the platform needs.
const MEMORY: u64 = 4 << 30;

/// Code that is kept; what was not used for the longest time goes first.
const KEPT: u64 = 1 << 30;

/// Compilations from one look at what is kept to the next.
const PRUNE_EVERY: u32 = 32;

/// Longest error that is read from a compiler.
const ERROR_BYTES: u64 = 16 << 10;

/// Turns components into files of code.
pub(super) struct Compiler {
    program: PathBuf,
    folder: PathBuf,
    /// Tells code of this engine from that of others.
    engine: String,
    turn: Semaphore,
    compiled: AtomicU32,
}

/// A file that is being made, and its checksum; removed unless moved.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(checksum_of(&self.0));
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Compiler {
    /// Compiles with a program that understands [`compile_to`], for an engine, into a folder.
    pub(super) fn new(program: PathBuf, folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
        let engine = format!("{:016x}", std::hash::Hasher::finish(&hasher));
        Self { program, folder, engine, turn: Semaphore::new(1), compiled: AtomicU32::new(0) }
    }

    /// Returns the file where a component's code is, or will be.
    pub(super) fn file(&self, digest: ComponentDigest) -> PathBuf {
        let digest = digest.to_string();
        self.folder.join(format!("{}-{}.cwasm", digest.trim_start_matches("sha256:"), self.engine))
    }

    /// Compiles a component into its file.
    ///
    /// # Errors
    /// When the compiler refuses the bytes, breaks, or takes too long.
    pub(super) async fn compile(&self, digest: ComponentDigest, bytes: &Bytes) -> Result<(), CompileError> {
        let turn = tokio::time::timeout(TIMEOUT, self.turn.acquire()).await;
        let _turn = turn.map_err(|_| refused("the compiler is busy with others"))?;
        let file = self.file(digest);
        // Several hosts may share the folder: each writes a file of its own and moves it into place.
        let part = Part(file.with_extension(format!("{}.part", uuid::Uuid::now_v7())));
        let made = tokio::time::timeout(TIMEOUT, self.run(&part.0, bytes)).await;
        made.map_err(|_| refused("its compilation takes too long"))??;
        let moved = std::fs::rename(checksum_of(&part.0), checksum_of(&file));
        moved.and_then(|()| std::fs::rename(&part.0, &file)).map_err(unusable)?;
        if self.compiled.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_EVERY) {
            prune(&self.folder);
        }
        Ok(())
    }

    async fn run(&self, output: &Path, bytes: &[u8]) -> Result<(), CompileError> {
        let mut command = Command::new(&self.program);
        command.arg("compile").arg(output).kill_on_drop(true);
        // Cranelift's threads are rayon's.
        command.env("RAYON_NUM_THREADS", priority::threads().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(unusable)?;
        let (mut stdin, stderr) = (child.stdin.take().expect("piped"), child.stderr.take().expect("piped"));
        let feed = async move {
            // One that ends early says why on the other pipe.
            let _ = stdin.write_all(bytes).await;
        };
        let read = async move {
            let mut error = Vec::new();
            let mut stderr = stderr.take(ERROR_BYTES);
            let _ = stderr.read_to_end(&mut error).await;
            // A pipe that nobody reads would stop the compiler in the middle of its words.
            let _ = tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&error).into_owned()
        };
        let wait = async move {
            if let Ok(status) = tokio::time::timeout(PATIENCE, child.wait()).await {
                return status;
            }
            if let Some(process) = child.id() {
                priority::take_part(process);
            }
            child.wait().await
        };
        let ((), error, status) = tokio::join!(feed, read, wait);
        outcome(status.map_err(unusable)?, &error)
    }
}

fn outcome(status: ExitStatus, error: &str) -> Result<(), CompileError> {
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(1)) => Err(refused(error.trim())),
        _ => Err(refused(&format!("the compiler broke on it ({status})"))),
    }
}

fn refused(why: &str) -> CompileError {
    CompileError(wasmtime::Error::msg(why.to_owned()))
}

fn unusable(error: std::io::Error) -> CompileError {
    CompileError(wasmtime::Error::from(error).context("the compiler cannot be used"))
}

/// Compiles the component on standard input into a file: what the other process does.
///
/// # Errors
/// When the bytes are no component that this host can run, or the file cannot be written.
pub fn compile_to(output: &Path) -> Result<(), CompileError> {
    stand_back();
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(unusable)?;
    let engine = Engine::new(&settings()).map_err(CompileError)?;
    let code = engine.precompile_component(&bytes).map_err(CompileError)?;
    let checksum = checksum(ComponentDigest::of(&bytes), &code);
    std::fs::write(checksum_of(output), checksum).map_err(unusable)?;
    let mut file = std::fs::File::create_new(output).map_err(unusable)?;
    file.write_all(&code).map_err(unusable)
}

/// Says whether a file of code is there, as it was written, and for this component.
///
/// A power cut may take a file's bytes and leave its name, for files are not waited for: a checksum costs less than
/// a disk that serving has to share.
pub(super) fn is_whole(file: &Path, digest: ComponentDigest) -> bool {
    // Who was used last is kept longest.
    for used in [file, &checksum_of(file)] {
        let _ = std::fs::File::options().write(true).open(used).and_then(|used| used.set_modified(SystemTime::now()));
    }
    let (Ok(code), Ok(kept)) = (std::fs::read(file), std::fs::read(checksum_of(file))) else { return false };
    kept == checksum(digest, &code)
}

/// Ties code to the component that it was made of: code under another one's name is as bad as torn code.
fn checksum(digest: ComponentDigest, code: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(digest.to_string()).chain_update(code).finalize().into()
}

/// Returns the file of a file's checksum.
fn checksum_of(file: &Path) -> PathBuf {
    file.with_extension("sha256")
}

/// Bounds this process; refused only where a sandbox forbids it, and then the host's own clock still does.
fn stand_back() {
    let bound = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    let _ = rustix::process::nice(NICENESS);
    priority::stand_back();
    let _ = rustix::process::setrlimit(Resource::Data, bound(MEMORY));
    let _ = rustix::process::setrlimit(Resource::Cpu, bound(2 * TIMEOUT.as_secs()));
    let _ = rustix::process::setrlimit(Resource::Core, bound(0));
}

/// Removes what was not used for the longest time, as far as there is too much.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((meta.modified().ok()?, meta.len(), entry.path()))
        })
        .collect();
    files.sort_unstable_by(|left, right| right.cmp(left));
    let mut kept = 0;
    for (_, size, file) in files {
        kept += size;
        if kept > KEPT {
            // Code that is mapped lives on without its name.
            let _ = std::fs::remove_file(file);
        }
    }
}
