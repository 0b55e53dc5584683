//! Measures what operators wait for, and what their changes cost those who are served meanwhile.
//!
//! The real binary as a process of its own, with the repository's configuration, on SQLite in a temporary folder;
//! its clients are in this process. What comes out is Markdown. No number is asserted: a bench reports.
//!
//! Not here: how the host is started and asked (see `host`), requests at a rate (see `load`), the table (see
//! `report`).

mod host;
mod load;
#[path = "../support/measure.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod measure;
#[path = "../support/operator.rs"]
mod operator;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod process;
mod report;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wasm_encoder::{ComponentSection as _, CustomSection};

use self::host::Host;
use self::load::Load;
use self::measure::{median, say};
use self::operator::{Answer, ask};
use self::report::{Report, Row, Unit};

/// Cold uploads of each component: each takes a compilation.
const UPLOADS: usize = 10;

/// Moves of a pointer between revisions in memory.
const MOVES: usize = 50;

/// Moves to a revision that has left memory: four times around three revisions.
const REVIVALS: usize = 12;

/// Pairs of a calm and a busy window.
const WINDOWS: usize = 3;

/// Length of one window.
const SPAN: Duration = Duration::from_secs(10);

/// Load before a calm window, not measured: connections and caches warm up, a deploy before it ends.
const WARM_UP: Duration = Duration::from_secs(1);

/// The small component's service; it imports a database and nothing of others.
const SMALL: &str = "faulty";

/// The service that live ones import from; the small component exports nothing to them.
const IMPORTED: &str = "products";

/// Whom requests ask while another service is deployed.
const NEIGHBOURS: [&str; 2] = ["/api/inventory/Casco%20de%20Seguridad/", "/api/products/"];

/// The steps that a deploy is timed by.
const STEPS: [&str; 6] = ["compile", "link", "describe", "contract", "migrate", "activate"];

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("host/ lies in the root")?;
    let fixture = root.join(format!("target/fixtures/fixture_{SMALL}.wasm"));
    let service = |name: &'static str| Component::read(name, &root.join(format!("target/components/{name}.wasm")));
    let mut small = Component::read(SMALL, &fixture)?;
    let mut neighbour = service("orders")?;
    let mut others = [service("auth")?, service("products")?, service("inventory")?];

    say("starting a host, which compiles everything");
    let host = Host::start(root, SMALL, &fixture).await?;
    let mut report = Report::default();
    for component in [&mut small, &mut neighbour].into_iter().chain(&mut others) {
        uploads(&host, component, &mut report).await?;
    }
    moves(&host, &mut small, &mut report).await?;
    refusals(&host, &mut small, &mut report).await?;
    for path in NEIGHBOURS {
        neighbours(&host, &mut neighbour, path, &mut report).await?;
    }
    report.print();
    Ok(())
}

/// Uploads strangers and waits until they serve.
async fn uploads(host: &Host, component: &mut Component, report: &mut Report) -> anyhow::Result<()> {
    let what = format!("upload to live, cold: {}", component.label());
    say(&what);
    let (mut values, mut timings) = (Vec::new(), Vec::new());
    for _ in 0..UPLOADS {
        let answer = deploy(host, component).await?;
        values.push(answer.took_ms);
        timings.push(answer.body["timings_ms"].clone());
    }
    let note = split(&values, &timings);
    report.add(Row { what, wanted: Some(500.0), unit: Unit::Milliseconds, values, note });
    Ok(())
}

/// Moves the pointer of a service among three of its revisions.
async fn moves(host: &Host, component: &mut Component, report: &mut Report) -> anyhow::Result<()> {
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(deploy(host, component).await?.body["revision"].as_u64().context("a number")?);
    }
    let [oldest, older, newest] = numbers[..] else { unreachable!("three were deployed") };

    let what = "activation (`PUT …/traffic`) of the revision before, in memory".to_owned();
    say(&what);
    let mut values = Vec::new();
    for to in [older, newest].into_iter().cycle().take(MOVES) {
        let weights = json!({ "weights": { (to.to_string()): 100 } });
        let request = host.operate(Method::PUT, &format!("/v1/services/{SMALL}/traffic")).json(&weights);
        values.push(moved(ask(request).await?, to)?);
    }
    report.add(Row::ms(what, 10.0, values));

    let what = "rollback to the revision before, in memory".to_owned();
    say(&what);
    let mut values = Vec::new();
    for to in [older, newest].into_iter().cycle().take(MOVES) {
        values.push(moved(roll_back(host, &json!({})).await?, to)?);
    }
    report.add(Row::ms(what, 100.0, values));

    // The live one and the one before stay in memory, so of three in a circle the next one never is.
    let what = "rollback to an older revision, compiled code from disk".to_owned();
    say(&what);
    let mut values = Vec::new();
    for to in [oldest, older, newest].into_iter().cycle().take(REVIVALS) {
        values.push(moved(roll_back(host, &json!({ "to": to })).await?, to)?);
    }
    report.add(Row::ms(what, 100.0, values));
    Ok(())
}

async fn roll_back(host: &Host, body: &Value) -> anyhow::Result<Answer> {
    ask(host.operate(Method::POST, &format!("/v1/services/{SMALL}/rollback")).json(body)).await
}

/// Checks that a move was done, and returns how long it took.
fn moved(answer: Answer, to: u64) -> anyhow::Result<f64> {
    let done = answer.status == 200 && answer.body["traffic"][0]["revision"] == to;
    ensure!(done, "no move to {to}: {} {}", answer.status, answer.body);
    Ok(answer.took_ms)
}

