//! Makes components for services that nobody asks: copies of the fixture `hello`, or ones that only have routes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use wasm_encoder::{ComponentSection as _, CustomSection};

use super::{root, tiny};

/// What the fixture's route, its interface and its greeting are called.
const NAME: &[u8] = b"hello";

/// The fixture, and the components of further services beside it.
pub(crate) struct Copies {
    fixture: Vec<u8>,
    wit: String,
    folder: PathBuf,
    /// How many of the further services are copies of the fixture.
    whole: u32,
}

impl Copies {
    /// Reads the fixture; a number of copies of it come first, and after them components that only have routes.
    pub(crate) fn new(folder: &Path, whole: u32) -> anyhow::Result<Self> {
        let file = fixture();
        let unread = || format!("cannot read {}, built by `make bench-scale`", file.display());
        let fixture = std::fs::read(&file).with_context(unread)?;
        let wit = std::fs::read_to_string(root().join("wit/platform/service.wit"))?;
        let folder = folder.join("components");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { fixture, wit, folder, whole })
    }

    /// Says what a number of services are made of, besides the one that is asked.
    pub(crate) fn describe(&self, services: u32) -> String {
        let others = services - 1;
        let whole = others.min(self.whole);
        match others - whole {
            0 => format!("{whole} copies"),
            bare => format!("{whole} copies, {bare} with routes only"),
        }
    }

    /// Returns the file of the component of a further service, made when it is missing.
    pub(crate) fn file(&self, number: u32) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(format!("{number}.wasm"));
        if !file.exists() {
            let bytes = if number <= self.whole {
                renamed(&self.fixture, number)?
            } else {
                tiny::component(&self.wit, &format!("/{}/", word(number)))?
            };
            std::fs::write(&file, bytes)?;
        }
        Ok(file)
    }

    /// Makes the fixture anew, with other bytes: the cache's key is the digest of all of them.
    pub(crate) fn changed(&self, number: u32) -> Vec<u8> {
        let number = number.to_le_bytes();
        let section = CustomSection { name: "variant".into(), data: number.as_slice().into() };
        let mut bytes = self.fixture.clone();
        section.append_to_component(&mut bytes);
        bytes
    }
}

/// Returns the file of the fixture.
pub(crate) fn fixture() -> PathBuf {
    root().join("target/fixtures/fixture_hello.wasm")
}

/// Calls the fixture's route and interface something else that is as long, so that nothing moves in the component.
///
/// It describes itself, and has the memory, the code and the exports of the fixture. Its operations are compared with
/// constants in its code, which keep their name: nobody may ask it for one.
fn renamed(fixture: &[u8], number: u32) -> anyhow::Result<Vec<u8>> {
    let word = word(number);
    let mut bytes = fixture.to_vec();
    let mut places = 0;
    let mut at = 0;
    while at + NAME.len() <= bytes.len() {
        if bytes[at..].starts_with(NAME) {
            bytes[at..at + NAME.len()].copy_from_slice(word.as_bytes());
            places += 1;
            at += NAME.len();
        } else {
            at += 1;
        }
    }
    ensure!(places > 0, "{} does not hold its name", self::fixture().display());
    Ok(bytes)
}

/// Returns a word of five letters, different for each number.
fn word(number: u32) -> String {
    let mut rest = number;
    let mut letters = [b'a'; 4];
    for letter in letters.iter_mut().rev() {
        *letter += u8::try_from(rest % 26).expect("less than 26");
        rest /= 26;
    }
    format!("q{}", letters.map(char::from).iter().collect::<String>())
}
