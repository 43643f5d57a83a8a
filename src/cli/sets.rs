//! Connector sets read as the service reads them, with all that is to be said about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use crate::{
    config::{self, finding::Finding, render},
    live::Snapshot,
    policy::{Catalog, ConnectorSet, Entry},
    source::{Content, Directory, File},
};

/// Files of connector sets, and what is to be said about them.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The files, in the order of their names.
    pub(crate) files: Vec<Read>,
    /// What is to be said about a directory as a whole, by its path.
    pub(crate) whole: Vec<(String, Finding)>,
}

/// A file that holds, or should hold, a connector set.
#[derive(Debug)]
pub(crate) struct Read {
    /// Its path, as it is shown.
    pub(crate) path: String,
    /// Its text; empty where it could not be read.
    pub(crate) text: String,
    /// What is wrong or worth a thought.
    pub(crate) findings: Vec<Finding>,
    /// Its set; none where there is an error.
    pub(crate) set: Option<Arc<ConnectorSet>>,
    /// It is read for what others have to do with it, and nothing is said about it.
    silent: bool,
}

/// Told how many of how many files are read.
pub(crate) type Progress<'p> = &'p dyn Fn(usize, usize);

/// A text that may be a set: its path as shown, the name of the set, and what was found there.
struct Candidate {
    path: String,
    name: Option<String>,
    content: Content,
    silent: bool,
}

impl Reading {
    /// Reads the connectors' directory `path`, with `default_set` of the settings.
    pub(crate) fn directory(
        path: &Path,
        default_set: Option<&str>,
        progress: Progress<'_>,
    ) -> Self {
        let directory = Directory::new(path);
        let files = match directory.read(|_| None) {
            Ok(files) => files,
            Err(finding) => {
                let whole = vec![(path.display().to_string(), finding)];
                return Self {
                    files: Vec::new(),
                    whole,
                };
            }
        };
        let named = files.iter().filter_map(|file| file.set.clone()).collect();
        let candidates = files
            .into_iter()
            .map(|file| candidate(path, file, false))
            .collect();
        let mut reading = Self::of(candidates, progress);
        reading.judge_whole(&directory, &named, default_set);
        reading
    }

    /// Reads files of one directory, named without it. The other sets of the directory are looked
    /// at where `beside` says so, since they may claim the same domains.
    ///
    /// The error names a file that no service would read.
    pub(crate) fn files(
        directory: &Path,
        names: &BTreeSet<String>,
        beside: bool,
        progress: Progress<'_>,
    ) -> Result<Self, String> {
        let here = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let mut files: BTreeMap<_, _> = Directory::new(here)
            .read(|_| None)
            .map_err(|finding| finding.message)?
            .into_iter()
            .map(|file| (file.name.clone(), file))
            .collect();
        let mut candidates = Vec::new();
        for name in names {
            let Some(file) = files.remove(name) else {
                let path = directory.join(name);
                return Err(if path.exists() {
                    format!(
                        "`{}` would be passed over: a set's file is named `<name>.toml`",
                        path.display()
                    )
                } else {
                    format!(
                        "`{}` does not exist: name files or directories of connector sets",
                        path.display()
                    )
                });
            };
            candidates.push(candidate(directory, file, false));
        }
        if beside {
            candidates.extend(
                files
                    .into_values()
                    .map(|file| candidate(directory, file, true)),
            );
        }
        Ok(Self::of(candidates, progress))
    }

    /// Reads sets that are written in another file, which is shown as `path`.
    pub(crate) fn written(path: &str, sets: &[(String, String)]) -> Self {
        let candidate = |(name, text): &(String, String)| Candidate {
            path: format!("{path}: {name}"),
            name: Some(name.clone()),
            content: Content::Text {
                text: text.clone(),
                digest: [0; 32],
            },
            silent: false,
        };
        Self::of(sets.iter().map(candidate).collect(), &|_, _| {})
    }

    fn of(candidates: Vec<Candidate>, progress: Progress<'_>) -> Self {
        let mut files = load_all(candidates, progress);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut reading = Self {
            files,
            whole: Vec::new(),
        };
        reading.judge_overlaps();
        reading.files.retain(|file| !file.silent);
        reading
    }

