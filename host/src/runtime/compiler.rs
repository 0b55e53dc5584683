//! Compiles in a process of its own, one component at a time, behind everything that serves as long as that will do.
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

/// How long the compiler gets only what others leave of the cores. Where that was not enough, it begins anew at their
/// side: a process may not raise its own priority, and a busy host is when a deploy may be what helps.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest wait for one that was killed: it needs a core to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How far it stands back then: it gets about a tenth of a contended core.
const NICENESS: i32 = 10;

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
    patience: Duration,
    folder: PathBuf,
    /// Tells code of this engine from that of others.
    engine: String,
    turn: Semaphore,
    compiled: AtomicU32,
}

/// How a compilation gets at the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It gets what others leave.
    Behind,
    /// It gets a part, a small one.
    Beside,
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
        Self { program, folder, engine, patience: PATIENCE, turn: Semaphore::new(1), compiled: AtomicU32::new(0) }
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
        let part = match self.attempt(Place::Behind, self.patience, &file, bytes).await? {
            Some(part) => part,
            None => self
                .attempt(Place::Beside, TIMEOUT.saturating_sub(self.patience), &file, bytes)
                .await?
                .ok_or_else(|| refused("its compilation takes too long"))?,
        };
        let moved = std::fs::rename(checksum_of(&part.0), checksum_of(&file));
        moved.and_then(|()| std::fs::rename(&part.0, &file)).map_err(unusable)?;
        if self.compiled.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_EVERY) {
            prune(&self.folder);
        }
        Ok(())
    }

    /// Makes the code in a file of its own, for several hosts may share the folder; none when that takes too long.
    async fn attempt(
        &self,
        place: Place,
        within: Duration,
        file: &Path,
        bytes: &[u8],
    ) -> Result<Option<Part>, CompileError> {
        let part = Part(file.with_extension(format!("{}.part", uuid::Uuid::now_v7())));
        let mut command = Command::new(&self.program);
        command.arg("compile").args((place == Place::Beside).then_some("--beside")).arg(&part.0).kill_on_drop(true);
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
        let run = async { tokio::join!(feed, read, child.wait()) };
        if let Ok(((), error, status)) = tokio::time::timeout(within, run).await {
            return outcome(status.map_err(unusable)?, &error).map(|()| Some(part));
        }
        // Before the next begins: its memory, and a file that it may be about to make.
        let _ = child.start_kill();
        let _ = tokio::time::timeout(KILL_TIMEOUT, child.wait()).await;
        Ok(None)
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
pub fn compile_to(place: Place, output: &Path) -> Result<(), CompileError> {
    stand_back(place);
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
fn stand_back(place: Place) {
    let bound = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    match place {
        Place::Behind => priority::stand_back(),
        Place::Beside => {
            let _ = rustix::process::nice(NICENESS);
        }
    }
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A compiler that notes how it was started, and is as the script says.
    fn compiler(folder: &Path, script: &str) -> Compiler {
        let program = folder.join("compiler");
        let script = format!("#!/bin/sh\necho \"$1 $2\" | cut -d/ -f1 >> {}/started\n{script}\n", folder.display());
        std::fs::write(&program, script).expect("writes");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its own file");
        let engine = Engine::new(&settings()).expect("an engine");
        Compiler::new(program, folder.to_owned(), &engine)
    }

    fn started(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("started")).expect("it was")
    }

    #[tokio::test]
    async fn who_gets_nothing_behind_others_begins_anew_beside_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"[ "$2" = --beside ] || exec sleep 60; echo code > "$3"; echo sum > "${3%.part}.sha256""#;
        let compiler = Compiler { patience: Duration::from_secs(2), ..compiler(folder.path(), script) };
        let bytes = Bytes::from_static(b"a component");
        let digest = ComponentDigest::of(&bytes);
        compiler.compile(digest, &bytes).await.expect("the second attempt ends");
        assert_eq!(started(folder.path()), "compile \ncompile --beside\n");
        assert_eq!(std::fs::read_to_string(compiler.file(digest)).expect("the code"), "code\n");
        let parts = std::fs::read_dir(folder.path()).expect("a folder").filter_map(Result::ok);
        let left = parts.filter(|entry| entry.path().extension().is_some_and(|end| end == "part")).count();
        assert_eq!(left, 0, "nothing is left of the first");
    }

    #[tokio::test]
    async fn who_is_refused_behind_others_is_not_asked_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let compiler = compiler(folder.path(), "echo no component >&2; exit 1");
        let bytes = Bytes::from_static(b"a text");
        let refused = compiler.compile(ComponentDigest::of(&bytes), &bytes).await.expect_err("it is refused");
        assert_eq!(refused.reason(), "no component");
        assert_eq!(started(folder.path()), "compile \n");
    }
}
