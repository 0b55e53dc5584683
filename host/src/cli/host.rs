//! Says which host is asked, with which token, and on whose behalf.
//!
//! Not here: the requests themselves (see `client`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::failure::Failure;

/// Where a host listens that has no configuration.
const DEFAULT_ADMIN: &str = "http://127.0.0.1:9000";

/// Longest name that is sent for the audit trail.
const MAX_BY: usize = 100;

/// The host that is asked.
#[derive(clap::Args)]
#[command(next_help_heading = "Host")]
pub(super) struct Host {
    /// Admin address [default: what the configuration listens on].
    #[arg(long, value_name = "URL", env = "PROVESI_ADMIN", value_parser = admin_url)]
    admin: Option<String>,
    /// Admin token [default: DATA/admin-token].
    #[arg(long, value_name = "TOKEN", env = "PROVESI_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Where the host keeps its data.
    #[arg(long, value_name = "DIR", env = "PROVESI_DATA", default_value = "data")]
    data: PathBuf,
    /// Configuration of the host [default: provesi.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who asks, for the audit trail (default: user@machine).
    #[arg(long, value_name = "NAME", env = "PROVESI_BY")]
    by: Option<String>,
    // Not for the command line: only the parser and `config` read the environment.
    #[arg(long, env = "USER", hide = true)]
    user: Option<String>,
    #[arg(long, env = "LOGNAME", hide = true)]
    logname: Option<String>,
    /// Prints the host's answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What a client needs to know.
pub(super) struct Access {
    /// Base of all addresses, without a slash at its end.
    pub(super) admin: String,
    /// Bearer token.
    pub(super) token: String,
    /// Name for the audit trail, printable ASCII.
    pub(super) by: String,
}

impl Host {
    /// Finds address, token and name.
    ///
    /// # Errors
    /// When the configuration or the token file cannot be read.
    pub(super) fn resolve<E: fmt::Display>(
        &self,
        configured: impl FnOnce(Option<&Path>) -> Result<Option<SocketAddr>, E>,
    ) -> Result<Access, Failure> {
        let admin = match &self.admin {
            Some(admin) => admin.clone(),
            None => configured(self.config.as_deref())
                .map_err(Failure::setup)?
                .map_or_else(|| DEFAULT_ADMIN.to_owned(), reachable),
        };
        let token = match self.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => token.to_owned(),
            None => read_token(&self.data.join("admin-token"))?,
        };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::setup("the admin token is empty or holds what no token holds"));
        }
        Ok(Access { admin, token, by: self.name() })
    }

    /// Says who asks: the name that was given, or else the user of this machine, by number where no name is known.
    fn name(&self) -> String {
        let user = || {
            let names = [&self.user, &self.logname].into_iter().flatten();
            let known = names.map(|name| printable(name)).find(|name| !name.is_empty());
            let user = known.unwrap_or_else(|| format!("uid:{}", rustix::process::getuid().as_raw()));
            printable(&on_this_machine(&user, machine()))
        };
        self.by.as_deref().map(printable).filter(|by| !by.is_empty()).unwrap_or_else(user)
    }
}

fn admin_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; an address looks like {DEFAULT_ADMIN}"))?;
    if url.scheme() != "http" || !url.has_host() {
        return Err(format!("the admin listener speaks plain HTTP; an address looks like {DEFAULT_ADMIN}"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A host that listens on every address is asked on the local one.
fn reachable(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{listen}")
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Failure::Token { path: path.to_owned(), cause: source.kind().to_string() })?;
    Ok(text.trim().to_owned())
}

fn on_this_machine(user: &str, machine: Option<String>) -> String {
    machine.map_or_else(|| user.to_owned(), |machine| format!("{user}@{machine}"))
}

fn machine() -> Option<String> {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).filter(|name| !name.is_empty())
}

/// A header holds ASCII; what else is in a name must not make the request fail.
fn printable(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    name.trim().chars().take(MAX_BY).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_listens_everywhere_is_asked_on_the_local_address() {
        for (listen, asked) in [
            ("0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("[::]:9000", "http://[::1]:9000"),
            ("10.1.2.3:9001", "http://10.1.2.3:9001"),
        ] {
            assert_eq!(reachable(listen.parse().expect("an address")), asked);
        }
    }

    #[test]
    fn an_address_loses_its_slash_and_has_to_be_plain_http() {
        assert_eq!(admin_url("http://localhost:9000/").as_deref(), Ok("http://localhost:9000"));
        for bad in ["localhost:9000", "127.0.0.1:9000", "https://localhost", "http://", ""] {
            assert!(admin_url(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_missing_token_file_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = read_token(&folder.path().join("admin-token")).expect_err("there is none");
        let text = failure.to_string();
        assert!(text.contains("admin-token") && text.contains("--token"), "{text}");
    }

    #[test]
    fn who_asks_always_has_a_name() {
        let name = |by: Option<&str>, user: Option<&str>, logname: Option<&str>| {
            let [by, user, logname] = [by, user, logname].map(|name| name.map(str::to_owned));
            let data = PathBuf::from("data");
            Host { admin: None, token: None, data, config: None, by, user, logname, json: false }.name()
        };
        assert_eq!(name(Some("ci, on call"), Some("ana"), Some("ana")), "ci, on call");
        let here = |user: &str| on_this_machine(user, machine());
        assert_eq!(name(Some(""), Some("ana"), Some("luz")), here("ana"), "an empty name is none");
        assert_eq!(name(None, Some(" "), Some("luz")), here("luz"));
        assert_eq!(name(None, None, None), here(&format!("uid:{}", rustix::process::getuid().as_raw())));
    }

    #[test]
    fn a_name_of_any_alphabet_fits_into_a_header() {
        assert_eq!(printable(" josé\n@x "), "jos??@x");
        assert_eq!(printable(&"a".repeat(500)).len(), MAX_BY);
        assert_eq!(on_this_machine("ana", Some("box".to_owned())), "ana@box");
        assert_eq!(on_this_machine("ana", None), "ana");
    }
}
