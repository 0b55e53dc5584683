//! Components that behave the same and are not the same: an appended custom section changes only the digest, and a
//! script in place of another one of products changes only its migrations.

use sha2::{Digest as _, Sha256};

use crate::support::root;
pub(super) use crate::support::variant;

/// Reads the component of a service as it was built.
pub(super) fn component(service: &str) -> Vec<u8> {
    let file = root().join(format!("target/components/{service}.wasm"));
    std::fs::read(file).expect("the components are built before the tests")
}

/// Name of the migration of products that gives way to another one.
const GIVES_WAY: &str = "0001_catalogue";

/// Makes products with a migration that no other has: it leaves the table `more_<number>`.
///
/// It takes the place of the first one, which has long been applied.
pub(super) fn migrating(products: &[u8], number: u64) -> Vec<u8> {
    assert!((1000..10_000).contains(&number), "a migration's name keeps its length: {number}");
    let mut bytes = products.to_vec();
    replace(&mut bytes, GIVES_WAY, &format!("{number}_catalogue"));
    for dialect in ["sqlite", "postgres"] {
        let file = root().join(format!("migrations/products/{dialect}/{GIVES_WAY}.sql"));
        let script = std::fs::read_to_string(file).expect("the script that is in the component");
        replace(&mut bytes, &script, &format!("CREATE TABLE more_{number} (id INTEGER PRIMARY KEY);"));
    }
    bytes
}

/// Writes a text over another one, filled with spaces to its length.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    let [start] = places[..] else { panic!("{from:?} is in the component {} times", places.len()) };
    let to = format!("{to:<width$}", width = from.len());
    assert_eq!(to.len(), from.len(), "only a shorter text fits over {from:?}");
    bytes[start..start + to.len()].copy_from_slice(to.as_bytes());
}

/// Computes a digest as the host writes it, by other means than the host's.
pub(super) fn digest(component: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(component)))
}
