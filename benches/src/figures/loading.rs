//! What it costs to bring connectors into force.

use std::{
    error::Error,
    fs,
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use postern::{
    config::{self, settings::Settings},
    live::Live,
    source::Reload,
    telemetry::Metrics,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::timing::{Times, repeat};
use crate::sets;

/// How many connectors the sets have that are loaded.
pub const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// A directory of connector sets in force.
#[derive(Debug)]
pub struct Service {
    directory: TempDir,
    reload: Reload,
    live: Arc<Live>,
}

impl Service {
    /// Starts with these files.
    pub fn start(files: &[(String, String)]) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        for (name, text) in files {
            fs::write(directory.path().join(name), text)?;
        }
        let settings = Settings {
            connectors: directory.path().to_owned(),
            ..Settings::default()
        };
        let (reload, live) = Reload::start(&settings, Metrics::new())?;
        Ok(Self {
            directory,
            reload,
            live,
        })
    }

    /// Where its files are.
    pub fn folder(&self) -> Folder {
        Folder(self.directory.path().to_owned())
    }

    /// Brings into force what was saved; true where something was.
    pub fn pass(&mut self) -> bool {
        let before = self.live.snapshot();
        black_box(self.reload.pass(&self.live));
        !Arc::ptr_eq(&before, &self.live.snapshot())
    }
}

/// Where the files of a service are.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Saves a file as editors do: beside it, and then in its place.
    pub fn save(&self, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let beside = self.0.join(format!(".{name}.new"));
        fs::write(&beside, text)?;
        fs::rename(beside, self.0.join(name))?;
        Ok(())
    }
}

/// Loads sets of these sizes, each again and again for about `patience`.
pub fn measure(sizes: &[usize], patience: Duration, told: &mut dyn FnMut(&str)) -> Vec<Value> {
    let mut rows = Vec::new();
    for &size in sizes {
        told(&format!("loading {size} connectors"));
        let text = sets::text(size, true);
        let (mut load, mut digest, mut whole) =
            (Times::default(), Times::default(), Times::default());
        repeat(patience, || {
            let begin = Instant::now();
            black_box(sets::load(&text)).ok();
            load.add(begin.elapsed(), size);
            let begin = Instant::now();
            black_box(config::digest(&text));
            digest.add(begin.elapsed(), size);
        });
        match passes(size, &text, patience, &mut whole) {
            Ok(()) => {}
            Err(error) => told(&format!("a reload failed: {error}")),
        }
        rows.push(json!({
            "connectors": size,
            "text_octets": text.len(),
            "load_ns_per_connector": load.median(),
            "digest_ns_per_connector": digest.median(),
            "reload_ns_per_connector": whole.median(),
        }));
    }
    rows
}

/// Saved and read again, file to live, as the service does it: on one thread, as it is one file.
fn passes(
    size: usize,
    text: &str,
    patience: Duration,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    let name = "contoso.toml".to_owned();
    let mut service = Service::start(&[(name.clone(), text.to_owned())])?;
    let folder = service.folder();
    let mut saves = 0_u32;
    let mut faults = Ok(());
    repeat(patience, || {
        saves += 1;
        if let Err(error) = folder.save(&name, &format!("# Save {saves}.\n{text}")) {
            faults = Err(error);
        }
        let begin = Instant::now();
        let changed = service.pass();
        times.add(begin.elapsed(), size);
        if !changed {
            faults = Err("a save changed nothing".into());
        }
    });
    faults
}

/// A directory of a thousand small sets, as `files` of their names and texts.
pub fn thousand(files: usize) -> Vec<(String, String)> {
    (0..files)
        .map(|at| (format!("org-{at:04}.toml"), small(at, 0)))
        .collect()
}

/// The text of one of them, ten connectors, at its so manieth save.
pub fn small(at: usize, save: u32) -> String {
    let text = sets::text(10, false);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("accepted_domains"));
    let mut text = format!("# Set {at}, save {save}.\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("version") {
            let own = format!("accepted_domains = [\"org-{at:04}.example\"]\n");
            text.push_str(&own);
        }
    }
    text
}

/// What a pass costs after one file among so many was saved, and where none was, in nanoseconds.
pub fn one_among(
    files: usize,
    patience: Duration,
    told: &mut dyn FnMut(&str),
) -> Result<Value, Box<dyn Error>> {
    told(&format!("a reload of one file among {files}"));
    let mut service = Service::start(&thousand(files))?;
    let folder = service.folder();
    let (mut one, mut none) = (Times::default(), Times::default());
    let mut save = 0;
    let mut faults: Result<(), Box<dyn Error>> = Ok(());
    repeat(patience, || {
        save += 1;
        let at = files / 2;
        if let Err(error) = folder.save(&format!("org-{at:04}.toml"), &small(at, save)) {
            faults = Err(error);
        }
        let begin = Instant::now();
        let changed = service.pass();
        one.add(begin.elapsed(), 1);
        if !changed {
            faults = Err("a save changed nothing".into());
        }
        let begin = Instant::now();
        service.pass();
        none.add(begin.elapsed(), 1);
    });
    faults?;
    Ok(json!({ "files": files, "one_ns": one.median(), "none_ns": none.median() }))
}
