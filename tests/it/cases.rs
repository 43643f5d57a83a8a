//! The decision tables of `tests/cases`, taken through the decision itself, through a live server,
//! and through `postern explain`: three ways to one answer.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use postern::{
    cli::expectations::{Answer, Asked, Case, Expectations, Question, check},
    config,
    live::Snapshot,
    policy::{Catalog, Entry},
    rpc::{Failure, answer, client::Client, json, pb},
};
use tempfile::TempDir;

use crate::running::{Running, postern};

/// A way to ask.
pub(crate) trait Decider {
    fn ask(&mut self, question: &Question) -> Answer;
}

/// The decision itself, without a server.
pub(crate) struct Policy(Snapshot);

/// A server of its own for each file.
struct Served {
    runtime: tokio::runtime::Runtime,
    client: Client,
    _running: Running,
}

/// The command line, once for each question.
struct Explained {
    folder: TempDir,
}

impl Policy {
    pub(crate) fn new(sets: &[(String, String)], default_set: Option<&str>) -> Self {
        let entries = sets.iter().map(|(name, text)| {
            let outcome = config::load_str(name, text);
            let set = outcome.set.unwrap_or_else(|| {
                panic!(
                    "{}",
                    config::render::carets(name, text, &outcome.findings, false)
                )
            });
            Entry::new(Arc::clone(&set))
        });
        Self(Snapshot {
            catalog: Catalog::new(entries.collect(), default_set),
            status: BTreeMap::new(),
            directory_fault: None,
        })
    }
}

impl Decider for Policy {
    fn ask(&mut self, question: &Question) -> Answer {
        match question {
            Question::Inbound(question) => answer::inbound(&self.0, question).into(),
            Question::Outbound(question) => answer::outbound(&self.0, question).into(),
        }
    }
}

impl Served {
    fn new(folder: TempDir, settings: &str) -> Self {
        let running = Running::serve_folder(folder, settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(running.client());
        Self {
            runtime,
            client,
            _running: running,
        }
    }
}

impl Decider for Served {
    fn ask(&mut self, question: &Question) -> Answer {
        let decisions = &mut self.client.decisions;
        let failed = |status: tonic::Status| Failure::from(&status);
        match question {
            Question::Inbound(question) => {
                let answer = self
                    .runtime
                    .block_on(decisions.check_inbound(question.clone()));
                answer
                    .map(tonic::Response::into_inner)
                    .map_err(failed)
                    .into()
            }
            Question::Outbound(question) => {
                let answer = self
                    .runtime
                    .block_on(decisions.check_outbound(question.clone()));
                answer
                    .map(tonic::Response::into_inner)
                    .map_err(failed)
                    .into()
            }
        }
    }
}

impl Decider for Explained {
    fn ask(&mut self, question: &Question) -> Answer {
        let (direction, facts) = match question {
            Question::Inbound(question) => (
                "inbound",
                json::to_json("postern.v1.CheckInboundRequest", question),
            ),
            Question::Outbound(question) => (
                "outbound",
                json::to_json("postern.v1.CheckOutboundRequest", question),
            ),
        };
        let mut child = postern()
            .args([
                "explain", direction, "--facts", "-", "--format", "json", "--config",
            ])
            .arg(self.folder.path().join("postern.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        write!(child.stdin.take().unwrap(), "{facts}").unwrap();
        let output = child.wait_with_output().unwrap();
        let mut told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        if let Some(error) = told.get("error") {
            let fields = error["bad_fields"].as_array().cloned().unwrap_or_default();
            let status = error["status"].as_str().unwrap().to_owned();
            let code = if status == "INVALID_ARGUMENT" { 2 } else { 3 };
            assert_eq!(output.status.code(), Some(code));
            return Answer::Failure {
                status,
                message: error["message"].as_str().unwrap().to_owned(),
                bad_fields: fields
                    .iter()
                    .map(|field| field["field"].as_str().unwrap().into())
                    .collect(),
            };
        }
        let decision = told["decision"].take();
        let (answer, verdict) = if direction == "inbound" {
            let answer: pb::CheckInboundResponse =
                json::from_json("postern.v1.CheckInboundResponse", decision).unwrap();
            let verdict = answer.verdict();
            (Answer::Inbound(Box::new(answer)), verdict)
        } else {
            let answer: pb::CheckOutboundResponse =
                json::from_json("postern.v1.CheckOutboundResponse", decision).unwrap();
            let verdict = answer.verdict();
            (Answer::Outbound(Box::new(answer)), verdict)
        };
        let code = match verdict {
            pb::Verdict::Accept | pb::Verdict::Conditional => 0,
            pb::Verdict::Reject => 1,
            pb::Verdict::Defer => 4,
            pb::Verdict::Unspecified => panic!("no verdict"),
        };
        assert_eq!(output.status.code(), Some(code), "{verdict:?}");
        answer
    }
}

/// A file of cases, with the sets that it asks.
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) sets: Vec<(String, String)>,
    pub(crate) default_set: Option<String>,
    pub(crate) cases: Vec<Case>,
}

impl Table {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let file = Expectations::parse(&text).unwrap_or_else(|findings| {
            panic!(
                "{}",
                config::render::carets(&path.display().to_string(), &text, &findings, false)
            )
        });
        let Asked::Written(sets) = file.asked else {
            panic!("{}: it has no [sets]", path.display())
        };
        Self {
            path,
            sets,
            default_set: file.default_set,
            cases: file.cases,
        }
    }

