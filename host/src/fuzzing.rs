//! What the fuzz targets call: arbitrary bytes, put in where strangers' bytes come in.
//!
//! Each entry point panics when a promise of its place is broken, and is content with whatever it gets otherwise. The
//! targets are in `fuzz/`; every run of the tests calls the same with the committed seeds and changes of them.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use axum::http::{Request, Uri};
use bytesize::ByteSize;
use provesi_sdk::bindings::provesi::platform::sql as guest;
use wasmtime_wasi_config::WasiConfigVariables;

use crate::bindings::exports::provesi::platform::service::Response;
use crate::config::Limits;
use crate::db::{self, Bounds, Cell, PackedRows, Storage};
use crate::dispatch;
use crate::fault::GuestFault;
use crate::gateway;
use crate::identity::{Claims, Identity, Keys, Revocations};
use crate::registry::Patterns;
use crate::runtime::{CpuShare, GrantSet, Resources, Runtime, is_wasi, track};

/// One pattern for each kind of parameter; `id` is always a number.
const PATTERNS: [&str; 4] =
    ["/api/things/", "/api/things/{id:int}/", "/api/names/{name:text}/", "/api/things/{id:int}/parts/{part}/"];

/// Rows that are enough to find what many would.
const MAX_ROWS: u32 = 64;

/// Largest component that is tried; a larger one only takes longer.
const MAX_COMPONENT: usize = 64 << 10;

/// Stack of a compiling thread, as a deploy gives it.
const COMPILE_STACK: usize = 16 << 20;

