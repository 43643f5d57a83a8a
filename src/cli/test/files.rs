//! Finds the expectations files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::Broken;
use crate::{
    cli::{Context, exit::Stop, expectations::Expectations},
    config::render,
};

/// A file, and the expectations in it.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path, as named or below what was named.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) read: Result<Expectations, Broken>,
}

/// The expectations files among `paths` and below them, by path. What another file names as its
/// connectors is none.
pub(super) fn find(paths: &[PathBuf], context: &Context<'_>) -> Result<Vec<Found>, Stop> {
    let mut files = BTreeSet::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| {
            let path = path.display();
            Stop::usage(format!(
                "there are no expectations in `{path}` ({error}): write some, or name another path"
            ))
        })?;
        if metadata.is_dir() {
            below(path, &mut files).map_err(|error| {
                Stop::usage(format!("`{}` cannot be read: {error}", path.display()))
            })?;
        } else {
            files.insert(path.clone());
        }
    }
    let read: BTreeMap<PathBuf, _> = files
        .into_iter()
        .map(|path| (path.clone(), read(&path, context)))
        .collect();
    let asked: BTreeSet<PathBuf> = read
        .iter()
        .filter_map(|(path, read)| read.as_ref().ok()?.connectors_of(path))
        .filter_map(|asked| fs::canonicalize(asked).ok())
        .collect();
    let is_set = |path: &Path| {
        let path = fs::canonicalize(path).unwrap_or_default();
        asked.contains(&path) || path.parent().is_some_and(|parent| asked.contains(parent))
    };
    let found = read
        .into_iter()
        .filter(|(path, read)| read.is_ok() || !is_set(path));
    Ok(found.map(|(path, read)| Found { path, read }).collect())
}

/// Adds the `.toml` files below `directory` that are not hidden.
fn below(directory: &Path, files: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // Why: links to directories are not followed, so that none leads round in a circle.
        if entry.file_type()?.is_dir() {
            below(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && path.is_file()
        {
            files.insert(path);
        }
    }
    Ok(())
}

fn read(path: &Path, context: &Context<'_>) -> Result<Expectations, Broken> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Broken::new(format!("the file cannot be read: {error}")))?;
    Expectations::parse(&text).map_err(|findings| Broken {
        message: "these are no expectations: mend what is shown".to_owned(),
        carets: render::carets(&shown, &text, &findings, context.output.ink().is_coloured()),
        plain: render::plain(&shown, &text, &findings),
    })
}
