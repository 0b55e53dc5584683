//! What is asked for, and what is wanted of it.

use std::fmt;

/// Whether instances are made for each request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    /// Each request gets a new one.
    Fresh,
    /// One serves many requests.
    Reused,
}

/// What the host is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Against {
    /// The twin, on the same path.
    Twin,
    /// The host itself, on another path.
    Itself(&'static str),
}

/// One kind of request.
pub(crate) struct Case {
    /// What the table calls it.
    pub(crate) label: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) user: User,
    /// JSON; empty when there is none.
    pub(crate) body: &'static str,
    /// Whether it is worth asking on each database.
    pub(crate) uses_database: bool,
    /// Whether two answers differ in ids and times, because the request changes something.
    pub(crate) changes: bool,
    pub(crate) against: Against,
    /// The least ratio of requests per second: with fresh instances on SQLite and on PostgreSQL, and with reused ones
    /// on both.
    pub(crate) wanted: Wanted,
}

/// Least ratios.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) fresh: [f64; 2],
    pub(crate) reused: [f64; 2],
}

/// Whose token is sent along.
#[derive(Clone, Copy)]
pub(crate) enum User {
    Nobody,
    Staff,
    Customer,
}

/// The product that inventory is asked for; nobody orders it.
macro_rules! shown {
    () => {
        "Casco%20de%20Seguridad"
    };
}

/// The product that is ordered; there is more of it than a bench can order.
macro_rules! ordered {
    () => {
        "Mascarilla%20N95"
    };
}

/// Product and warehouse that orders are placed in, for filling it up.
pub(crate) const RESTOCKED: (&str, &str) = (ordered!(), "Bodega Norte");

/// A request without a database; the others say where they differ.
pub(crate) const HELLO: Case = Case {
    label: "GET /api/hello/",
    method: "GET",
    path: "/api/hello/",
    user: User::Nobody,
    body: "",
    uses_database: false,
    changes: false,
    against: Against::Twin,
    wanted: Wanted { fresh: [0.70; 2], reused: [0.92; 2] },
};

/// Everything that is measured.
pub(crate) static CASES: [Case; 6] = [
    HELLO,
    Case {
        label: "GET /api/hop/, a typed hop to hello, against /api/hello/",
        path: "/api/hop/",
        against: Against::Itself("/api/hello/"),
        wanted: Wanted { fresh: [0.80; 2], reused: [0.90; 2] },
        ..HELLO
    },
    Case {
        label: "GET /api/products/",
        path: "/api/products/",
        uses_database: true,
        wanted: Wanted { fresh: [0.85, 0.90], reused: [0.95, 0.97] },
        ..HELLO
    },
    Case {
        label: "GET /api/products/1/",
        path: "/api/products/1/",
        uses_database: true,
        wanted: Wanted { fresh: [f64::NAN; 2], reused: [f64::NAN; 2] },
        ..HELLO
    },
    Case {
        label: "GET /api/inventory/…/, with a typed hop",
        path: concat!("/api/inventory/", shown!(), "/"),
        user: User::Staff,
        uses_database: true,
        wanted: Wanted { fresh: [0.75; 2], reused: [0.90; 2] },
        ..HELLO
    },
    Case {
        label: "POST /api/orders/…/",
        method: "POST",
        path: concat!("/api/orders/", ordered!(), "/"),
        user: User::Customer,
        body: r#"{"units":1,"lat":4.711,"lon":-74.072}"#,
        uses_database: true,
        changes: true,
        wanted: Wanted { fresh: [0.85; 2], reused: [0.95; 2] },
        ..HELLO
    },
];

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Reused => "reused",
        })
    }
}
