//! Says why the host refused: the reason on the first line, under it what a team needs to put it right.

use std::fmt::Write as _;

use super::answers::Breach;
use super::failure::Refused;
use super::layout::{Row, indented, table};

/// Lines up to which two types stand side by side; longer ones stand one under the other.
const TALLEST: usize = 6;
/// Letters of an answer that is no problem which are shown.
const EXCERPT: usize = 200;

/// Returns the reason on one line.
pub(super) fn reason(refused: &Refused) -> String {
    let text = full_reason(refused);
    text.lines().next().unwrap_or_default().to_owned()
}

/// Writes the whole refusal in `width` columns, but for the first line, which is the whole reason.
pub(super) fn render(refused: &Refused, width: usize) -> String {
    let full = full_reason(refused);
    let (first, rest) = full.split_once('\n').unwrap_or((full.as_str(), ""));
    let mut text = format!("refused: {first}\n");
    text.push_str(&indented(rest, 2, width));
    if refused.status == 401 {
        text.push_str(&indented("the token is not this host's: see --data, --token, PROVESI_ADMIN_TOKEN", 2, width));
    }
    for breach in refused.problem.iter().flat_map(|problem| &problem.breaches) {
        text.push('\n');
        text.push_str(&render_breach(breach, width));
    }
    text
}

fn full_reason(refused: &Refused) -> String {
    let problem = refused.problem.as_ref();
    let said = problem.and_then(|problem| problem.detail.as_deref().or(problem.title.as_deref()));
    match said.map(str::trim).filter(|said| !said.is_empty()) {
        Some(said) => said.to_owned(),
        None => {
            let excerpt: String = refused.body.trim().chars().take(EXCERPT).collect();
            format!("the host answered {}\n{excerpt}", refused.status).trim_end().to_owned()
        }
    }
}

fn render_breach(breach: &Breach, width: usize) -> String {
    let function = breach.function.as_deref().map(|name| format!(", function {name}")).unwrap_or_default();
    let exporter = breach.exporter.as_deref().unwrap_or("nobody");
    let mut text = indented(&format!("{}{function}", breach.interface), 2, width);
    text.push_str(&indented(&format!("used by {}, offered by {exporter}", breach.consumer), 4, width));
    text.push_str(&indented(&breach.reason, 4, width));
    if breach.expected.is_some() || breach.actual.is_some() {
        let expected = breach.expected.as_deref().unwrap_or("nothing");
        let actual = breach.actual.as_deref().unwrap_or("nothing");
        text.push_str(&side_by_side(expected, actual, width));
    }
    text
}

fn side_by_side(expected: &str, actual: &str, width: usize) -> String {
    let inner = width.saturating_sub(4);
    let rows = [Row::new([expected.to_owned(), actual.to_owned()])];
    let columns = table(&["EXPECTED", "ACTUAL"], &rows, 0, inner);
    let mut text = String::new();
    if columns.lines().count() <= 1 + TALLEST {
        for line in columns.lines() {
            writeln!(text, "    {line}").expect("a String takes everything");
        }
    } else {
        for (title, shown) in [("EXPECTED", expected), ("ACTUAL", actual)] {
            writeln!(text, "    {title}").expect("a String takes everything");
            text.push_str(&indented(shown, 6, width));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &serde_json::Value) -> Refused {
        Refused::read(status, body.to_string())
    }

    fn breach(expected: &str, actual: &str) -> Refused {
        refused(
            409,
            &serde_json::json!({
                "type": "urn:provesi:problem:contract-breach", "title": "Contract breach", "status": 409,
                "detail": "inventory@4 breaks 1 contract",
                "breaches": [{
                    "consumer": "orders@7", "exporter": "inventory@4",
                    "interface": "provesi:inventory/stock@0.1.0", "function": "reserve",
                    "expected": expected, "actual": actual, "reason": "the parameters differ"
                }]
            }),
        )
    }

    #[test]
    fn the_reason_comes_first_and_both_types_stand_side_by_side() {
        let text = render(&breach("func(id: s64) -> bool", "func(id: string) -> bool"), 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "refused: inventory@4 breaks 1 contract");
        assert!(text.contains("provesi:inventory/stock@0.1.0, function reserve\n"), "{text}");
        assert!(text.contains("used by orders@7, offered by inventory@4\n"), "{text}");
        assert!(text.contains("func(id: s64) -> bool  func(id: string) -> bool\n"), "{text}");
    }

    #[test]
    fn long_types_are_wrapped_and_very_long_ones_stand_one_under_the_other() {
        let long = |count: usize| format!("func({}) -> bool", vec!["name: list<u8>"; count].join(", "));
        for (count, stacked) in [(8, false), (60, true)] {
            let text = render(&breach(&long(count), &long(count + 1)), 80);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            let title = text.lines().find(|line| line.contains("EXPECTED")).expect("a title");
            assert_eq!(!title.contains("ACTUAL"), stacked, "{text}");
        }
    }

    #[test]
    fn what_is_not_offered_at_all_is_said() {
        let text = render(
            &refused(
                409,
                &serde_json::json!({
                    "title": "Contract breach", "detail": "nobody offers it",
                    "breaches": [{
                        "consumer": "orders@7", "exporter": null, "interface": "a:b/c@0.1.0", "function": null,
                        "expected": null, "actual": null, "reason": "no live service exports it"
                    }]
                }),
            ),
            80,
        );
        assert!(text.contains("used by orders@7, offered by nobody\n"), "{text}");
        assert!(!text.contains("EXPECTED"), "{text}");
    }

    #[test]
    fn details_follow_the_reason_and_a_foreign_answer_is_quoted() {
        let chain = refused(422, &serde_json::json!({"detail": "migration 2 failed\nno such table"}));
        assert_eq!(reason(&chain), "migration 2 failed");
        assert_eq!(render(&chain, 80), "refused: migration 2 failed\n  no such table\n");
        let foreign = Refused::read(502, "<h1>bad gateway</h1>".to_owned());
        assert_eq!(render(&foreign, 80), "refused: the host answered 502\n  <h1>bad gateway</h1>\n");
    }
}
