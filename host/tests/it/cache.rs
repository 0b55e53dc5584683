//! The capability `cache`, in memory and in Redis: through the fixture `cached`, which is deployed under two names.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::deployments::revisions::read;
use crate::support::{Postgres, Redis, Setup, TestApp, eventually, fixture, send, service, set, variant};

/// Longest wait for what takes a fraction of a second on a machine that has nothing else to do.
const BOUND: Duration = Duration::from_secs(30);

/// Makes the tests `name::memory` and `name::redis` of functions that take the place.
macro_rules! in_each_place {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() {
                super::$name(super::Place::Memory).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn redis() {
                super::$name(super::Place::Redis).await;
            }
        })+
    };
}

in_each_place!(
    no_service_reads_or_changes_the_values_of_another,
    a_value_ends_with_its_time,
    one_of_many_requests_computes,
    who_waits_for_a_request_that_traps_computes,
    what_was_being_computed_before_a_delete_is_not_kept,
);

/// Where the values are.
#[derive(Clone, Copy)]
enum Place {
    Memory,
    Redis,
}

/// A host with the fixture as `cached` and as `other`.
struct Stage {
    app: TestApp,
    redis: Option<Redis>,
    _components: tempfile::TempDir,
}

impl Stage {
    /// Starts one; none where there is no Redis to start.
    async fn start(place: Place) -> Option<Self> {
        let redis = match place {
            Place::Memory => None,
            Place::Redis => Some(Redis::start().await?),
        };
        let components = tempfile::tempdir().expect("a folder");
        let other = components.path().join("other.wasm");
        std::fs::write(&other, set(&read(&fixture("cached")), &[("path", "/other/")])).expect("a component is written");
        let more = [
            redis.as_ref().map_or_else(String::new, cache_table),
            table("cached", &fixture("cached")),
            table("other", &other),
        ];
        let app = TestApp::start_as(&Setup { services: &[], more: &more.concat(), ..Setup::default() }).await;
        Some(Self { app, redis, _components: components })
    }

    async fn stop(self) {
        self.app.stop().await;
        drop(self.redis);
    }
}

/// A machine that is busy must not make a server look dead.
fn cache_table(redis: &Redis) -> String {
    format!("[cache]\nurl = \"{}\"\ntimeout = \"5s\"\n", redis.url())
}

fn table(name: &str, component: &std::path::Path) -> String {
    service(name, component, "\"sql\", \"cache\"") + "limits = { deadline = \"25s\", cache = \"256KiB\" }\n"
}

async fn ask(app: &TestApp, method: &str, path: &str) -> Value {
    let answer = send(app.request(method, &format!("/api{path}"))).await;
    assert!([200, 204].contains(&answer.status), "{path}: {} {:?}", answer.status, answer.body);
    answer.body
}

async fn get(app: &TestApp, service: &str, key: &str) -> Value {
    ask(app, "GET", &format!("/{service}/get/?key={key}")).await
}

async fn keep(app: &TestApp, service: &str, key: &str, value: &str) {
    ask(app, "POST", &format!("/{service}/set/?key={key}&value={value}")).await;
}

async fn times_computed(app: &TestApp, key: &str) -> Value {
    ask(app, "GET", &format!("/cached/computed/?key={key}")).await
}

async fn no_service_reads_or_changes_the_values_of_another(place: Place) {
    let Some(stage) = Stage::start(place).await else { return };
    let app = &stage.app;
    keep(app, "cached", "same", "mine").await;
    assert_eq!(get(app, "cached", "same").await, json!("mine"));
    assert_eq!(get(app, "other", "same").await, Value::Null);
    keep(app, "other", "same", "theirs").await;
    ask(app, "POST", "/other/delete/?key=gone").await;
    assert_eq!((get(app, "cached", "same").await, get(app, "other", "same").await), (json!("mine"), json!("theirs")));
    // Not even by a key that would name the other's where names and keys are just put together.
    for key in ["other:same", "../other/same", "%3Aother%3Asame"] {
        assert_eq!(get(app, "cached", key).await, Value::Null, "{key}");
    }
    ask(app, "POST", "/other/delete/?key=same").await;
    assert_eq!((get(app, "cached", "same").await, get(app, "other", "same").await), (json!("mine"), Value::Null));
    stage.stop().await;
}

async fn a_value_ends_with_its_time(place: Place) {
    let Some(stage) = Stage::start(place).await else { return };
    let app = &stage.app;
    keep(app, "cached", "long", "stays").await;
    keep(app, "cached", "short", "stays").await;
    ask(app, "POST", "/cached/set/?key=short&value=goes&ttl=100").await;
    let gone = async || get(app, "cached", "short").await == Value::Null;
    eventually("the value is gone", BOUND, gone).await;
    assert_eq!(get(app, "cached", "long").await, json!("stays"));
    // What is over a limit is not kept, and leaves nothing older.
    keep(app, "cached", "large", "small").await;
    ask(app, "POST", "/cached/fill/?key=large&bytes=1048576").await;
    assert_eq!(get(app, "cached", "large").await, Value::Null, "with its quotes it is over 1 MiB");
    let key = "k".repeat(513);
    keep(app, "cached", &key, "long").await;
    assert_eq!(get(app, "cached", &key).await, Value::Null);
    stage.stop().await;
}

async fn one_of_many_requests_computes(place: Place) {
    let Some(stage) = Stage::start(place).await else { return };
    let app = &stage.app;
    let compute = |_| ask(app, "GET", "/cached/compute/?key=wanted");
    let answers = join_all((0..32).map(compute)).await;
    assert_eq!(answers, vec![json!("computed 1"); 32]);
    assert_eq!(times_computed(app, "wanted").await, 1);
    assert_eq!(get(app, "cached", "wanted").await, json!("computed 1"), "it is kept");

    let metrics = reqwest::get(format!("{}/metrics", app.admin())).await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    let number = |name: &str| {
        let start = format!("provesi_cache_{name}{{service=\"cached\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start}in {metrics}")).parse::<u64>().expect("a number")
    };
    assert_eq!((number("misses_total"), number("hits_total")), (1, 32));
    assert_eq!(number("stored_bytes_total"), "\"computed 1\"".len() as u64);
    stage.stop().await;
}