/// Uploads strangers that do not export what live services import.
async fn refusals(host: &Host, component: &mut Component, report: &mut Report) -> anyhow::Result<()> {
    let what = format!("refusal by the contract check, cold: {} as `{IMPORTED}`", component.label());
    say(&what);
    // Its routes must not be the reason of the refusal.
    let gone = ask(host.operate(Method::DELETE, &format!("/v1/services/{SMALL}"))).await?;
    ensure!(gone.status == 204, "{SMALL} stays: {} {}", gone.status, gone.body);
    let mut values = Vec::new();
    for _ in 0..UPLOADS {
        let answer = host.upload(IMPORTED, component.variant()).await?;
        let refused = answer.body["type"] == "urn:provesi:problem:contract-breach";
        ensure!(refused, "refused for something else: {} {}", answer.status, answer.body);
        values.push(answer.took_ms);
    }
    report.add(Row::ms(what, 500.0, values));
    Ok(())
}

/// Compares what clients of other services wait for in calm windows and while deploys run back to back.
async fn neighbours(host: &Host, component: &mut Component, path: &str, report: &mut Report) -> anyhow::Result<()> {
    let get = format!("p99 of `GET {path}`");
    let deploying = format!("while {} is deployed", component.label());
    say(&format!("{get}, {deploying}"));
    let load = Load::new(format!("{}{path}", host.public()), host.token().await?)?;
    let (mut calm, mut busy, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut deploys, mut requests, mut failed) = (0_u32, 0_u32, 0_u32);
    for _ in 0..WINDOWS {
        load.run(WARM_UP).await;
        let before = load.run(SPAN).await;
        let over = CancellationToken::new();
        let asking = async {
            let window = load.run(SPAN).await;
            over.cancel();
            window
        };
        let (during, deployed) = futures::join!(asking, deploy_until(host, component, &over));
        deploys += deployed?;
        requests += before.requests + during.requests;
        failed += before.failed + during.failed;
        calm.push(before.p99_ms);
        busy.push(during.p99_ms);
        ratios.push(during.p99_ms / before.p99_ms);
    }
    let note = format!("{} connections, {} requests/s", load::CONNECTIONS, load::RATE);
    let unit = Unit::Milliseconds;
    report.add(Row { what: format!("{get}, calm"), wanted: None, unit, values: calm, note });
    let note = format!("{deploys} deploys, back to back");
    report.add(Row { what: format!("{get}, {deploying}"), wanted: None, unit, values: busy, note });
    report.add(Row {
        what: "busy to calm, pair by pair".to_owned(),
        wanted: Some(1.5),
        unit: Unit::Ratio,
        values: ratios,
        note: String::new(),
    });
    report.add(Row {
        what: "requests not answered with 200".to_owned(),
        wanted: Some(0.0),
        unit: Unit::Requests,
        values: vec![f64::from(failed)],
        note: format!("of {requests}"),
    });
    Ok(())
}

/// Deploys again and again; the one that runs when it is over is waited for. Returns how many.
async fn deploy_until(host: &Host, component: &mut Component, over: &CancellationToken) -> anyhow::Result<u32> {
    let mut deploys = 0;
    while !over.is_cancelled() {
        deploy(host, component).await?;
        deploys += 1;
    }
    Ok(deploys)
}

/// Deploys a stranger, which has to be accepted.
async fn deploy(host: &Host, component: &mut Component) -> anyhow::Result<Answer> {
    let answer = host.upload(component.service, component.variant()).await?;
    let live = answer.status == 201 && answer.body["state"] == "active";
    ensure!(live, "{} was not deployed: {} {}", component.service, answer.status, answer.body);
    Ok(answer)
}

/// Renders the median of each step, and of what none of them counts.
fn split(values: &[f64], timings: &[Value]) -> String {
    let step = |timing: &Value, name: &str| timing[name].as_f64().unwrap_or(f64::NAN);
    let mut parts: Vec<String> = Vec::new();
    for name in STEPS {
        let times: Vec<f64> = timings.iter().map(|timing| step(timing, name)).collect();
        parts.push(format!("{name} {:.1}", median(&times)));
    }
    let counted = |timing: &Value| STEPS.iter().map(|name| step(timing, name)).sum::<f64>();
    let rest: Vec<f64> = values.iter().zip(timings).map(|(value, timing)| value - counted(timing)).collect();
    parts.push(format!("upload and storing {:.1}", median(&rest)));
    parts.join(", ")
}

/// A component, of which each upload gets a variant of its own.
struct Component {
    service: &'static str,
    bytes: Vec<u8>,
    variants: u32,
}

impl Component {
    fn read(service: &'static str, path: &Path) -> anyhow::Result<Self> {
        let unread = || format!("cannot read {}, built by `make bench-deploys`", path.display());
        let bytes = std::fs::read(path).with_context(unread)?;
        Ok(Self { service, bytes, variants: 0 })
    }

    fn label(&self) -> String {
        format!("`{}`, {} kB", self.service, self.bytes.len() / 1000)
    }

    /// Makes bytes that are compiled anew: the cache's key is the digest of all bytes, and code is not cached by
    /// function, so a custom section of its own is enough.
    fn variant(&mut self) -> Vec<u8> {
        self.variants += 1;
        let number = self.variants.to_le_bytes();
        let section = CustomSection { name: "variant".into(), data: number.as_slice().into() };
        let mut bytes = self.bytes.clone();
        section.append_to_component(&mut bytes);
        bytes
    }
}
