//! The contract check alone, over the pairs of WIT in `tests/contracts`: no wrong accept, no wrong refusal.
//!
//! A file is a case. Its first line is the verdict, `// accepts: why` or `// refuses: why`; a refusal says on lines
//! `// names: …` which functions or interfaces are at fault, and may say on lines `// by: …` which revisions. Then
//! come the WIT of the exporter, one text for each of its live revisions, and that of the consumer.

mod component;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use provesi::registry::{Breach, Party, breaches};
use provesi::runtime::{CompileError, Compiled, Runtime};

use crate::support::{compiler, root};

/// What stands between the texts of two live revisions of the exporter.
const EXPORTER: &str = "\n// ---- exporter ----\n";

/// What stands before the consumer's text.
const CONSUMER: &str = "\n// ---- consumer ----\n";

/// One file of the corpus.
struct Case {
    file: String,
    accepts: bool,
    names: BTreeSet<String>,
    by: BTreeSet<String>,
    exporters: Vec<String>,
    consumer: String,
}

/// What the check said of a case, against what it should have said.
#[derive(Default)]
struct Tally {
    wrong_accepts: usize,
    wrong_refusals: usize,
    failures: Vec<String>,
}

#[test]
fn every_pair_of_the_corpus_gets_its_verdict() {
    let runtime = Runtime::new(1, 16 << 20, compiler(), root().join("target/test-cache")).expect("an engine");
    let cases = cases();
    let mut tally = Tally::default();
    for case in &cases {
        match case.judge(&runtime) {
            Ok(found) => tally.add(case, &found),
            Err(error) => tally.failures.push(error),
        }
    }
    let (accepts, refusals) = (tally.wrong_accepts, tally.wrong_refusals);
    let summary = format!("contracts: {} pairs, {accepts} wrong accepts, {refusals} wrong refusals", cases.len());
    // Not captured by the test harness, as `println!` would be: the numbers belong into every log.
    writeln!(std::io::stdout(), "{summary}").expect("stdout is open");
    assert!(tally.failures.is_empty(), "{summary}\n{}", tally.failures.join("\n"));
    let accepting = cases.iter().filter(|case| case.accepts).count();
    let refusing = cases.len() - accepting;
    assert!(cases.len() >= 60 && accepting >= 15 && refusing >= 30, "{accepting} accepting, {refusing} refusing");
}

fn cases() -> Vec<Case> {
    let folder = root().join("host/tests/contracts");
    let entries = std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "wit")).collect();
    files.sort();
    let parse = |path: &PathBuf| {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).expect("a text");
        Case::parse(&file, &text).unwrap_or_else(|| panic!("{file} is not written as a case"))
    };
    files.iter().map(parse).collect()
}

impl Case {
    fn parse(file: &str, text: &str) -> Option<Self> {
        let accepts = text.starts_with("// accepts: ");
        let (exporters, consumer) = text.split_once(CONSUMER)?;
        let header = || text.lines().take_while(|line| line.starts_with("// "));
        let marked = |mark: &str| -> BTreeSet<String> {
            header().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
        };
        let names = marked("// names: ");
        let whole = accepts == names.is_empty()
            && (accepts || text.starts_with("// refuses: "))
            && !consumer.contains(EXPORTER);
        whole.then(|| Self {
            file: file.to_owned(),
            accepts,
            names,
            by: marked("// by: "),
            exporters: exporters.split(EXPORTER).map(str::to_owned).collect(),
            consumer: consumer.to_owned(),
        })
    }

    /// Compiles all sides and checks each against all, as they would be live together.
    fn judge(&self, runtime: &Runtime) -> Result<Vec<Breach>, String> {
        let mut sides = Vec::new();
        for wit in &self.exporters {
            sides.push(("exporter", self.compile(runtime, wit, "exporter")?));
        }
        sides.push(("consumer", self.compile(runtime, &self.consumer, "consumer")?));
        let parties: Vec<Party<'_>> = sides
            .iter()
            .enumerate()
            .map(|(at, (service, compiled))| {
                let number = if *service == "consumer" { 1 } else { at + 1 };
                Party { service, label: format!("{service}@{number}"), compiled }
            })
            .collect();
        Ok(parties.iter().flat_map(|party| breaches(party, &parties)).collect())
    }

    fn compile(&self, runtime: &Runtime, wit: &str, world: &str) -> Result<Compiled, String> {
        let bytes = component::of_wit(&self.file, wit, world)?;
        let failed = |error: CompileError| format!("{}: {world}: {:#}", self.file, anyhow::Error::new(error));
        runtime.compile(&bytes).map_err(failed)
    }
}

impl Tally {
    fn add(&mut self, case: &Case, found: &[Breach]) {
        let file = &case.file;
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        if lines.iter().any(|line| line.contains('\n')) {
            self.failures.push(format!("{file}: a breach takes more than a line: {lines:?}"));
        }
        if case.accepts {
            if !found.is_empty() {
                self.wrong_refusals += 1;
                self.failures.push(format!("{file}: wrong refusal: {}", lines.join("; ")));
            }
            return;
        }
        if found.is_empty() {
            self.wrong_accepts += 1;
            self.failures.push(format!("{file}: wrong accept"));
            return;
        }
        let name = |breach: &Breach| breach.function.clone().unwrap_or_else(|| breach.interface.clone());
        let names: BTreeSet<String> = found.iter().map(name).collect();
        let by: BTreeSet<String> = found.iter().filter_map(|breach| breach.exporter.clone()).collect();
        if names != case.names || !(case.by.is_empty() || by == case.by) {
            self.failures.push(format!("{file}: refused for something else: {}", lines.join("; ")));
        }
    }
}
