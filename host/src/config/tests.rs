//! What an operator reads when a key or a value is wrong.

use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("provesi.toml");
    std::fs::write(&path, text).expect("the file is written");
    Config::load(&path)
}

fn error_of(text: &str) -> String {
    load(text).expect_err("the text is wrong").to_string()
}

#[test]
fn an_empty_file_is_a_configuration() {
    let config = load("").expect("defaults");
    assert_eq!(config.gateway.listen.port(), 8000);
    assert_eq!(config.gateway.sticky, Sticky::Request);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9000");
    assert!(config.services.is_empty());
}

#[test]
fn an_error_names_file_key_value_and_what_is_allowed() {
    let unknown = error_of("[gateway]\nlisten-on = \"0.0.0.0:1\"");
    assert!(unknown.contains("listen-on") && unknown.contains("provesi.toml"), "{unknown}");
    let wrong =
        error_of("[services.orders]\ncomponent = \"o.wasm\"\n[services.orders.limits]\ndeadline = \"5 parsecs\"");
    assert!(wrong.contains("orders.limits.deadline") && wrong.contains("parsecs"), "{wrong}");
    let access = error_of("[gateway]\naccess = \"closed\"");
    assert!(access.contains("closed") && access.contains("enforced") && access.contains("open"), "{access}");
    let url = error_of("[storage]\nurl = \"mysql://x\"");
    assert!(url.contains("storage.url") && url.contains("postgres://"), "{url}");
    let memory = error_of("[services.a]\ncomponent = \"a.wasm\"\nlimits = { memory = \"1GiB\" }");
    assert!(memory.contains("services.a.limits.memory") && memory.contains("256"), "{memory}");
}

