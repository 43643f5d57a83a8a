//! `postern log follow`: waits for a partner's test mail, and says what became of it.

mod input;
mod known;
mod said;
mod tail;

use std::{
    collections::BTreeSet,
    fs, future, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    input::Input,
    said::{Outcome, outcome, said},
    tail::{Event, From, Tail},
};
use super::{
    files,
    line::{self, Decision, Entry},
    lines::{Found, is_blank},
    moment::{self, Moment, When},
    packed::Packed,
};
use crate::cli::{
    Context, Format,
    exit::{Exit, Stop},
    output::{complain, counted, shown},
};

/// What `postern log follow` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FollowArgs {
    /// The connector that mail is waited for: one that applies to it, that is not met by it, or
    /// would be so if it were enforced
    #[arg(long, value_name = "NAME")]
    connector: String,
    /// Only decisions of this connector set
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// The log, which may not be there yet, or `-` for standard input; without it, the log of the
    /// settings
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Look first at what came since then: a time in UTC, or how long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,
    /// End after so many mails
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "forever",
          value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Go on until it is stopped
    #[arg(long)]
    forever: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "TIME", value_parser = moment::length)]
    timeout: Option<Duration>,
    /// How to print; `json` is the lines as they stand in the log
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What came so far.
#[derive(Debug)]
struct Watch<'a> {
    args: &'a FollowArgs,
    context: &'a Context<'a>,
    since: Option<Moment>,
    accepted: u64,
    refused: u64,
    /// Decisions that did not concern the connector.
    others: usize,
    /// Some connectors that they concerned.
    elsewhere: BTreeSet<String>,
}

impl FollowArgs {
    /// Waits, and says what comes.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let path = match self.file.clone() {
            Some(path) => path,
            None => files::of_settings(context)?,
        };
        if Packed::named(&files::name(&path)).is_some() {
            return Err(Stop::usage(format!(
                "`{}` is compressed, and no more lines come to it: name the log itself; what was \
                 rotated is read with --since",
                files::name(&path)
            )));
        }
        let since = self.since.map(|since| since.at(Moment::now()));
        let mut watch = Watch {
            args: &self,
            context,
            since,
            accepted: 0,
            refused: 0,
            others: 0,
            elsewhere: BTreeSet::new(),
        };
        let Some(ended) = watch.run(&path)? else {
            return Ok(watch.exit());
        };
        let why = match ended {
            Ended::Enough => return Ok(watch.exit()),
            Ended::Interrupted => "stopped",
            Ended::Over => "the input ended",
            Ended::TimedOut => "the time is up",
        };
        if watch.is_unanswered() {
            return Err(watch.unanswered(why));
        }
        Ok(watch.exit())
    }
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Enough,
    Interrupted,
    Over,
    TimedOut,
}

/// What is to be done after some events.
#[derive(Clone, Copy, Debug)]
enum Next {
    End,
    GoOn,
    Pause,
}

