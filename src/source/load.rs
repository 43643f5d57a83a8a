//! Making connector sets of files, several at a time.

use std::{
    num::NonZero,
    sync::{Arc, mpsc},
    thread,
};

use super::file::{Content, Digest, File};
use crate::{
    config::{self, finding::Finding, settings::bounds::Bounds},
    policy::ConnectorSet,
};

/// What became of a file.
#[derive(Debug)]
pub struct Loaded {
    /// The name of the file.
    pub file: String,
    /// The set that it holds; none where its name cannot be a set's.
    pub name: Option<String>,
    /// The text that the findings' places are in.
    pub text: String,
    /// The set, and of which octets; none where there is an error among the findings.
    pub set: Option<(Arc<ConnectorSet>, Digest)>,
    /// The octets that it was made of; none where it could not be read.
    pub digest: Option<Digest>,
    /// All that is wrong or worth a thought, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Told how many of how many files are loaded.
pub type Progress<'p> = &'p dyn Fn(usize, usize);

/// What became of each of `files`, in the order of their names; those that are the same as before
/// are left out. None may claim more than `bounds` let it.
pub fn load_all(files: Vec<File>, bounds: &Bounds, progress: Progress<'_>) -> Vec<Loaded> {
    load_on(processors(), files, bounds, progress)
}

/// The same beside serving: on half of the processors at most.
pub(super) fn load_beside(files: Vec<File>, bounds: &Bounds) -> Vec<Loaded> {
    load_on((processors() / 2).max(1), files, bounds, &|_, _| {})
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn load_on(
    workers: usize,
    files: Vec<File>,
    bounds: &Bounds,
    progress: Progress<'_>,
) -> Vec<Loaded> {
    let total = files.len();
    let workers = workers.min(total);
    let mut shares: Vec<Vec<File>> = (0..workers).map(|_| Vec::new()).collect();
    for (file, share) in files.into_iter().zip((0..workers).cycle()) {
        if let Some(share) = shares.get_mut(share) {
            share.push(file);
        }
    }
    let (sender, receiver) = mpsc::channel();
    let mut loaded: Vec<Loaded> = thread::scope(|scope| {
        for share in shares {
            let sender = sender.clone();
            scope.spawn(move || {
                for file in share {
                    // Why: the receiver outlives the threads.
                    sender.send(load(file, bounds)).ok();
                }
            });
        }
        drop(sender);
        let counted = receiver.into_iter().enumerate().map(|(at, loaded)| {
            progress(at + 1, total);
            loaded
        });
        counted.flatten().collect()
    });
    loaded.sort_by(|a, b| a.file.cmp(&b.file));
    loaded
}

fn load(file: File, bounds: &Bounds) -> Option<Loaded> {
    match (file.name, file.set, file.content) {
        (file, name, Content::Refused { text, finding }) => Some(Loaded {
            file,
            name,
            text,
            set: None,
            digest: None,
            findings: vec![finding],
        }),
        (file, Some(name), Content::Text { text, digest }) => {
            let outcome = config::load_str(&name, &text);
            let mut findings = outcome.findings;
            let set = outcome.set.filter(|set| {
                let beyond = bounds.judge(set);
                let within = beyond.is_empty();
                findings.extend(beyond);
                findings.sort_by_key(|finding| finding.span().start);
                within
            });
            let set = set.map(|set| (set, digest));
            let (name, digest) = (Some(name), Some(digest));
            Some(Loaded {
                file,
                name,
                text,
                set,
                digest,
                findings,
            })
        }
        (_, None, Content::Text { .. }) | (_, _, Content::Same) => None,
    }
}
