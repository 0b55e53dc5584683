//! Grants hashing and checking passwords with argon2id; see `wit/platform/passwords.wit`.
//!
//! Native, because a guest would take ten times as long; on blocking threads, a few at a time, because each takes
//! a core for tens of milliseconds and 19 MiB.

use std::sync::Arc;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, Params};
use tokio::sync::Semaphore;
use wasmtime::component::{HasData, Linker};

use super::Denied;
use crate::bindings::provesi::platform::passwords as wit;

/// Longest password that is hashed: argon2 reads all of it.
const MAX_PASSWORD: usize = 4096;

/// Longest hash that is read; the host's own have a hundred bytes.
const MAX_HASH: usize = 512;

/// The most that checking a hash may cost; the host's own take 19 MiB, 2 rounds and 1 lane.
const MAX_MEMORY_KIB: u32 = 64 << 10;
const MAX_ROUNDS: u32 = 10;
const MAX_LANES: u32 = 4;

/// The workers that hash, shared by all services.
pub struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// The workers, for a service that has the grant.
#[derive(Default)]
pub struct PasswordsCtx {
    hasher: Option<Arc<Hasher>>,
}

/// The context of one instance, borrowed for one call.
pub struct PasswordsView<'a> {
    ctx: &'a mut PasswordsCtx,
}

/// Adds the interface to a linker.
///
/// # Errors
/// When it is there already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> PasswordsView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasPasswords>(linker, view)
}

struct HasPasswords;

impl HasData for HasPasswords {
    type Data<'a> = PasswordsView<'a>;
}

// === impl Hasher ===

impl Hasher {
    /// Runs a number of hashes at once and lets as many wait as the queue holds.
    pub fn new(concurrency: usize, queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(concurrency.max(1))),
            admitted: Arc::new(Semaphore::new(concurrency.max(1) + queue)),
        }
    }

    async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R, wit::Error> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| wit::Error::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| wit::Error::Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            // The permits belong to the work, which goes on when the caller has gone.
            let _held = (admitted, running);
            work()
        });
        task.await.map_err(|_| wit::Error::Busy)
    }
}

// === impl PasswordsCtx ===

impl PasswordsCtx {
    /// Grants the workers; none while a component is described.
    pub fn new(hasher: Option<Arc<Hasher>>) -> Self {
        Self { hasher }
    }

    fn hasher(&self) -> Result<Arc<Hasher>, Denied> {
        self.hasher.clone().ok_or(Denied("passwords"))
    }
}

// === impl PasswordsView ===

impl<'a> PasswordsView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut PasswordsCtx) -> Self {
        Self { ctx }
    }
}

impl wit::Host for PasswordsView<'_> {
    async fn hash(&mut self, password: String) -> wasmtime::Result<Result<String, wit::Error>> {
        let hasher = self.ctx.hasher()?;
        if password.len() > MAX_PASSWORD {
            return Ok(Err(wit::Error::InvalidHash));
        }
        let hash = move || {
            let salt = SaltString::generate(&mut OsRng);
            Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())
        };
        Ok(match hasher.run(hash).await {
            Ok(hashed) => hashed.map_err(|_| wit::Error::InvalidHash),
            Err(error) => Err(error),
        })
    }

    async fn verify(&mut self, password: String, hash: String) -> wasmtime::Result<Result<wit::Outcome, wit::Error>> {
        let hasher = self.ctx.hasher()?;
        if password.len() > MAX_PASSWORD {
            return Ok(Ok(wit::Outcome::Mismatch));
        }
        let verify = move || {
            let parsed = affordable(&hash).ok_or(wit::Error::InvalidHash)?;
            let matches = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(if matches { wit::Outcome::Match } else { wit::Outcome::Mismatch })
        };
        Ok(hasher.run(verify).await.flatten())
    }
}

/// Reads a hash that costs no more than the host's own by much: a hash says what it costs, and who wrote it may be
/// anybody.
fn affordable(hash: &str) -> Option<PasswordHash<'_>> {
    let parsed = PasswordHash::new(hash).ok().filter(|_| hash.len() <= MAX_HASH)?;
    let costs = Params::try_from(&parsed).ok()?;
    let is_affordable = costs.m_cost() <= MAX_MEMORY_KIB && costs.t_cost() <= MAX_ROUNDS && costs.p_cost() <= MAX_LANES;
    is_affordable.then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit::Host as _;

    fn ctx(hasher: Hasher) -> PasswordsCtx {
        PasswordsCtx::new(Some(Arc::new(hasher)))
    }

    #[tokio::test]
    async fn nothing_is_hashed_without_the_grant() {
        let mut ctx = PasswordsCtx::default();
        let mut view = PasswordsView::new(&mut ctx);
        let hashed = view.hash("secreto".to_owned()).await.map(drop);
        for ended in [hashed, view.verify("secreto".to_owned(), "$argon2id$".to_owned()).await.map(drop)] {
            let error = ended.expect_err("nobody answers");
            assert_eq!(error.downcast_ref::<Denied>().map(Denied::capability), Some("passwords"), "{error:#}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let hasher = Hasher::new(1, 0);
        let held = Arc::clone(&hasher.admitted).try_acquire_owned().expect("the only place");
        let mut ctx = ctx(hasher);
        let answer = PasswordsView::new(&mut ctx).hash("secreto".to_owned()).await.expect("no trap");
        assert!(matches!(answer, Err(wit::Error::Busy)));
        drop(held);
        assert!(PasswordsView::new(&mut ctx).hash("secreto".to_owned()).await.expect("no trap").is_ok());
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let mut ctx = ctx(Hasher::new(1, 1));
        let mut view = PasswordsView::new(&mut ctx);
        let hash = view.hash("secreto".to_owned()).await.expect("no trap").expect("hashed");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let good = view.verify("secreto".to_owned(), hash.clone()).await.expect("no trap");
        assert!(matches!(good, Ok(wit::Outcome::Match)));
        let bad = view.verify("Secreto".to_owned(), hash).await.expect("no trap");
        assert!(matches!(bad, Ok(wit::Outcome::Mismatch)));
        for broken in [
            "plain",
            "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=16777216,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=64,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=8192,t=1,p=1024$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            let answer = view.verify("secreto".to_owned(), broken.to_owned()).await.expect("no trap");
            assert!(matches!(answer, Err(wit::Error::InvalidHash)), "{broken}");
        }
    }
}
