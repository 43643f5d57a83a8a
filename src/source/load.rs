//! Making connector sets of files, several at a time.

use std::{num::NonZero, panic, sync::Arc, thread};

use super::file::{Content, Digest, File};
use crate::{
    config::{self, finding::Finding},
    policy::ConnectorSet,
};

/// What became of a file.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The name of the file.
    pub(super) file: String,
    /// The set that it holds; none where its name cannot be a set's.
    pub(super) name: Option<String>,
    /// The text that the findings' places are in.
    pub(super) text: String,
    /// The set, and of which octets; none where there is an error among the findings.
    pub(super) set: Option<(Arc<ConnectorSet>, Digest)>,
    /// The octets that it was made of; none where it could not be read.
    pub(super) digest: Option<Digest>,
    /// All that is wrong or worth a thought, in the order of the file.
    pub(super) findings: Vec<Finding>,
}

/// What became of each of `files`, in their order; those that are the same as before are left out.
pub(super) fn load_all(files: Vec<File>) -> Vec<Loaded> {
    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(files.len());
    if workers < 2 {
        return files.into_iter().filter_map(load).collect();
    }
    let mut shares: Vec<Vec<File>> = (0..workers).map(|_| Vec::new()).collect();
    for (file, share) in files.into_iter().zip((0..workers).cycle()) {
        if let Some(share) = shares.get_mut(share) {
            share.push(file);
        }
    }
    let mut loaded: Vec<Loaded> = thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(|| share.into_iter().filter_map(load).collect::<Vec<_>>()))
            .collect();
        running
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|fault| panic::resume_unwind(fault))
            })
            .collect()
    });
    loaded.sort_by(|a, b| a.file.cmp(&b.file));
    loaded
}

fn load(file: File) -> Option<Loaded> {
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
            let set = outcome.set.map(|set| (set, digest));
            let (name, digest) = (Some(name), Some(digest));
            Some(Loaded {
                file,
                name,
                text,
                set,
                digest,
                findings: outcome.findings,
            })
        }
        (_, None, Content::Text { .. }) | (_, _, Content::Same) => None,
    }
}