    /// Whether a service would refuse to start with it.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings().any(Finding::is_error)
    }

    /// Every finding.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let of_files = self.files.iter().flat_map(|file| &file.findings);
        of_files.chain(self.whole.iter().map(|(_, finding)| finding))
    }

    /// The good sets.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Arc<ConnectorSet>> {
        self.files.iter().filter_map(|file| file.set.as_ref())
    }

    /// What a service would answer from.
    pub(crate) fn snapshot(&self, default_set: Option<&str>) -> Snapshot {
        let entries = self.sets().map(|set| Entry::new(Arc::clone(set))).collect();
        Snapshot {
            catalog: Catalog::new(entries, default_set),
            status: BTreeMap::new(),
            directory_fault: None,
        }
    }

    /// The errors, the first `most` of them: with carets, and in plain lines.
    pub(crate) fn errors(&self, most: usize, colour: bool) -> (String, String) {
        let (mut carets, mut plain) = (String::new(), String::new());
        let mut left = most;
        let files = self
            .files
            .iter()
            .map(|file| (&file.path, &*file.text, &*file.findings));
        let whole = self.whole.iter();
        let whole = whole.map(|(path, finding)| (path, "", std::slice::from_ref(finding)));
        for (path, source, findings) in files.chain(whole) {
            let errors = findings.iter().filter(|finding| finding.is_error());
            let errors: Vec<_> = errors.take(left).cloned().collect();
            left -= errors.len();
            carets.push_str(&render::carets(path, source, &errors, colour));
            plain.push_str(&render::plain(path, source, &errors));
        }
        (carets, plain)
    }

    fn judge_overlaps(&mut self) {
        let good = self
            .files
            .iter()
            .enumerate()
            .filter_map(|(at, file)| Some((at, file.set.clone()?)));
        let good: Vec<(usize, Arc<ConnectorSet>)> = good.collect();
        let sets: Vec<&ConnectorSet> = good.iter().map(|(_, set)| &**set).collect();
        for overlap in config::overlaps(&sets) {
            let findings = overlap.findings(&sets);
            for ((at, _), finding) in [overlap.one, overlap.other].into_iter().zip(findings) {
                let file = good.get(at).and_then(|(file, _)| self.files.get_mut(*file));
                if let Some(file) = file {
                    file.findings.push(finding);
                    file.findings.sort_by_key(|finding| finding.span().start);
                }
            }
        }
    }

    fn judge_whole(
        &mut self,
        directory: &Directory,
        named: &BTreeSet<String>,
        default: Option<&str>,
    ) {
        let sets: Vec<_> = self.sets().collect();
        let finding = if named.is_empty() {
            directory.empty()
        } else if sets.len() == named.len() && sets.iter().all(|set| set.is_retired()) {
            whole("directory-retired", "every connector set is retired".into())
                .help("add a set that is not: without one no call could be answered")
        } else if let Some(default) = default {
            let retired = sets
                .iter()
                .any(|set| set.name() == default && set.is_retired());
            if !retired && named.contains(default) {
                return;
            }
            no_default(default, retired, &sets)
        } else {
            return;
        };
        self.whole
            .push((directory.path().display().to_string(), finding));
    }
}

fn candidate(directory: &Path, file: File, silent: bool) -> Candidate {
    let path: PathBuf = directory.join(&file.name);
    Candidate {
        path: path.display().to_string(),
        name: file.set,
        content: file.content,
        silent,
    }
}

fn load(candidate: Candidate) -> Read {
    let Candidate {
        path,
        name,
        content,
        silent,
    } = candidate;
    let (text, findings, set) = match (name, content) {
        (Some(name), Content::Text { text, .. }) => {
            let outcome = config::load_str(&name, &text);
            (text, outcome.findings, outcome.set)
        }
        (_, Content::Refused { text, finding }) => (text, vec![finding], None),
        (_, Content::Same | Content::Text { .. }) => (String::new(), Vec::new(), None),
    };
    Read {
        path,
        text,
        findings,
        set,
        silent,
    }
}

/// Reads the candidates, several at a time.
fn load_all(candidates: Vec<Candidate>, progress: Progress<'_>) -> Vec<Read> {
    let total = candidates.len();
    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(total.max(1));
    let mut shares: Vec<Vec<Candidate>> = (0..workers).map(|_| Vec::new()).collect();
    for (at, candidate) in candidates.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(at % workers) {
            share.push(candidate);
        }
    }
    let (sender, read) = mpsc::channel();
    thread::scope(|scope| {
        for share in shares {
            let sender = sender.clone();
            scope.spawn(move || {
                for candidate in share {
                    // Why: the receiver outlives the threads.
                    sender.send(load(candidate)).ok();
                }
            });
        }
        drop(sender);
        let mut files = Vec::with_capacity(total);
        for file in read {
            files.push(file);
            progress(files.len(), total);
        }
        files
    })
}

