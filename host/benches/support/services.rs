//! What the benches of requests serve: the demo, and the two fixtures that greet.

/// Services, their components below `target/`, and what they are granted.
pub(crate) const SERVICES: [(&str, &str, &str); 6] = [
    ("auth", "components/auth", r#""sql", "events", "tokens", "passwords""#),
    ("products", "components/products", r#""sql", "events""#),
    ("inventory", "components/inventory", r#""sql", "events", "provesi:products/catalog""#),
    (
        "orders",
        "components/orders",
        r#""sql", "events", "provesi:products/catalog", "provesi:inventory/stock", "provesi:auth/directory""#,
    ),
    ("hello", "fixtures/fixture_hello", ""),
    ("hop", "fixtures/fixture_hop", r#""fixture:hello/greet""#),
];
