//! Grants log lines; see `wit/platform/log.wit`. Every service has this.
//!
//! A line carries the service's name and the request's id by itself, is cut at a length, and an instance has a
//! number of them: a guest cannot flood the log or write as somebody else.

use std::sync::Arc;

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

/// A guest's stdout and stderr, as log lines of its service.
#[derive(Clone)]
pub struct GuestOutput {
    shared: Arc<std::sync::Mutex<OutputState>>,
}

struct OutputState {
    log: LogCtx,
    partial: Vec<u8>,
}

impl GuestOutput {
    /// Writes lines where a context says.
    pub fn new(log: LogCtx) -> Self {
        Self { shared: Arc::new(std::sync::Mutex::new(OutputState { log, partial: Vec::new() })) }
    }

    /// Takes bytes, writes the lines that they complete, and keeps the rest up to a line's length.
    pub(super) fn take(&self, bytes: &[u8]) {
        let mut state = self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let OutputState { log, partial } = &mut *state;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = log.max_message.saturating_sub(partial.len());
            partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(partial).trim_end().to_owned();
                if !line.is_empty() {
                    log.write(Level::INFO, &line, &[]);
                }
                partial.clear();
            }
        }
    }
}

impl Drop for OutputState {
    fn drop(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        if !line.is_empty() {
            self.log.write(Level::INFO, &line, &[]);
        }
    }
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
        let service = "a".parse().expect("a name");
        let output = GuestOutput::new(LogCtx::new(service, RequestId::generate(), 2, 8));
        output.take(&[b'x'; 1000]);
        assert_eq!(output.shared.lock().expect("free").partial.len(), 8);
        output.take(b"\none\ntwo\nthree\n");
        let state = output.shared.lock().expect("free");
        assert_eq!((state.log.lines_left, state.partial.len()), (0, 0));
    }
}