impl Watch<'_> {
    /// Waits for what comes to the log at `path`; none where what was there is enough.
    fn run(&mut self, path: &Path) -> Result<Option<Ended>, Stop> {
        let name = files::name(path);
        let unreadable = |error| Stop::usage(format!("`{name}` cannot be read: {error}"));
        let mut tail = None;
        if path != Path::new("-") {
            let from = self.since.map_or(From::End, |_| From::Start);
            let opened = Tail::open(path, from).map_err(unreadable)?;
            if self.since.is_some() && self.look_back(path, opened.identity())? {
                return Ok(None);
            }
            tail = Some(opened);
        }
        let (connector, set) = (&self.args.connector, self.args.set.as_deref());
        if let Some(doubt) = known::doubt(connector, set, self.context) {
            self.context.output.warning(doubt);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot_wait)?;
        let ended = runtime.block_on(async {
            // Why here: whoever reads that it waits may stop it at once.
            let interrupts = signal(SignalKind::interrupt()).map_err(cannot_wait)?;
            let there = tail.as_ref().is_none_or(Tail::is_there);
            let there = if there {
                ""
            } else {
                ", which is not there yet"
            };
            let connector = shown(&self.args.connector);
            note(&format!(
                "waiting for mail that concerns `{connector}` in `{name}`{there}; Ctrl-C ends it"
            ));
            let ended = match &mut tail {
                Some(tail) => self.wait(tail, interrupts).await,
                None => self.read(Input::new(), interrupts).await,
            };
            ended.map_err(unreadable)
        });
        // Why: a thread of it may wait for input that does not come.
        runtime.shutdown_background();
        ended.map(Some)
    }

    /// Looks at the rotated files that may have what came since then; whether that was enough.
    fn look_back(&mut self, path: &Path, own: Option<(u64, u64)>) -> Result<bool, Stop> {
        for rotated in files::rotated(path).read {
            let Ok(metadata) = fs::metadata(&rotated) else {
                continue;
            };
            let changed = Moment::at_second(metadata.mtime());
            let before = self.since.is_some_and(|since| changed < since);
            if before || own == Some((metadata.dev(), metadata.ino())) {
                continue;
            }
            let mut lines = files::open(&rotated)?;
            while let Ok(Some(found)) = lines.next() {
                if let Found::Line(line) = found
                    && self.line(line)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Reads until enough has come.
    async fn read(&mut self, mut input: Input, mut interrupts: Signal) -> io::Result<Ended> {
        let mut late = pin!(passed(self.args.timeout));
        loop {
            let line = tokio::select! {
                biased;
                _ = interrupts.recv() => return Ok(Ended::Interrupted),
                () = &mut late => return Ok(Ended::TimedOut),
                line = input.next() => line?,
            };
            match line {
                None => return Ok(Ended::Over),
                Some(line) if self.line(&line) => return Ok(Ended::Enough),
                Some(_) => {}
            }
        }
    }

    /// Waits until enough has come.
    async fn wait(&mut self, tail: &mut Tail, mut interrupts: Signal) -> io::Result<Ended> {
        let mut late = pin!(passed(self.args.timeout));
        loop {
            let pause = match self.some(tail)? {
                Next::End => return Ok(Ended::Enough),
                Next::GoOn => Duration::ZERO,
                Next::Pause => PAUSE,
            };
            tokio::select! {
                biased;
                _ = interrupts.recv() => return Ok(Ended::Interrupted),
                () = &mut late => return Ok(Ended::TimedOut),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes in what has happened, but not too much at once.
    fn some(&mut self, tail: &mut Tail) -> io::Result<Next> {
        for _ in 0..AT_ONCE {
            match tail.next()? {
                None => return Ok(Next::Pause),
                Some(Event::Line(line)) if self.line(&line) => return Ok(Next::End),
                Some(Event::Line(_)) => {}
                Some(Event::Appeared) => note("the log is there now"),
                Some(Event::Rotated) => {
                    note("the log was rotated: going on with the new file");
                }
                Some(Event::Truncated) => note("the log was cut: going on from its start"),
            }
        }
        Ok(Next::GoOn)
    }

    /// Takes in a line; whether enough has come.
    fn line(&mut self, text: &[u8]) -> bool {
        if is_blank(text) {
            return false;
        }
        match line::read(text) {
            Ok(Entry::Decision(decision)) => self.decision(&decision, text),
            Ok(Entry::Lost(lost)) => {
                if self.since.is_none_or(|since| since <= lost.time) {
                    let lost = usize::try_from(lost.kinds.values().sum::<u64>());
                    let lines = counted(lost.unwrap_or(usize::MAX), "line");
                    note(&format!(
                        "the log lost {lines}: what is waited for may be among them"
                    ));
                }
            }
            Err(why) => note(&format!("a line cannot be read: {}", shown(&why))),
        }
        let come = self.accepted + self.refused;
        !self.args.forever && come >= self.args.count || !self.context.output.is_read()
    }

    fn decision(&mut self, decision: &Decision<'_>, text: &[u8]) {
        if self.since.is_some_and(|since| decision.time < since) {
            return;
        }
        let connector = &*self.args.connector;
        let set = self.args.set.as_deref();
        if !decision.names(connector) || set.is_some_and(|set| decision.set() != set) {
            self.others += 1;
            for name in decision.named() {
                if self.elsewhere.len() < ELSEWHERE && !self.elsewhere.contains(name) {
                    self.elsewhere.insert(name.to_owned());
                }
            }
            return;
        }
        match outcome(decision, connector) {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::NotFinal => {}
        }
        match self.args.format {
            Format::Human => {
                let ink = self.context.output.ink();
                self.context.output.print(&said(decision, connector, ink));
            }
            Format::Json => self.context.output.line(&String::from_utf8_lossy(text)),
        }
    }

    /// What the exit code says of the mail that came.
    fn exit(&self) -> Exit {
        if self.refused > 0 {
            Exit::Failure
        } else {
            Exit::Success
        }
    }

    /// Whether not all has come that was waited for.
    fn is_unanswered(&self) -> bool {
        let come = self.accepted + self.refused;
        come == 0 || !self.args.forever && come < self.args.count
    }

    /// Ends the run without an answer, with what may be the reason.
    fn unanswered(&self, why: &str) -> Stop {
        let name = shown(&self.args.connector);
        let come = match self.accepted + self.refused {
            0 => "no mail".into(),
            come => format!("only {come} of {} mails", self.args.count),
        };
        let meanwhile = if self.others == 0 {
            "no decision at all came: see that the gateway asks this service, and that this is its log"
                .into()
        } else {
            let others = counted(self.others, "decision");
            let elsewhere = self.elsewhere.iter();
            let elsewhere: Vec<_> = elsewhere.map(|it| format!("`{}`", shown(it))).collect();
            let by = if elsewhere.is_empty() {
                "without a connector".into()
            } else {
                format!("by {} for example", elsewhere.join(", "))
            };
            format!(
                "{others} on other mail came meanwhile, {by}: `postern list --covers` with the \
                 partner's domain or address shows which connectors match"
            )
        };
        let said = format!(
            "{why}: {come} came that concerns `{name}`; {meanwhile}. Accepts may be sampled \
             (`accepts` of `[decision_log]`)"
        );
        Stop::new(Exit::Undecided, said)
    }
}

/// Says something about the log itself.
fn note(text: &str) {
    complain(&format!("{text}\n"));
}

/// Ends when this time has passed; never without one.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => future::pending().await,
    }
}

fn cannot_wait(error: io::Error) -> Stop {
    Stop::usage(format!("nothing can be waited for: {error}"))
}

/// How often the log is looked at. Why not watched: it works on every file system, and a look is one
/// stat.
const PAUSE: Duration = Duration::from_millis(100);
/// Events that are taken in before it is seen whether to stop.
const AT_ONCE: usize = 10_000;
/// Other connectors that are named.
const ELSEWHERE: usize = 5;

const EXAMPLES: &str = "\
This proves a new connector: wait, have the partner send a test mail, and read what became of it
and what to mend. A connector in report is judged as if it were enforced. Waiting goes on through
rotation, through truncation and until the file is there; a decision on a condition is shown, and
the one after it waited for.

Examples:
  postern log follow --connector ContosoBank
  postern log follow --connector ContosoBank --since 10m --timeout 1h
  postern log follow --connector ContosoBank --forever --format json /var/log/postern/decisions.jsonl

Exit codes: 0 accepted, 1 refused or deferred, or it would be if the connector's report were
enforced, 2 wrong call, or the file cannot be read, 3 stopped or out of time before it came.";