/// From the target of a request line, and a header's value on the next line, to the arguments of `handle`.
///
/// # Panics
/// When a guest would get something else than the platform promises.
pub fn request(bytes: &[u8]) {
    static KNOWN: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(&PATTERNS));
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(uri) = Uri::try_from(&bytes[..line]) else { return };
    let Ok(trace) = HeaderValue::from_bytes(bytes.get(line + 1..).unwrap_or_default()) else { return };
    let Some((place, params)) = KNOWN.find(uri.path()) else { return };
    assert_eq!(params.len(), PATTERNS[place].matches('{').count());
    for (name, value) in &params {
        assert!(!value.contains('\0'), "{name} holds a NUL");
        assert!(name != "id" || value.bytes().all(|byte| byte.is_ascii_digit()), "{value} is no number");
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = uri;
    head.headers.insert(HeaderName::from_static("x-trace"), trace);
    let Some(arguments) = gateway::fuzzing::arguments(&head, params.clone()) else { return };
    assert_eq!(arguments.path_params, params);
    assert!(arguments.query.len() <= 100, "{} parameters", arguments.query.len());
    assert!(arguments.query.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')));
    for (name, value) in &arguments.headers {
        assert_eq!(name, "x-trace");
        assert!(value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{value:?}");
    }
}

/// From what a guest answers to what can be sent.
///
/// # Panics
/// When something could be sent that a response must not have.
pub fn response(bytes: &[u8]) {
    let mut input = Input(bytes);
    let status = input.short();
    let mut headers = Vec::new();
    for _ in 0..input.byte() {
        if input.is_empty() {
            break;
        }
        headers.push((input.text(), input.text()));
    }
    let max_body = ByteSize::b(64);
    match dispatch::check(Response { status, headers, body: input.rest().to_vec() }, max_body) {
        Ok(answer) => {
            assert!((200..600).contains(&answer.status.as_u16()) && answer.body.len() <= 64);
            for name in ["connection", "content-length", "transfer-encoding", "upgrade", "x-request-id"] {
                assert!(!answer.headers.contains_key(name), "{name} belongs to the gateway");
            }
            let split = |value: &HeaderValue| value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            assert!(!answer.headers.values().any(split), "a value would end its line");
        }
        Err(GuestFault::InvalidResponse(_) | GuestFault::UndeclaredOperation(_)) => {}
        Err(other) => panic!("an answer is no {other:?}"),
    }
}

/// Rows from the host to a guest and back, packed bytes as they come, and statements.
///
/// # Panics
/// When a guest reads other rows than were packed, or a statement brings another one along.
pub fn sql(bytes: &[u8]) {
    let mut input = Input(bytes);
    let width = input.byte() % 8 + 1;
    let mut rows = Vec::new();
    while !input.is_empty() && rows.len() < 64 {
        rows.push((0..width).map(|_| input.cell()).collect::<Vec<_>>());
    }
    let packed = db::fuzzing::pack(&rows, usize::from(width), usize::MAX).expect("there is no limit");
    assert_eq!(shown(packed.rows()), shown(rows.iter().cloned()));
    assert_eq!(read_by_a_guest(&packed), shown(rows.into_iter()));

    let packed = PackedRows { width: u32::from(width), count: MAX_ROWS, cells: bytes.to_vec() };
    let readable = packed.rows().count();
    let packed = PackedRows { count: u32::try_from(readable).expect("at most as many as there are"), ..packed };
    assert_eq!(read_by_a_guest(&packed), shown(packed.rows()));

    if let Ok(text) = std::str::from_utf8(bytes)
        && db::fuzzing::admits(text).0
    {
        let (two, _) = db::fuzzing::admits(&format!("{text}\n; SELECT 1"));
        assert!(!two, "after {text:?} another statement passes");
    }
}

fn read_by_a_guest(packed: &PackedRows) -> Vec<String> {
    let rows = guest::Rows { width: packed.width, count: packed.count, cells: packed.cells.clone() };
    let rows = provesi_sdk::sql::Rows::new(rows);
    shown(rows.read::<Vec<provesi_sdk::sql::Cell<'_>>>())
}

/// Shows rows, to compare cells of two types, and numbers that are none.
fn shown<C: Debug>(rows: impl Iterator<Item = Vec<C>>) -> Vec<String> {
    rows.map(|row| format!("{row:?}")).collect()
}

/// Tokens of one host.
pub struct Tokens {
    identity: Identity,
    token: String,
}

impl Tokens {
    /// Keeps keys and database in a folder, and issues one good token.
    ///
    /// # Panics
    /// When the folder cannot be used.
    pub fn new(folder: &Path) -> Self {
        let storage = Storage::sqlite(folder.join("db"), Duration::from_secs(2)).expect("a folder");
        let bounds = Bounds {
            connections: 2,
            result_bytes: 1 << 20,
            statement_bytes: 4096,
            params_bytes: 4096,
            statement_timeout: Duration::from_secs(5),
        };
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let revocations = tokio.block_on(async {
            let database = storage.open("host", bounds).await.expect("a database");
            Revocations::load(Arc::new(database)).await.expect("its table")
        });
        let keys = Keys::load_or_create(&folder.join("keys")).expect("keys");
        let identity = Identity::new("provesi", keys, Arc::new(revocations));
        let (username, role) = ("ana".to_owned(), "ADMIN".to_owned());
        let claims = Claims { user_id: 7, username, role, ttl_seconds: 86_400 };
        let token = identity.issue(&claims).expect("a token").text;
        Self { identity, token }
    }

    /// Shows a token in the header or in the cookie: the good one with changes, or none at all.
    ///
    /// # Panics
    /// When anything but the good one is accepted, or that is not.
    pub fn check(&self, bytes: &[u8]) {
        let mut input = Input(bytes);
        let how = input.byte();
        let mut token = self.token.clone().into_bytes();
        while how & 1 == 0 && !input.is_empty() {
            let at = usize::from(input.short()) % token.len();
            token[at] ^= input.byte();
        }
        let token = if how & 1 == 0 { token.as_slice() } else { input.rest() };
        let (name, before) = if how & 2 == 0 { (AUTHORIZATION, "Bearer ") } else { (COOKIE, "a=b; sessionid=") };
        let Ok(value) = HeaderValue::from_bytes(&[before.as_bytes(), token].concat()) else { return };
        let mut request = Request::new(());
        request.headers_mut().insert(name, value);
        let is_good = token == self.token.as_bytes();
        let caller = gateway::fuzzing::caller(&request, &self.identity);
        assert_eq!(caller.as_deref(), is_good.then_some("7"), "{}", token.escape_ascii());
    }
}

/// A host that components are deployed to.
pub struct Deploys {
    runtime: Runtime,
}

impl Deploys {
    /// Keeps compiled code in a folder.
    ///
    /// # Panics
    /// When there can be no engine.
    pub fn new(folder: &Path) -> Self {
        Self { runtime: Runtime::new(1, 64 << 20, PathBuf::new(), folder.to_owned()).expect("an engine") }
    }

    /// Compiles an upload and links it without a grant; says whether it could be compiled.
    ///
    /// # Panics
    /// When the compiler does, or what was not granted is linked.
    pub fn check(&self, bytes: &[u8]) -> bool {
        let thread = std::thread::Builder::new().stack_size(COMPILE_STACK);
        std::thread::scope(|scope| {
            let compile = thread.spawn_scoped(scope, || self.compile(bytes)).expect("a thread");
            compile.join().expect("no component makes the compiler panic")
        })
    }

    fn compile(&self, bytes: &[u8]) -> bool {
        let bytes = &bytes[..bytes.len().min(MAX_COMPONENT)];
        let Ok(compiled) = self.runtime.compile(bytes) else { return false };
        for (name, _) in compiled.peer_exports() {
            assert!(compiled.exported_as(&track(name)).is_some(), "{name} is on no track");
        }
        let resources = Resources {
            service: "a".parse().expect("a name"),
            database: None,
            topics: None,
            identity: None,
            hasher: None,
            outbound: None,
            cache: None,
            config: Arc::new(WasiConfigVariables::new()),
            cpu: Arc::new(CpuShare::new(50)),
            limits: Limits::default(),
        };
        if let Ok(linked) = self.runtime.link(compiled, &GrantSet::default(), resources) {
            for import in linked.compiled().imports().keys() {
                let free = is_wasi(import) && !import.starts_with("wasi:http/");
                assert!(free || import.starts_with("provesi:platform/log@"), "{import} was linked");
            }
        }
        true
    }
}

/// Arbitrary bytes, taken off the front; what is missing is zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Takes as many bytes as the next one says, as far as there are.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..length).unwrap_or_default()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn cell(&mut self) -> Cell<'a> {
        match self.byte() % 7 {
            0 => Cell::Null,
            1 => Cell::Boolean(self.byte() % 2 == 1),
            2 => Cell::Integer(self.word().cast_signed()),
            3 => Cell::Real(f64::from_bits(self.word())),
            4 => Cell::Text(std::str::from_utf8(self.bytes()).unwrap_or_default()),
            5 => Cell::Blob(self.bytes()),
            _ => Cell::Timestamp(self.word().cast_signed()),
        }
    }
}

#[cfg(test)]
mod tests;