fn no_default(default: &str, retired: bool, sets: &[&Arc<ConnectorSet>]) -> Finding {
    let what = if retired {
        "is retired"
    } else {
        "is not there"
    };
    let message = format!("the connector set `{default}`, which `default_set` names, {what}");
    let others = sets.iter().filter(|set| !set.is_retired()).take(MOST_NAMES);
    let others: Vec<_> = others.map(|set| format!("`{}`", set.name())).collect();
    let help = if others.is_empty() {
        "let `default_set` of the settings name a set that is there, or leave it out".to_owned()
    } else {
        format!(
            "let `default_set` of the settings name one that is there, like {}",
            others.join(", ")
        )
    };
    whole("default-set-unknown", message).help(help)
}

/// A finding about a directory as a whole, without a place in a file.
fn whole(code: &'static str, message: String) -> Finding {
    let mut finding = Finding::error(code, 0..0, message);
    finding.labels.clear();
    finding
}

const MOST_NAMES: usize = 5;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{config::settings::Settings, source::Reload, telemetry::Metrics};

    const GOOD: &str = "version = 1\naccepted_domains = [\"contoso.com\"]\n[[inbound]]\nname = \"A\"\n\
                        match.sender_domains = [\"a.example\"]\nrequire.tls = \"encrypt\"\n[end]\n";
    const RETIRED: &str = "version = 1\nretired = true\n[end]\n";
    const BAD: &str = "version = 1\n[end]\nx = 1\n";

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn says_what_a_start_says() {
        for (files, default_set) in [
            (&[("a.toml", GOOD)][..], None),
            (&[("a.toml", GOOD)], Some("a")),
            (&[("a.toml", GOOD)], Some("b")),
            (&[("a.toml", GOOD), ("b.toml", RETIRED)], Some("b")),
            (&[("a.toml", RETIRED)], None),
            (&[("a.toml", RETIRED)], Some("a")),
            (&[], None),
            (&[("notes.txt", "")], Some("a")),
            (&[("A.toml", GOOD)], None),
            (&[("a.toml", BAD)], None),
            (&[("a.toml", BAD), ("b.toml", RETIRED)], Some("a")),
            (&[("a.toml", BAD), ("b.toml", GOOD)], Some("c")),
            (
                &[("a.toml", GOOD), ("b.toml", GOOD), ("c.toml", BAD)],
                Some("b"),
            ),
        ] {
            let place = directory(files);
            let reading = Reading::directory(place.path(), default_set, &|_, _| {});
            let settings = Settings {
                connectors: place.path().into(),
                default_set: default_set.map(str::to_owned),
                ..Settings::default()
            };
            let start = Reload::start(&settings, Metrics::new());
            let errors = reading.files.iter().map(|file| {
                let name = file.path.rsplit('/').next().unwrap();
                render::plain(name, &file.text, &file.findings)
            });
            let whole = reading.whole.iter();
            let whole = whole.map(|(path, it)| render::plain(path, "", std::slice::from_ref(it)));
            let said: String = errors.chain(whole).collect();
            match start {
                Ok(_) => assert!(!reading.has_errors(), "{files:?}: {said}"),
                Err(error) => assert_eq!(said, error.to_string(), "{files:?}"),
            }
        }
    }

    #[test]
    fn a_file_is_compared_with_those_beside_it() {
        let place = directory(&[("a.toml", GOOD), ("b.toml", GOOD), ("c.toml", BAD)]);
        let names = BTreeSet::from(["b.toml".to_owned()]);
        let read = |beside| Reading::files(place.path(), &names, beside, &|_, _| {}).unwrap();
        let codes = |reading: &Reading| reading.findings().map(|it| it.code).collect::<Vec<_>>();
        assert_eq!(codes(&read(true)), ["accepted-overlap"]);
        assert_eq!(read(true).files.len(), 1);
        assert_eq!(codes(&read(false)), [""; 0]);
        for (name, message) in [("d.toml", "does not exist"), ("notes.txt", "passed over")] {
            fs::write(place.path().join("notes.txt"), "").unwrap();
            let names = BTreeSet::from([name.to_owned()]);
            let error = Reading::files(place.path(), &names, true, &|_, _| {}).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
