//! Printing: nothing else in the crate writes to standard output or standard error.

use std::{
    cell::{Cell, RefCell},
    env,
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
    time::{Duration, Instant},
};

use clap::ValueEnum;

/// Standard output and standard error of one run.
///
/// A reader that goes away (`postern list | head`) ends the output, not the run.
#[derive(Debug)]
pub(crate) struct Output {
    ink: Ink,
    error_ink: Ink,
    written: RefCell<Written>,
}

impl Output {
    /// Output that is coloured as `colour` says.
    pub(crate) fn new(colour: Colour) -> Self {
        Self {
            ink: colour.ink(io::stdout().is_terminal()),
            error_ink: colour.ink(io::stderr().is_terminal()),
            written: RefCell::default(),
        }
    }

    /// The colours of standard output.
    pub(crate) fn ink(&self) -> Ink {
        self.ink
    }

    /// The colours of standard error.
    pub(crate) fn error_ink(&self) -> Ink {
        self.error_ink
    }

    /// Writes `text` to standard output as it stands.
    pub(crate) fn print(&self, text: &str) {
        let mut written = self.written.borrow_mut();
        if matches!(*written, Written::All) {
            let mut stdout = io::stdout().lock();
            let result = stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush());
            *written = match result {
                Ok(()) => Written::All,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Written::Enough,
                Err(error) => Written::Failed(error),
            };
        }
    }

    /// Writes `text` to standard output, and ends the line.
    pub(crate) fn line(&self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// Whether standard output still takes what is written.
    pub(crate) fn is_read(&self) -> bool {
        matches!(*self.written.borrow(), Written::All)
    }

    /// Writes an error to standard error.
    pub(crate) fn error(&self, text: impl Display) {
        complain(&format!("{}: {text}\n", self.error_ink.red("error")));
    }

    /// Writes a warning to standard error.
    pub(crate) fn warning(&self, text: impl Display) {
        complain(&format!("{}: {text}\n", self.error_ink.yellow("warning")));
    }

    /// Why standard output could not be written, if it could not.
    pub(crate) fn failure(self) -> Option<io::Error> {
        match self.written.into_inner() {
            Written::Failed(error) => Some(error),
            Written::All | Written::Enough => None,
        }
    }
}

/// A line on a terminal that says how far a run is, once it takes long; it goes when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it was last told; none: there is no terminal.
    told: Option<Cell<Option<Instant>>>,
    begun: Instant,
}

impl Progress {
    /// A run that begins now.
    pub(crate) fn begin() -> Self {
        let told = io::stderr().is_terminal().then(|| Cell::new(None));
        Self {
            told,
            begun: Instant::now(),
        }
    }

    /// Says that `done` of `total` files are checked, but not too often.
    pub(crate) fn show(&self, done: usize, total: usize) {
        self.tell(|| format!("checked {} of {} files", grouped(done), grouped(total)));
    }

    /// Says that `done` octets are read, of `total` where that is known, but not too often.
    pub(crate) fn show_octets(&self, done: u64, total: Option<u64>) {
        self.tell(|| {
            let mib = |octets: u64| grouped(usize::try_from(octets >> 20).unwrap_or(usize::MAX));
            match total {
                Some(total) => format!("read {} of {} MiB", mib(done), mib(total)),
                None => format!("read {} MiB", mib(done)),
            }
        });
    }

    fn tell(&self, said: impl FnOnce() -> String) {
        let Some(told) = &self.told else { return };
        let patience = if told.get().is_some() {
            BETWEEN_LINES
        } else {
            BEFORE_LINES
        };
        if told.get().unwrap_or(self.begun).elapsed() < patience {
            return;
        }
        told.set(Some(Instant::now()));
        let line = format!("\r\u{1b}[K{}", said());
        io::stderr().lock().write_all(line.as_bytes()).ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.as_ref().is_some_and(|told| told.get().is_some()) {
            io::stderr().lock().write_all(b"\r\x1b[K").ok();
        }
    }
}

/// When output has colours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Colour {
    /// Into a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    fn ink(self, terminal: bool) -> Ink {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Ink(match self {
            Self::Auto => terminal && !dumb && !set("NO_COLOR"),
            Self::Always => true,
            Self::Never => false,
        })
    }
}

/// Colours, where there are to be any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink(bool);

impl Ink {
    /// No colours.
    pub(crate) const NONE: Self = Self(false);

    /// Whether there are to be colours.
    pub(crate) fn is_coloured(self) -> bool {
        self.0
    }

    /// What matters.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// What can be passed over.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// What is refused or wrong.
    pub(crate) fn red(self, text: impl Display) -> String {
        self.paint("1;31", text)
    }

    /// What passes.
    pub(crate) fn green(self, text: impl Display) -> String {
        self.paint("1;32", text)
    }

    /// What is neither.
    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.paint("1;33", text)
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }
}

/// Writes `text` to standard error as it stands.
pub(crate) fn complain(text: &str) {
    // Why: where standard error is gone there is nobody left to tell.
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// `text` on one line and without control characters: a peer or a file may have chosen it, and a
/// terminal obeys such characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let moves_text = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || moves_text {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// `1 set`, `2 sets`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// `1,000,000`.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[derive(Debug, Default)]
enum Written {
    #[default]
    All,
    Enough,
    Failed(io::Error),
}

const BEFORE_LINES: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        assert_eq!(counted(1, "set"), "1 set");
        assert_eq!(counted(0, "set"), "0 sets");
        assert_eq!(counted(1_234_567, "set"), "1,234,567 sets");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(shown("a\u{1b}[2Jb\n\u{202e}ü"), "a\\u{1b}[2Jb\\n\\u{202e}ü");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(Colour::Always.ink(false).is_coloured());
        assert!(!Colour::Never.ink(true).is_coloured());
        assert!(!Colour::Auto.ink(false).is_coloured());
        assert_eq!(Ink(true).red("no"), "\u{1b}[1;31mno\u{1b}[0m");
        assert_eq!(Ink::NONE.red("no"), "no");
    }
}