#[test]
fn a_service_sends_requests_only_to_what_is_named_well_and_with_the_grant() {
    let service = |grants: &str, http: &str| {
        load(&format!("[services.a]\ncomponent = \"a.wasm\"\ngrants = [{grants}]\nhttp = [{http}]"))
    };
    let config = service(r#""http""#, r#""api.example.com", "http://127.0.0.1:9999""#).expect("valid");
    let listed: Vec<String> = config.services.values().flat_map(|a| &a.http).map(ToString::to_string).collect();
    assert_eq!(listed, ["https://api.example.com:443", "http://127.0.0.1:9999"]);
    let wrong = service(r#""http""#, r#""https://api.example.com/path""#).expect_err("a path").to_string();
    assert!(wrong.contains("services.a.http") && wrong.contains("api.example.com/path"), "{wrong}");
    let ungranted = service(r#""sql""#, r#""api.example.com""#).expect_err("no grant").to_string();
    assert!(ungranted.contains("services.a.http") && ungranted.contains("grant \"http\""), "{ungranted}");
}

#[test]
fn a_password_in_the_storage_url_is_never_shown() {
    let config = load("[storage]\nurl = \"postgres://u:secret@h\"").expect("valid");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_cache_is_in_memory_or_in_redis_and_its_password_is_never_shown() {
    assert!(matches!(load("").expect("defaults").cache.url, CacheUrl::Memory));
    let config = load("[cache]\nurl = \"redis://:secret@h:1/2\"\ntimeout = \"1s\"").expect("valid");
    assert!(matches!(&config.cache.url, CacheUrl::Redis(url) if url == "redis://:secret@h:1/2"));
    assert!(!format!("{config:?}").contains("secret"));
    let url = error_of("[cache]\nurl = \"memcached://h\"");
    assert!(url.contains("cache.url") && url.contains("memory:") && url.contains("redis://"), "{url}");
    for timeout in ["0s", "6s"] {
        let error = error_of(&format!("[cache]\ntimeout = \"{timeout}\""));
        assert!(error.contains("cache.timeout"), "{error}");
    }
}

#[test]
fn events_wait_where_the_url_says_and_its_password_is_never_shown() {
    assert!(matches!(load("").expect("defaults").events, EventsConfig { url: EventsUrl::Embedded, attempts: 10 }));
    let config = load("[events]\nurl = \"amqp://u:secret@h:5672\"\nattempts = 3").expect("valid");
    assert!(matches!(&config.events.url, EventsUrl::Amqp(url) if url.ends_with("@h:5672")));
    assert!(!format!("{config:?}").contains("secret"));
    for (key, value) in [("url", "\"kafka://h\""), ("url", "\"\""), ("attempts", "0"), ("attempts", "101")] {
        let error = error_of(&format!("[events]\n{key} = {value}"));
        assert!(error.contains(&format!("events.{key}")), "{error}");
    }
}

#[test]
fn requests_stick_to_a_revision_by_what_the_operator_names() {
    let sticky = |value: &str| load(&format!("[gateway]\nsticky = \"{value}\"")).map(|config| config.gateway.sticky);
    assert_eq!(sticky("caller").expect("valid"), Sticky::Caller);
    let header = sticky("header:X-Tenant").expect("valid");
    assert_eq!(header, Sticky::Header(axum::http::HeaderName::from_static("x-tenant")));
    for bad in ["", "cookie", "header:", "header:a b", "Caller"] {
        let error = sticky(bad).expect_err("not allowed").to_string();
        assert!(error.contains("gateway.sticky") && error.contains("header:<"), "{error}");
    }
}

#[test]
fn a_canary_is_judged_by_numbers_that_make_sense() {
    load("[canary]\nwindow = \"2s\"\ninterval = \"2s\"\nmax-error-share = 1\nmax-p99-ratio = 1").expect("valid");
    for (key, value) in [
        ("max-error-share", "1.1"),
        ("max-error-share", "nan"),
        ("max-p99-ratio", "0.5"),
        ("max-p99-ratio", "inf"),
        ("min-requests", "0"),
        ("interval", "\"0s\""),
        ("interval", "\"11s\""),
    ] {
        let error = error_of(&format!("[canary]\n{key} = {value}"));
        assert!(error.contains(&format!("canary.{key}")), "{error}");
    }
}

#[test]
fn a_breaker_has_numbers_that_make_sense() {
    let table = |keys: &str| format!("[services.a]\ncomponent = \"a.wasm\"\n[services.a.breaker]\n{keys}");
    let good = "enabled = false\nconsecutive = 1\nshare = 100\ncalls = 1\nwindow = \"100ms\"\nopen-for = \"30s\"";
    let config = load(&table(good)).expect("valid");
    let breaker = config.services.values().next().expect("one service").breaker;
    assert_eq!((breaker.enabled, breaker.share, breaker.open_for), (false, 100, OPEN_AT_MOST));
    assert!(load(&table("")).expect("defaults").services.values().all(|service| service.breaker.enabled));
    for (key, value) in [
        ("consecutive", "0"),
        ("share", "0"),
        ("share", "101"),
        ("calls", "0"),
        ("calls", "10001"),
        ("window", "\"99ms\""),
        ("window", "\"11m\""),
        ("open-for", "\"0s\""),
        ("open-for", "\"31s\""),
    ] {
        let error = error_of(&table(&format!("{key} = {value}")));
        assert!(error.contains(&format!("services.a.breaker.{key}")), "{error}");
    }
    let unknown = error_of(&table("opens-at = 3"));
    assert!(unknown.contains("opens-at") && unknown.contains("consecutive"), "{unknown}");
}

#[test]
fn a_listener_has_bounds_that_make_sense() {
    let config = load("[gateway]\nidle-timeout = \"5s\"\nbody-memory = \"1MiB\"\nmax-headers = 1").expect("valid");
    assert_eq!((config.gateway.idle_timeout.as_secs(), config.gateway.max_headers), (5, 1));
    for (key, value) in [
        ("head-timeout", "\"0s\""),
        ("body-timeout", "\"2h\""),
        ("idle-timeout", "\"100000years\""),
        ("write-timeout", "\"0ms\""),
        ("max-head", "\"1000\""),
        ("max-head", "\"1GiB\""),
        ("max-headers", "0"),
        ("max-headers", "1001"),
        ("max-connections", "0"),
        ("max-connections", "4611686018427387904"),
        ("body-memory", "\"1023KiB\""),
    ] {
        let error = error_of(&format!("[gateway]\n{key} = {value}"));
        assert!(error.contains(&format!("gateway.{key}")), "{error}");
    }
}
