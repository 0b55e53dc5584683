//! Writes an event as one line of JSON: its time, its level, its fields as they are, and who tells of it.
//!
//! The same text as that of tracing-subscriber's own format, made in one buffer rather than in a hundred small pieces,
//! each of which would go through two layers of `dyn Write`: it is a line for every request.

use std::fmt::{self, Debug};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Bytes of most lines.
const LINE: usize = 512;

/// What crates write with `log` comes under a target of its own, and names the real one in this field.
const LOG_TARGET: &str = "log.target";

/// The format.
pub(super) struct JsonLine;

/// The members of a line that is being written.
struct Members<M: SerializeMap> {
    map: M,
    outcome: Result<(), M::Error>,
    /// The target, if it is not that of the event.
    target: Option<String>,
}

// === impl JsonLine ===

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::with_capacity("2006-01-02T15:04:05.000000Z".len());
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Vec::with_capacity(LINE);
        write(&mut line, &time, event).map_err(|_| fmt::Error)?;
        line.push(b'\n');
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn write(line: &mut Vec<u8>, time: &str, event: &Event<'_>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", time)?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    let mut members = Members { map, outcome: Ok(()), target: None };
    event.record(&mut members);
    let Members { mut map, outcome, target } = members;
    outcome?;
    map.serialize_entry("target", target.as_deref().unwrap_or(event.metadata().target()))?;
    map.end()
}

// === impl Members ===

impl<M: SerializeMap> Members<M> {
    /// Adds a member; none after an error.
    fn add(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        if self.outcome.is_ok() {
            self.outcome = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for Members<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == LOG_TARGET {
            self.target = Some(value.to_owned());
        }
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns what is written of what is told.
    fn written(tell: impl FnOnce()) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || sink.clone()).event_format(JsonLine).finish();
        tracing::subscriber::with_default(subscriber, tell);
        let bytes = std::mem::take(&mut *lines.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).expect("a text")
    }

    #[test]
    fn an_event_is_one_line_with_its_fields_as_they_are() {
        let (nothing, what): (Option<u64>, _) = (None, "happened");
        let text = written(|| {
            tracing::warn!(
                target: "somebody",
                { request.id = "a\"b\n", status = 200_u16, left = -1, share = 0.5, good = true, nothing,
                  shown = %"ñ\u{1}", debug = ?Some("x") },
                "it {what}"
            );
        });
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        assert!(text.starts_with("{\"timestamp\":\"2"), "{text}");
        assert!(text.contains("Z\",\"level\":\"WARN\",\"message\":"), "{text}");
        let mut line: Value = serde_json::from_str(&text).expect("JSON");
        let time = line.as_object_mut().and_then(|line| line.remove("timestamp")).expect("a time");
        assert_eq!(time.as_str().map(str::len), Some("2006-01-02T15:04:05.000000Z".len()), "{time}");
        let expected = json!({
            "level": "WARN", "message": "it happened", "request.id": "a\"b\n", "status": 200, "left": -1,
            "share": 0.5, "good": true, "shown": "ñ\u{1}", "debug": "Some(\"x\")", "target": "somebody",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn what_comes_from_log_names_who_wrote_it() {
        let text = written(|| tracing::info!(target: "log", { log.target = "a_crate" }, "well"));
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["target"], &line["message"]), (&json!("a_crate"), &json!("well")));
    }

    #[test]
    fn each_event_has_a_line_of_its_own() {
        let text = written(|| (0..3).for_each(|number| tracing::info!(number, "counted")));
        let numbers = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["number"].as_i64());
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    }
}
