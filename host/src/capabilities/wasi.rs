//! Grants clocks, timers and random numbers, and the rest of WASI with nothing in it.
//!
//! std in a guest links against all of it, so it is there:
//!
//! | interface | what a guest finds |
//! |---|---|
//! | `cli/environment` | no variables, no arguments, no working directory |
//! | `cli/stdin`, `cli/terminal-*` | a stream that has ended; no terminal |
//! | `cli/stdout`, `cli/stderr` | bounded log lines, see [`GuestOutput`] |
//! | `cli/exit` | the end of the invocation, as by a trap |
//! | `filesystem/*` | no folder to begin with |
//! | `sockets/*` | sockets are refused before the system is asked for one, names are not looked up |
//! | `clocks/*`, `io/poll` | the system's clocks; a wait lasts until the invocation's deadline at most |
//! | `random/*` | the system's random numbers, `MAX_RANDOM` bytes a call |
//! | `http/*` | nothing without a grant, see `outbound` |
//!
//! What a guest holds of the host is counted, see [`table`].

use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::log::GuestOutput;

/// Bytes that a guest may write before the host looks at them.
const OUTPUT_WINDOW: usize = 4096;

/// Random bytes of one call: the host makes them while nobody can interrupt it. A seed is 32.
const MAX_RANDOM: u64 = 64 << 10;

/// Streams, timers, transactions and so on that one instance may hold; a request over HTTP takes ten.
const MAX_RESOURCES: usize = 1024;

/// Makes an empty WASI whose output goes to the log.
pub fn empty(output: &GuestOutput) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.beside())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM)
        .build()
}

/// Makes the table of what one instance holds of the host; a guest that wants more than fits in traps.
pub fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > OUTPUT_WINDOW {
            return Err(StreamError::trap("wrote more than `check-write` allows"));
        }
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::cli::WasiCliCtxView;
    use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
    use wasmtime_wasi::p2::bindings::cli::environment;
    use wasmtime_wasi::p2::bindings::filesystem::preopens;
    use wasmtime_wasi::p2::bindings::random::{insecure, random};
    use wasmtime_wasi::p2::bindings::sockets::network::IpAddressFamily;
    use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
    use wasmtime_wasi::sockets::WasiSocketsCtxView;

    use super::*;
    use crate::capabilities::log::LogCtx;
    use crate::names::RequestId;

    fn output() -> GuestOutput {
        GuestOutput::new(LogCtx::new("a".parse().expect("a name"), RequestId::generate(), 10, 100))
    }

    #[test]
    fn a_guest_finds_no_environment_no_files_and_no_sockets() {
        let (mut wasi, mut table) = (empty(&output()), table());
        let mut cli = WasiCliCtxView { ctx: wasi.cli(), table: &mut table };
        assert!(environment::Host::get_environment(&mut cli).expect("no trap").is_empty());
        assert!(environment::Host::get_arguments(&mut cli).expect("no trap").is_empty());
        assert_eq!(environment::Host::initial_cwd(&mut cli).expect("no trap"), None);
        let mut files = WasiFilesystemCtxView { ctx: wasi.filesystem(), table: &mut table };
        assert!(preopens::Host::get_directories(&mut files).expect("no trap").is_empty());
        let mut sockets = WasiSocketsCtxView { ctx: wasi.sockets(), table: &mut table };
        for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
            assert!(tcp_create_socket::Host::create_tcp_socket(&mut sockets, family).is_err());
        }
        assert!(table.is_empty(), "nothing of the system was asked for");
    }

    #[test]
    fn random_bytes_come_in_bounded_pieces() {
        let mut wasi = empty(&output());
        let len = |bytes: wasmtime::Result<Vec<u8>>| bytes.map(|bytes| bytes.len() as u64).ok();
        for (wanted, given) in
            [(32, Some(32)), (MAX_RANDOM, Some(MAX_RANDOM)), (MAX_RANDOM + 1, None), (u64::MAX, None)]
        {
            assert_eq!(len(random::Host::get_random_bytes(wasi.random(), wanted)), given);
            assert_eq!(len(insecure::Host::get_insecure_random_bytes(wasi.random(), wanted)), given);
        }
    }

    #[test]
    fn an_instance_holds_a_bounded_number_of_things() {
        let mut table = table();
        for _ in 0..MAX_RESOURCES {
            table.push(()).expect("room");
        }
        assert!(table.push(()).is_err());
    }

    #[test]
    fn nobody_writes_more_than_the_window() {
        let mut output = output();
        let window = output.check_write().expect("open");
        assert!(output.write(vec![b'x'; window].into()).is_ok());
        assert!(matches!(output.write(vec![b'x'; window + 1].into()), Err(StreamError::Trap(_))));
    }
}
