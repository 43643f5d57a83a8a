//! Reading all connector sets for a start: everything that is wrong, in one run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    file::{Digest, Directory, whole},
    load::{Loaded, load_all},
};
use crate::{
    config::{self, finding::Finding, render},
    policy::ConnectorSet,
};

/// A file, or the directory of all, with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The name of the file, or the path of the directory.
    pub name: String,
    /// The text that the findings' places are in; empty where they have none.
    pub text: String,
    /// What is wrong or worth a thought; not empty.
    pub findings: Vec<Finding>,
}

/// Why the service cannot start: its connectors are not as they must be.
#[derive(Debug)]
pub struct StartError {
    checked: Vec<Checked>,
}

impl StartError {
    /// All that is to be said, by file; the directory comes last.
    pub fn checked(&self) -> &[Checked] {
        &self.checked
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Checked {
            name,
            text,
            findings,
        } in &self.checked
        {
            f.write_str(&render::plain(name, text, findings))?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

/// The sets that a service starts with.
#[derive(Debug)]
pub(super) struct Started {
    /// Every good set, with the digest of its file.
    pub(super) sets: Vec<(Arc<ConnectorSet>, Digest)>,
    /// What is worth a thought in them.
    pub(super) warnings: Vec<Checked>,
}

/// Reads every set of `directory`; `default_set` must be one of them.
pub(super) fn start(
    directory: &Directory,
    default_set: Option<&str>,
) -> Result<Started, StartError> {
    let place = directory.path().display().to_string();
    let about = |finding| Checked {
        name: place.clone(),
        text: String::new(),
        findings: vec![finding],
    };
    let files = match directory.read(|_| None) {
        Ok(files) => files,
        Err(finding) => {
            return Err(StartError {
                checked: vec![about(finding)],
            });
        }
    };
    let names: BTreeSet<String> = files.iter().filter_map(|file| file.set.clone()).collect();
    let (mut sets, mut checked) = (Vec::new(), BTreeMap::new());
    for Loaded {
        file: name,
        text,
        set,
        findings,
        ..
    } in load_all(files)
    {
        sets.extend(set);
        checked.insert(
            name.clone(),
            Checked {
                name,
                text,
                findings,
            },
        );
    }
    add_overlaps(&sets, &mut checked);
    let mut checked: Vec<Checked> = checked
        .into_values()
        .filter(|checked| !checked.findings.is_empty())
        .collect();
    if names.is_empty() {
        checked.push(about(directory.empty()));
    } else if sets.len() == names.len() && sets.iter().all(|(set, _)| set.is_retired()) {
        checked.push(about(all_retired()));
    } else if let Some(default) = default_set {
        let default_entry = sets.iter().find(|(set, _)| set.name() == default);
        let retired = default_entry.is_some_and(|(set, _)| set.is_retired());
        if retired || !names.contains(default) {
            checked.push(about(no_default(default, retired, &sets)));
        }
    }
    if checked
        .iter()
        .any(|checked| checked.findings.iter().any(Finding::is_error))
    {
        return Err(StartError { checked });
    }
    Ok(Started {
        sets,
        warnings: checked,
    })
}

fn add_overlaps(sets: &[(Arc<ConnectorSet>, Digest)], checked: &mut BTreeMap<String, Checked>) {
    let sets: Vec<&ConnectorSet> = sets.iter().map(|(set, _)| &**set).collect();
    for overlap in config::overlaps(&sets) {
        let findings = overlap.findings(&sets);
        for ((at, _), finding) in [overlap.one, overlap.other].into_iter().zip(findings) {
            let name = sets.get(at).map_or("", |set| set.name());
            if let Some(checked) = checked.get_mut(&format!("{name}.toml")) {
                checked.findings.push(finding);
                checked.findings.sort_by_key(|finding| finding.span().start);
            }
        }
    }
}

fn all_retired() -> Finding {
    whole(
        "directory-retired",
        "every connector set is retired".to_owned(),
    )
    .help("add a set that is not: without one no call could be answered")
}

fn no_default(default: &str, retired: bool, sets: &[(Arc<ConnectorSet>, Digest)]) -> Finding {
    let what = if retired {
        "is retired"
    } else {
        "is not there"
    };
    let message = format!("the connector set `{default}`, which `default_set` names, {what}");
    let others = sets
        .iter()
        .filter(|(set, _)| !set.is_retired())
        .take(MOST_NAMES);
    let others: Vec<_> = others.map(|(set, _)| format!("`{}`", set.name())).collect();
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

const MOST_NAMES: usize = 5;
