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
fn a_password_in_the_storage_url_is_never_shown() {
    let config = load("[storage]\nurl = \"postgres://u:secret@h\"").expect("valid");
    assert!(!format!("{config:?}").contains("secret"));
}
