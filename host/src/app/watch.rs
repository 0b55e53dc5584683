//! Deploys a service again when the file of its component changes (`serve --watch`).
//!
//! A refusal is logged by the registry and shown there; the old revision serves on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::ServiceConfig;
use crate::names::{ComponentDigest, ServiceName};
use crate::registry::{Activation, Actor, Registry};

/// A file that is written in pieces is whole when nothing has come for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest wait for that: a folder in which something is always being written must not keep a component from serving.
const SETTLE_AT_MOST: Duration = Duration::from_secs(2);

/// Changed paths that may wait; further ones are of files that are waiting already.
const WAITING: usize = 1024;

/// The watched files.
pub(super) struct Watch {
    files: BTreeMap<PathBuf, ServiceName>,
    /// Locked by whoever follows, all the time.
    changed: Mutex<mpsc::Receiver<PathBuf>>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the component files of the configured services.
    ///
    /// # Errors
    /// When the system cannot watch one of their folders.
    pub(super) fn start(services: &BTreeMap<ServiceName, ServiceConfig>) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = BTreeSet::new();
        for (name, service) in services {
            let file = std::fs::canonicalize(&service.component)
                .with_context(|| format!("cannot watch {}", service.component.display()))?;
            folders.insert(file.parent().unwrap_or(Path::new("/")).to_owned());
            files.insert(file, name.clone());
        }
        let (sender, changed) = mpsc::channel(WAITING);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A full channel holds the same few files many times over.
            for path in event.map(|event| event.paths).unwrap_or_default() {
                let _ = sender.try_send(path);
            }
        })?;
        for folder in folders {
            // The folder, not the file: builds replace a file by renaming another one over it.
            watcher
                .watch(&folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Self { files, changed: Mutex::new(changed), _watcher: watcher })
    }

    /// Deploys what changes, until told to stop.
    pub(super) async fn follow(&self, registry: &Registry, stop: &CancellationToken) {
        let mut changed = self.changed.lock().await;
        while let Some(Some(first)) = stop.run_until_cancelled(changed.recv()).await {
            let mut paths = BTreeSet::from([first]);
            let settled = async {
                while let Ok(Some(next)) = tokio::time::timeout(SETTLE, changed.recv()).await {
                    paths.insert(next);
                }
            };
            let _ = tokio::time::timeout(SETTLE_AT_MOST, settled).await;
            for path in paths {
                if let Some(service) = self.files.get(&path) {
                    deploy(registry, service, &path).await;
                }
            }
        }
    }
}

async fn deploy(registry: &Registry, service: &ServiceName, path: &Path) {
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        // It is just being replaced; the new one will be told, too.
        Err(error) => return tracing::debug!(path = %path.display(), %error, "cannot read a changed component"),
    };
    let digest = ComponentDigest::of(&bytes);
    let live = registry.snapshot().service(service).map(|live| live.newest().digest());
    if live != Some(digest) {
        // Both outcomes were logged by the registry.
        let _ = registry.deploy(service, bytes.into(), Activation::Whole, &Actor::host("watch")).await;
    }
}