    pub(crate) fn all() -> Vec<Self> {
        let mut files = Vec::new();
        find(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"),
            &mut files,
        );
        files.sort();
        files.into_iter().map(Self::read).collect()
    }

    /// A folder with the sets and settings.
    pub(crate) fn folder(&self) -> (TempDir, String) {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("connectors")).unwrap();
        for (name, text) in &self.sets {
            fs::write(folder.path().join(format!("connectors/{name}.toml")), text).unwrap();
        }
        let settings = self.default_set.as_ref();
        let settings = settings.map(|name| format!("[connectors]\ndefault_set = \"{name}\"\n"));
        let settings = settings.unwrap_or_default();
        fs::write(
            folder.path().join("postern.toml"),
            format!("version = 1\n{settings}"),
        )
        .unwrap();
        (folder, settings)
    }

    fn run(&self, decider: &mut dyn Decider, failures: &mut Vec<String>) {
        for case in &self.cases {
            for mismatch in check(case, &decider.ask(&case.question)) {
                failures.push(format!(
                    "{}:{} {}: {} should be {}, is {}",
                    self.path.display(),
                    case.line,
                    case.name,
                    mismatch.key,
                    mismatch.expected,
                    mismatch.got
                ));
            }
        }
    }
}

/// The questions of the tables in `folder` of `tests/cases`, changed as `change` says, with what the
/// decision itself answers.
pub(crate) fn answered(folder: &str, change: impl Fn(&mut Question)) -> Vec<(Question, Answer)> {
    let folder = Path::new("tests/cases").join(folder);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let tables = Table::all().into_iter();
    let mut all = Vec::new();
    for table in tables.filter(|table| table.path.starts_with(&folder)) {
        let mut policy = Policy::new(&table.sets, table.default_set.as_deref());
        for case in table.cases {
            let mut question = case.question;
            change(&mut question);
            let answer = policy.ask(&question);
            all.push((question, answer));
        }
    }
    all
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
}

/// Takes every table through its decider, on both cores.
fn through(decider: impl Fn(&Table) -> Box<dyn Decider> + Sync) {
    let tables = Table::all();
    let half = tables.len().div_ceil(4);
    let decider = &decider;
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = tables
            .chunks(half)
            .map(|tables| {
                scope.spawn(move || {
                    let mut failures = Vec::new();
                    for table in tables {
                        table.run(&mut *decider(table), &mut failures);
                    }
                    failures
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn there_are_enough() {
    let tables = Table::all();
    assert!(tables.iter().map(|table| table.cases.len()).sum::<usize>() >= 200);
}

#[test]
fn through_policy() {
    through(|table| Box::new(Policy::new(&table.sets, table.default_set.as_deref())));
}

#[test]
fn through_a_server() {
    through(|table| {
        let (folder, settings) = table.folder();
        Box::new(Served::new(folder, &settings))
    });
}

#[test]
fn through_explain() {
    through(|table| {
        Box::new(Explained {
            folder: table.folder().0,
        })
    });
}

/// A wrong expectation fails in each of the three: the runner can fail.
#[test]
fn a_wrong_expectation_fails() {
    let mut table = Table::all().swap_remove(0);
    table.cases.truncate(1);
    for case in &mut table.cases {
        case.expect.verdict = Some("CONDITIONAL".into());
        case.expect.set = Some("nowhere".into());
    }
    let (folder, settings) = table.folder();
    let deciders: [Box<dyn Decider>; 3] = [
        Box::new(Policy::new(&table.sets, table.default_set.as_deref())),
        Box::new(Served::new(folder, &settings)),
        Box::new(Explained {
            folder: table.folder().0,
        }),
    ];
    for mut decider in deciders {
        let mut failures = Vec::new();
        table.run(&mut *decider, &mut failures);
        assert_eq!(failures.len(), 2, "{failures:?}");
    }
}
