//! Kept code: at a start, what is not as it was written, or not of its component, is compiled anew; the rest is not.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::support::{Backend, Process, root, send};
use serde_json::json;

const SERVICES: [&str; 4] = ["auth", "products", "inventory", "orders"];

/// A file of code and the one of its checksum.
struct Kept {
    code: PathBuf,
    checksum: PathBuf,
}

impl Kept {
    /// Finds what a host keeps of a service, by the digest of its component.
    fn of(process: &Process, service: &str) -> Self {
        let component = std::fs::read(root().join(format!("target/components/{service}.wasm")));
        let digest = hex::encode(Sha256::digest(component.expect("the components are built before the tests")));
        let entries = std::fs::read_dir(process.own_cache()).expect("the host keeps code");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let is_code = |file: &PathBuf| {
            let name = file.file_name().expect("a name").to_string_lossy();
            name.starts_with(&digest) && name.ends_with(".cwasm")
        };
        let found: Vec<PathBuf> = files.filter(is_code).collect();
        let [code] = &found[..] else { panic!("the code of {service} is kept once, not as {found:?}") };
        Self { code: code.clone(), checksum: code.with_extension("sha256") }
    }
}

/// Says which file it is: what is compiled anew is moved into its place, and is another one.
fn inode(file: &Path) -> u64 {
    std::fs::metadata(file).expect("the file is there").ino()
}

/// Exchanges what two files hold.
fn swap(one: &Path, other: &Path) {
    let read = |file: &Path| std::fs::read(file).expect("the file is there");
    let (first, second) = (read(one), read(other));
    assert_ne!(first, second, "nothing would be exchanged");
    std::fs::write(one, second).expect("the file is written");
    std::fs::write(other, first).expect("the file is written");
}

/// Damages what a killed host keeps, and checks that the next start compiles the code of these services anew, and of
/// no other, and serves all.
async fn is_made_good(process: &mut Process, damaged: &[&str], damage: impl FnOnce(&[Kept])) {
    process.kill9();
    let kept = SERVICES.map(|service| Kept::of(process, service));
    let chosen: Vec<Kept> = damaged.iter().map(|service| Kept::of(process, service)).collect();
    damage(&chosen);
    let before = kept.each_ref().map(|kept| inode(&kept.code));
    process.start_again().await;
    for ((service, kept), before) in SERVICES.iter().zip(&kept).zip(before) {
        let is_new = inode(&kept.code) != before;
        assert_eq!(is_new, damaged.contains(service), "{service}, while {damaged:?} are damaged");
    }
    serves(process).await;
}

/// Checks that all services answer, each as itself.
async fn serves(process: &Process) {
    let operario = process.token("operario").await;
    let product = send(process.request("GET", "/api/products/1/")).await;
    assert_eq!((product.status, &product.body["sku"]), (200, &json!("CSI-001")), "{:?}", product.body);
    let order = json!({ "units": 1, "lat": 4.711, "lon": -74.072 });
    let order = process.request("POST", "/api/orders/Casco%20de%20Seguridad/").bearer_auth(&operario).json(&order);
    let placed = send(order).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_or_damaged_code_is_compiled_anew_at_the_next_start() {
    let mut process = Process::start_with_own_cache(Backend::Sqlite).await.expect("SQLite needs nothing");
    is_made_good(&mut process, &[], |_| ()).await;
    let flip = |file: &Path| {
        let mut bytes = std::fs::read(file).expect("the file is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(file, bytes).expect("the file is written");
    };
    is_made_good(&mut process, &["products"], |kept| flip(&kept[0].code)).await;
    is_made_good(&mut process, &["orders"], |kept| flip(&kept[0].checksum)).await;
    let cut = |file: &Path, length: u64| {
        let file = std::fs::File::options().write(true).open(file).expect("the file is there");
        file.set_len(length).expect("the file is cut");
    };
    is_made_good(&mut process, &["auth", "inventory"], |kept| {
        let length = std::fs::metadata(&kept[0].code).expect("the file is there").len();
        cut(&kept[0].code, length / 2);
        cut(&kept[1].code, 0);
    })
    .await;
    is_made_good(&mut process, &["products", "orders"], |kept| {
        cut(&kept[0].checksum, 0);
        std::fs::remove_file(&kept[1].checksum).expect("the file is there");
    })
    .await;
    is_made_good(&mut process, &[], |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_under_the_name_of_another_component_is_not_run() {
    let mut process = Process::start_with_own_cache(Backend::Sqlite).await.expect("SQLite needs nothing");
    is_made_good(&mut process, &["products", "orders"], |kept| swap(&kept[0].code, &kept[1].code)).await;
    // With its checksum it is as whole as it was, and still another's.
    is_made_good(&mut process, &["products", "orders"], |kept| {
        swap(&kept[0].code, &kept[1].code);
        swap(&kept[0].checksum, &kept[1].checksum);
    })
    .await;
}