async fn who_waits_for_a_request_that_traps_computes(place: Place) {
    let Some(stage) = Stage::start(place).await else { return };
    let app = &stage.app;
    let path = "/api/cached/compute/?key=hard&how=trap";
    // A GET would be made again, and compute by itself.
    let first = send(app.request("POST", path));
    let second = async {
        eventually("the first one computes", BOUND, async || times_computed(app, "hard").await == 1).await;
        app.get(path, "").await
    };
    let (first, second) = futures::join!(first, second);
    assert_eq!(first.status, 502, "{:?}", first.body);
    assert_eq!((second.status, &second.body), (200, &json!("computed 2")));
    // Who is told to compute without being the one to do so stores nothing.
    assert_eq!(get(app, "cached", "hard").await, json!("computed 2"));
    stage.stop().await;
}

async fn what_was_being_computed_before_a_delete_is_not_kept(place: Place) {
    let Some(stage) = Stage::start(place).await else { return };
    let app = &stage.app;
    let delete = async {
        eventually("it is being computed", BOUND, async || times_computed(app, "stale").await == 1).await;
        ask(app, "POST", "/cached/delete/?key=stale").await;
    };
    let (computed, ()) = futures::join!(ask(app, "GET", "/cached/compute/?key=stale"), delete);
    assert_eq!(computed, json!("computed 1"), "who computes gets what it computed");
    assert_eq!(get(app, "cached", "stale").await, Value::Null);
    assert_eq!(ask(app, "GET", "/cached/compute/?key=stale").await, json!("computed 2"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_over_its_quota_loses_its_own_values_only() {
    let stage = Stage::start(Place::Memory).await.expect("memory needs nothing");
    let app = &stage.app;
    keep(app, "other", "own", "stays").await;
    for number in 0..40 {
        ask(app, "POST", &format!("/cached/fill/?key=key-{number}&bytes=16384")).await;
    }
    let mut kept = 0;
    for number in 0..40 {
        kept += u32::from(get(app, "cached", &format!("key-{number}")).await != Value::Null);
    }
    assert!((8..16).contains(&kept), "{kept} values of 16 KiB in 256 KiB");
    assert_eq!(get(app, "other", "own").await, json!("stays"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_quota_empties_the_cache_once_its_revision_serves_and_not_when_it_is_refused() {
    let stage = Stage::start(Place::Memory).await.expect("memory needs nothing");
    let app = &stage.app;
    keep(app, "cached", "key", "kept").await;
    let file = app.folder().join("provesi.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    std::fs::write(&file, text.replace("256KiB", "128KiB")).expect("the configuration is written");
    // Refused as late as that is known: the other service has these routes.
    let refused = app.upload("cached", "", set(&read(&fixture("cached")), &[("path", "/other/")])).await;
    assert_eq!(refused.status, 409, "{:?}", refused.body);
    assert_eq!(get(app, "cached", "key").await, json!("kept"));

    let deployed = app.upload("cached", "", variant(&read(&fixture("cached")), 1)).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    assert_eq!(get(app, "cached", "key").await, Value::Null);
    stage.stop().await;
}

mod a_server_that_is_killed_is_an_empty_cache_until_it_is_back {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn redis() {
        let Some(mut stage) = Stage::start(Place::Redis).await else { return };
        let app = &stage.app;
        let server = stage.redis.as_mut().expect("it was started");
        keep(app, "cached", "kept", "before").await;
        keep(app, "cached", "changed", "before").await;
        assert_eq!(get(app, "cached", "changed").await, json!("before"));

        server.kill();
        for number in 1..=3 {
            assert_eq!(get(app, "cached", "kept").await, Value::Null);
            let computed = ask(app, "GET", "/cached/compute/?key=needed").await;
            assert_eq!(computed, json!(format!("computed {number}")), "nothing is kept, and nothing fails");
        }
        ask(app, "POST", "/cached/delete/?key=changed").await;

        server.start_again().await;
        let back = async || {
            keep(app, "cached", "probe", "after").await;
            get(app, "cached", "probe").await == json!("after")
        };
        eventually("the cache is back", BOUND, back).await;
        assert_eq!(get(app, "cached", "kept").await, json!("before"), "the server has kept what it was told");
        assert_eq!(get(app, "cached", "changed").await, Value::Null, "it was deleted while the server was gone");
        stage.stop().await;
    }
}

mod hosts_that_share_a_server_compute_once {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn redis() {
        let Some(redis) = Redis::start().await else { return };
        let Some(postgres) = Postgres::start() else { return };
        let url = postgres.url();
        let more = cache_table(&redis) + &table("cached", &fixture("cached"));
        let setup = Setup { services: &[], url: &url, more: &more, ..Setup::default() };
        let (first, second) = (TestApp::start_as(&setup).await, TestApp::start_as(&setup).await);
        let compute =
            |number| ask(if number % 2 == 0 { &first } else { &second }, "GET", "/cached/compute/?key=wanted");
        let answers = join_all((0..24).map(compute)).await;
        assert_eq!(answers, vec![json!("computed 1"); 24]);
        assert_eq!(times_computed(&first, "wanted").await, 1);
        keep(&first, "cached", "told", "once").await;
        assert_eq!(get(&second, "cached", "told").await, json!("once"));
        first.stop().await;
        second.stop().await;
    }
}
