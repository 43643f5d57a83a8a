//! Reading all connector sets for a start: everything that is wrong, in one run.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    file::{Digest, Directory, whole},
    load::{Loaded, load_all},
};
use crate::{
    config::{self, finding::Finding, render, settings::bounds::Bounds},
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
    /// What is wrong with one file.
    pub(super) fn of(checked: Checked) -> Self {
        let checked = vec![checked];
        Self { checked }
    }

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

/// Reads every set of `directory`, each within `bounds`; `default_set` must be one of them.
pub(super) fn start(
    directory: &Directory,
    default_set: Option<&str>,
    bounds: &Bounds,
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
    let mut loaded = load_all(files, bounds, &|_, _| {});
    judge_overlaps(&mut loaded);
    let about_all = judge_whole(directory, &loaded, default_set);
    let (mut sets, mut checked) = (Vec::new(), Vec::new());
    for Loaded {
        file: name,
        text,
        set,
        findings,
        ..
    } in loaded
    {
        sets.extend(set);
        if !findings.is_empty() {
            checked.push(Checked {
                name,
                text,
                findings,
            });
        }
    }
    checked.extend(about_all.map(about));
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

/// Adds what is to be said of sets that claim the same domain.
pub fn judge_overlaps(loaded: &mut [Loaded]) {
    let good: Vec<(usize, Arc<ConnectorSet>)> = loaded
        .iter()
        .enumerate()
        .filter_map(|(at, loaded)| Some((at, Arc::clone(&loaded.set.as_ref()?.0))))
        .collect();
    let sets: Vec<&ConnectorSet> = good.iter().map(|(_, set)| &**set).collect();
    for overlap in config::overlaps(&sets) {
        let findings = overlap.findings(&sets);
        for ((at, _), finding) in [overlap.one, overlap.other].into_iter().zip(findings) {
            let file = good.get(at).and_then(|(file, _)| loaded.get_mut(*file));
            if let Some(file) = file {
                file.findings.push(finding);
                file.findings.sort_by_key(|finding| finding.span().start);
            }
        }
    }
}

/// What is to be said of the directory as a whole, of which `loaded` are all the files.
pub fn judge_whole(
    directory: &Directory,
    loaded: &[Loaded],
    default_set: Option<&str>,
) -> Option<Finding> {
    let names: BTreeSet<&str> = loaded
        .iter()
        .filter_map(|file| file.name.as_deref())
        .collect();
    let sets: Vec<&ConnectorSet> = loaded
        .iter()
        .filter_map(|file| Some(&*file.set.as_ref()?.0))
        .collect();
    if names.is_empty() {
        return Some(directory.empty());
    }
    if sets.len() == names.len() && sets.iter().all(|set| set.is_retired()) {
        return Some(all_retired());
    }
    let default = default_set?;
    let retired = sets
        .iter()
        .any(|set| set.name() == default && set.is_retired());
    (retired || !names.contains(default)).then(|| no_default(default, retired, &sets))
}

fn all_retired() -> Finding {
    whole(
        "directory-retired",
        "every connector set is retired".to_owned(),
    )
    .help("add a set that is not: without one no call could be answered")
}

fn no_default(default: &str, retired: bool, sets: &[&ConnectorSet]) -> Finding {
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

const MOST_NAMES: usize = 5;
