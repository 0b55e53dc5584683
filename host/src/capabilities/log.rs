//! Grants log lines; see `wit/platform/log.wit`. Every service has this.
//!
//! A line carries the service's name and the request's id by itself, is cut at a length, and an instance has a
//! number of them: a guest cannot flood the log or write as somebody else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;
use wasmtime::component::{HasData, Linker};

use crate::bindings::provesi::platform::log as wit;
use crate::names::{RequestId, ServiceName};

/// Fields of a line that are kept.
const MAX_FIELDS: usize = 16;

/// Where one instance's lines go, and how many may.
pub struct LogCtx {
    service: ServiceName,
    request_id: RequestId,
    lines_left: u32,
    max_message: usize,
}

/// The context of one instance, borrowed for one call.
pub struct LogView<'a> {
    ctx: &'a mut LogCtx,
}

/// Adds the interface to a linker.
///
/// # Errors
/// When it is there already.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> LogView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasLog>(linker, view)
}

struct HasLog;

impl HasData for HasLog {
    type Data<'a> = LogView<'a>;
}

// === impl LogCtx ===

impl LogCtx {
    /// Lets an instance write a number of lines, each up to a length in bytes.
    pub fn new(service: ServiceName, request_id: RequestId, lines: u32, max_message: usize) -> Self {
        Self { service, request_id, lines_left: lines, max_message }
    }

    fn write(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        let Some(left) = self.lines_left.checked_sub(1) else { return };
        self.lines_left = left;
        let message = cut(message, self.max_message);
        let fields: Vec<String> = fields
            .iter()
            .take(MAX_FIELDS)
            .map(|(name, value)| format!("{}={:?}", cut(name, 64), cut(value, self.max_message)))
            .collect();
        let fields = fields.join(" ");
        let (service, request) = (self.service.as_str(), self.request_id.as_str());
        // The macros need a level that is known when compiling.
        match level {
            Level::ERROR => {
                tracing::error!(target: "guest", { service.name = service, request.id = request, fields = %fields }, "{message}")
            }
            Level::WARN => {
                tracing::warn!(target: "guest", { service.name = service, request.id = request, fields = %fields }, "{message}")
            }
            Level::INFO => {
                tracing::info!(target: "guest", { service.name = service, request.id = request, fields = %fields }, "{message}")
            }
            _ => {
                tracing::debug!(target: "guest", { service.name = service, request.id = request, fields = %fields }, "{message}")
            }
        }
        if self.lines_left == 0 {
            tracing::warn!({ service.name = service, request.id = request }, "further log lines of this instance are dropped");
        }
    }
}

/// Cuts a text at a character, at most at a number of bytes.
fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

// === impl LogView ===

impl<'a> LogView<'a> {
    /// Borrows what one call needs.
    pub fn new(ctx: &'a mut LogCtx) -> Self {
        Self { ctx }
    }
}

impl wit::Host for LogView<'_> {
    async fn write(
        &mut self,
        level: wit::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            wit::Level::Debug => Level::DEBUG,
            wit::Level::Info => Level::INFO,
            wit::Level::Warn => Level::WARN,
            wit::Level::Error => Level::ERROR,
        };
        self.ctx.write(level, &message, &fields);
        Ok(())
    }
}

/// A guest's stdout or stderr, as log lines of its service.
///
/// Clones are the same stream: what one begins another goes on with.
#[derive(Clone)]
pub struct GuestOutput {
    line: Arc<Mutex<OutputLine>>,
}

/// The line that a stream has begun; written out when the last clone of the stream is dropped.
struct OutputLine {
    log: Arc<Mutex<LogCtx>>,
    begun: Vec<u8>,
}

// === impl GuestOutput ===

impl GuestOutput {
    /// Writes lines where a context says.
    pub fn new(log: LogCtx) -> Self {
        Self::on(Arc::new(Mutex::new(log)))
    }

    /// Makes another stream of the same instance: lines of its own, and no more of them together.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self::on(Arc::clone(&locked(&self.line).log))
    }

    fn on(log: Arc<Mutex<LogCtx>>) -> Self {
        Self { line: Arc::new(Mutex::new(OutputLine { log, begun: Vec::new() })) }
    }

    /// Takes bytes, writes the lines that they complete, and keeps the rest up to a line's length.
    pub(super) fn take(&self, bytes: &[u8]) {
        locked(&self.line).take(bytes);
    }
}

// === impl OutputLine ===

impl OutputLine {
    fn take(&mut self, bytes: &[u8]) {
        let max = locked(&self.log).max_message;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = max.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end();
        if !line.is_empty() {
            locked(&self.log).write(Level::INFO, line, &[]);
        }
        self.begun.clear();
    }
}

impl Drop for OutputLine {
    fn drop(&mut self) {
        self.end();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("añb", 99), "añb");
    }

    #[test]
    fn an_instance_has_a_number_of_lines_and_its_output_a_bounded_buffer() {
        let output = output(2, 8);
        for _ in 0..100 {
            output.take(&[b'x'; 1000]);
        }
        assert_eq!((begun(&output).len(), left(&output)), (8, 2), "a flood without an end is one line");
        output.take(b"\none\ntwo\nthree\n");
        assert_eq!((begun(&output).len(), left(&output)), (0, 0));
    }

    #[test]
    fn a_line_comes_in_pieces_and_the_last_one_without_an_end() {
        let output = output(10, 100);
        let clone = output.clone();
        output.take(b"one ");
        clone.take(b"line\n");
        assert_eq!((begun(&output), left(&output)), (Vec::new(), 9));
        clone.take(b"\n  \r\n");
        assert_eq!(left(&output), 9, "blank lines are none");
        clone.take(b"the end");
        drop(clone);
        assert_eq!(left(&output), 9, "somebody may go on with it");
        let log = Arc::clone(&locked(&output.line).log);
        drop(output);
        assert_eq!(locked(&log).lines_left, 8);
    }

    #[test]
    fn both_streams_have_their_own_lines_and_one_number_of_them() {
        let stdout = output(3, 100);
        let stderr = stdout.beside();
        stdout.take(b"half a ");
        stderr.take(b"whole\n");
        assert_eq!((begun(&stdout), begun(&stderr)), (b"half a ".to_vec(), Vec::new()));
        assert_eq!((left(&stdout), left(&stderr)), (2, 2));
    }

    #[test]
    fn what_is_no_text_is_a_line_all_the_same() {
        let output = output(10, 5);
        output.take(&[0xff, 0xfe, 0, b'\n']);
        // Cut in the middle of a character.
        output.take("abcdñ\n".as_bytes());
        assert_eq!(left(&output), 8);
    }

    fn output(lines: u32, max_message: usize) -> GuestOutput {
        GuestOutput::new(LogCtx::new("a".parse().expect("a name"), RequestId::generate(), lines, max_message))
    }

    fn begun(output: &GuestOutput) -> Vec<u8> {
        locked(&output.line).begun.clone()
    }

    fn left(output: &GuestOutput) -> u32 {
        let log = Arc::clone(&locked(&output.line).log);
        locked(&log).lines_left
    }
}
