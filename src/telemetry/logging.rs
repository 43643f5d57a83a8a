//! Logs: for people where a terminal reads them, as JSON lines where a program does.

use std::{
    env,
    io::{self, BufWriter, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, filter::ParseError, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::traces::{self, Sender};

/// Starts logging to standard error, as `RUST_LOG` asks; without it what is worth knowing in
/// operation. Colours only on a terminal, and not where `NO_COLOR` is set (no-color.org).
///
/// Lines are written by a thread of its own: a call waits for no disk and no pipe. Where nobody
/// takes them, 16,384 wait, and further ones are lost and counted. What still waits when the
/// guard is dropped is written then, for a moment.
///
/// What is logged at warn and above while a call is traced joins its trace, where `sender` sends
/// traces.
///
/// The first call counts; later ones change nothing.
pub fn init(sender: Option<&Sender>) -> WorkerGuard {
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES)
        .thread_name("log")
        .finish(BufWriter::new(io::stderr()));
    let asked = env::var(VARIABLE).ok().filter(|asked| !asked.is_empty());
    let (filter, refused) = filter(asked.as_deref());
    let people = io::stderr().is_terminal();
    let format = if people {
        let plain = env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let colours = !plain && env::var_os("TERM").is_none_or(|term| term != "dumb");
        fmt::layer()
            .with_writer(lines.clone())
            .with_ansi(colours)
            .with_target(false)
            .with_filter(filter)
            .boxed()
    } else {
        fmt::layer()
            .with_writer(lines.clone())
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(filter)
            .boxed()
    };
    let spans = sender.map(|sender| traces::layer(sender.tracer()));
    let subscriber = tracing_subscriber::registry().with(format).with(spans);
    if subscriber.try_init().is_err() {
        return guard;
    }
    DROPPED.get_or_init(|| lines.error_counter());
    panic::set_hook(Box::new(log_panic));
    if let Some(error) = refused {
        tracing::warn!(%error, "`{VARIABLE}` cannot be read: write a level, like `info` or `debug`");
    }
    guard
}

/// How many lines were lost, since they came faster than they were taken.
pub(super) fn dropped() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// A panic is one event like any other, so that nobody reads it as a broken line of JSON.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(
        place,
        trace_id = traces::current().map(tracing::field::display),
        panic = panic.payload_as_str(),
        "panicked: this is a bug"
    );
}

/// The filter that is asked for, and what is wrong where it cannot be read; then the usual one.
fn filter(asked: Option<&str>) -> (EnvFilter, Option<ParseError>) {
    match asked.map(|asked| EnvFilter::builder().parse(asked)) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(USUAL), Some(error)),
        None => (EnvFilter::new(USUAL), None),
    }
}

/// How many lines may wait to be written: some megabytes.
const LINES: usize = 16_384;

const VARIABLE: &str = "RUST_LOG";

/// Below us only what needs somebody's attention: that a watched directory went, which notify warns
/// of, is how a ConfigMap is updated.
const USUAL: &str = "warn,notify=error,postern=info";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(filter(None).1.is_none());
        assert!(filter(Some("debug,h2=warn")).1.is_none());
        let (usual, refused) = filter(Some("postern=loud"));
        assert!(refused.is_some());
        assert_eq!(usual.to_string(), EnvFilter::new(USUAL).to_string());
    }
}
