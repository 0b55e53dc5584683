//! The WIT interfaces of `wit/platform` as Rust types, generated.
//!
//! Everything generated lies here and nowhere else; the rooms name what they use.

#![expect(missing_docs, reason = "generated; the WIT files hold the documentation")]

wasmtime::component::bindgen!({
    path: ["../wit/wasi-config", "../wit/platform"],
    world: "provesi:platform/platform",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "provesi:platform/sql.transaction": crate::capabilities::sql::GuestTransaction },
});

/// The optional export `bootstrap`.
pub mod bootstrap {
    wasmtime::component::bindgen!({
        path: ["../wit/wasi-config", "../wit/platform"],
        world: "provesi:platform/with-bootstrap",
        exports: { default: async },
    });
}

/// The optional export `worker`.
pub mod worker {
    wasmtime::component::bindgen!({
        path: ["../wit/wasi-config", "../wit/platform"],
        world: "provesi:platform/with-worker",
        exports: { default: async },
    });
}

/// The optional export `subscriber`.
pub mod subscriber {
    wasmtime::component::bindgen!({
        path: ["../wit/wasi-config", "../wit/platform"],
        world: "provesi:platform/with-subscriber",
        exports: { default: async },
    });
}
