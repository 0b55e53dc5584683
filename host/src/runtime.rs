//! Compiles components, links them with what they were granted, and runs invocations.
//!
//! wasmtime and nothing else: one engine, one `InstancePre` per revision, one store per invocation, made here and
//! dropped here, or kept for the next one where a service's limits say so. The lifecycle is in the types: bytes →
//! [`Compiled`] → [`Linked`]; only a [`Linked`] can run.
//!
//! Not here: which revision runs (see `dispatch`), what it may use (see `registry`), HTTP (see `gateway`).

mod background;
mod calls;
mod classify;
mod compile;
mod compiler;
mod cpu;
mod engine;
mod frames;
mod instance;
mod limiter;
mod linker;
mod peers;
mod priority;
mod reuse;
mod state;

pub use self::compile::{CompileError, Compiled, InterfaceFuncs};
pub use self::compiler::{Place, compile_to};
pub use self::cpu::CpuShare;
pub use self::engine::{Runtime, RuntimeError};
pub use self::frames::Frames;
pub use self::instance::Failure;
pub use self::linker::{GrantSet, LinkError, Linked, is_platform, is_wasi, track};
pub use self::peers::{CallBudget, NoPeers, PeerCall, PeerCaller, PeerFuture};
pub use self::state::{Invocation, Resources};
