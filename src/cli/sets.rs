//! Connector sets read as the service reads them, with all that is to be said about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use crate::{
    config::{finding::Finding, render, settings::bounds::Bounds},
    live::Snapshot,
    policy::{Catalog, ConnectorSet, Entry},
    source::{self, Content, Directory, File, Loaded, Progress},
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
}

impl Reading {
    /// Reads the connectors' directory `path`, with `default_set` and `bounds` of the settings.
    pub(crate) fn directory(
        path: &Path,
        default_set: Option<&str>,
        bounds: &Bounds,
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
        let mut loaded = source::load_all(files, bounds, progress);
        source::judge_overlaps(&mut loaded);
        let about = source::judge_whole(&directory, &loaded, default_set);
        let place = path.display().to_string();
        Self {
            files: loaded
                .into_iter()
                .map(|file| Read::of(path, file))
                .collect(),
            whole: about.map(|finding| (place, finding)).into_iter().collect(),
        }
    }

    /// Reads files of one directory, named without it. The other sets of the directory are looked
    /// at where `beside` says so, since they may claim the same domains; none may claim more than
    /// `bounds` let it.
    ///
    /// The error names a file that no service would read.
    pub(crate) fn files(
        directory: &Path,
        names: &BTreeSet<String>,
        beside: bool,
        bounds: &Bounds,
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
        let mut wanted = Vec::new();
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
            wanted.push(file);
        }
        if beside {
            wanted.extend(files.into_values());
        }
        let mut loaded = source::load_all(wanted, bounds, progress);
        source::judge_overlaps(&mut loaded);
        loaded.retain(|file| names.contains(&file.file));
        Ok(Self {
            files: loaded
                .into_iter()
                .map(|file| Read::of(directory, file))
                .collect(),
            whole: Vec::new(),
        })
    }

    /// Reads sets that are written in another file, which is shown as `path`.
    pub(crate) fn written(path: &str, sets: &[(String, String)]) -> Self {
        let files = sets.iter().map(|(name, text)| File {
            name: format!("{path}: {name}"),
            set: Some(name.clone()),
            content: Content::Text {
                text: text.clone(),
                digest: [0; 32],
            },
        });
        let mut loaded = source::load_all(files.collect(), &Bounds::default(), &|_, _| {});
        source::judge_overlaps(&mut loaded);
        Self {
            files: loaded
                .into_iter()
                .map(|file| Read::of(Path::new(""), file))
                .collect(),
            whole: Vec::new(),
        }
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
}

impl Read {
    /// What became of a file of `directory`.
    fn of(directory: &Path, loaded: Loaded) -> Self {
        let Loaded {
            file,
            text,
            set,
            findings,
            ..
        } = loaded;
        Self {
            path: directory.join(file).display().to_string(),
            text,
            findings,
            set: set.map(|(set, _)| set),
        }
    }
}

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
            let reading =
                Reading::directory(place.path(), default_set, &Bounds::default(), &|_, _| {});
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
        let read = |beside| {
            Reading::files(place.path(), &names, beside, &Bounds::default(), &|_, _| {}).unwrap()
        };
        let codes = |reading: &Reading| reading.findings().map(|it| it.code).collect::<Vec<_>>();
        assert_eq!(codes(&read(true)), ["accepted-overlap"]);
        assert_eq!(read(true).files.len(), 1);
        assert_eq!(codes(&read(false)), [""; 0]);
        for (name, message) in [("d.toml", "does not exist"), ("notes.txt", "passed over")] {
            fs::write(place.path().join("notes.txt"), "").unwrap();
            let names = BTreeSet::from([name.to_owned()]);
            let error = Reading::files(place.path(), &names, true, &Bounds::default(), &|_, _| {})
                .unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
