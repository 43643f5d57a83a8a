//! `[decision_log]`: where decisions are written down, which of them, and what of them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{
        finding::{Finding, Findings},
        table::{At, table},
        words::shown,
    },
    share::{Share, share},
    size::size,
};

/// How decisions are written down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecisionLog {
    /// Where to.
    pub output: Output,
    /// Which part of the mail that may pass is written down; what may not always is.
    pub accepts: Share,
    /// What is shown of envelope addresses.
    pub addresses: Addresses,
    /// How many octets may wait to be written.
    pub queue: usize,
}

/// Where decisions are written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// To the end of a file.
    File {
        /// Its path.
        path: PathBuf,
        /// When another one is begun.
        rotation: Rotation,
    },
    /// To standard output.
    Stdout,
}

/// When another file is begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// When another program moves the file away.
    External,
    /// By Postern itself.
    Internal {
        /// Before a file has more octets.
        size: u64,
        /// When the clock passes a multiple of this, counted from 1970 in UTC.
        every: Duration,
        /// How many files that are full are kept.
        keep: usize,
    },
}

/// What is shown of envelope addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Addresses {
    /// Their domain alone.
    Domain,
    /// Their domain, and a hash of the whole under the key in this file.
    Hashed {
        /// It.
        key_file: PathBuf,
    },
    /// All of them.
    Whole,
}

impl DecisionLog {
    /// Takes relative paths as relative to `directory`.
    pub fn relative_to(&mut self, directory: &Path) {
        if let Output::File { path, .. } = &mut self.output {
            *path = directory.join(&path);
        }
        if let Addresses::Hashed { key_file } = &mut self.addresses {
            *key_file = directory.join(&key_file);
        }
    }
}

table! {
    /// Every decision as one line of JSON. Without this table none is written down.
    pub struct RawDecisionLog {
        /// The file that lines are added to; relative to the directory of this file.
        #[schemars(extend("minLength" = 1))]
        file: Option<At<String>> = "file" => "file = \"decisions.jsonl\"";
        /// In place of a file: standard output.
        #[schemars(extend("enum" = ["stdout"]))]
        output: Option<At<String>> = "output" => "output = \"stdout\"";
        /// Who begins another file: Postern (internal), or a program like logrotate (external).
        #[schemars(extend("enum" = ["internal", "external"], "default" = "internal"))]
        rotate: Option<At<String>> = "rotate" => "rotate = \"internal\"";
        /// Another file is begun before one has more octets.
        #[schemars(extend("default" = "100 MiB", "examples" = ["10 MiB", "1 GiB"]))]
        rotate_size: Option<At<String>> = "rotate_size" => "rotate_size = \"100 MiB\"";
        /// Another file is begun this often, counted from midnight UTC; from a second to a year.
        #[schemars(extend("default" = "1d", "examples" = ["1h", "1d", "7d"]))]
        rotate_every: Option<At<String>> = "rotate_every" => "rotate_every = \"1d\"";
        /// How many full files are kept.
        #[schemars(extend("default" = 14, "minimum" = 1, "maximum" = MOST_KEPT))]
        keep: Option<At<i64>> = "keep" => "keep = 14";
        /// Which part of the accepts is written down: 1.0 is all, 0.01 one of a hundred. Rejects
        /// always are, and whatever a connector in report would change.
        #[schemars(extend("default" = 1.0, "minimum" = 0.0, "maximum" = 1.0))]
        accepts: Option<At<f64>> = "accepts" => "accepts = 1.0";
        /// What is shown of envelope addresses: their domain, the whole, or the domain with a hash
        /// in place of the rest.
        #[schemars(extend("enum" = ["domain", "whole", "hashed"], "default" = "domain"))]
        addresses: Option<At<String>> = "addresses" => "addresses = \"domain\"";
        /// The file with the key of the hash; relative to the directory of this file.
        #[schemars(extend("minLength" = 1))]
        address_key_file: Option<At<String>> = "address_key_file" => "address_key_file = \"address.key\"";
        /// How many octets may wait to be written before lines are lost, accepts first.
        #[schemars(extend("default" = "16 MiB", "examples" = ["4 MiB", "64 MiB"]))]
        queue: Option<At<String>> = "queue" => "queue = \"16 MiB\"";
    }
}

/// What the table at `raw` says, and all that is wrong with it.
pub(super) fn check(raw: &At<RawDecisionLog>, findings: &mut Findings) -> Option<DecisionLog> {
    let At { value, span } = raw;
    let output = match (&value.file, &value.output) {
        (Some(file), None) => path(file, "file", findings).map(|path| Output::File {
            path,
            rotation: rotation(value, findings),
        }),
        (file, Some(output)) => {
            if let Some(file) = file {
                let message = "`file` and `output` are both given";
                let finding = Finding::error("decision-log-twice", output.span.clone(), message)
                    .label(file.span.clone(), "the other one")
                    .help("decisions go to one place: remove one of the two");
                findings.push(finding);
            } else {
                unused_rotation(value, "standard output is not rotated", findings);
            }
            word(output, "output", ["stdout"], findings).map(|_| Output::Stdout)
        }
        (None, None) => {
            if !value.unread.has("file") && !value.unread.has("output") {
                let message = "`[decision_log]` does not say where decisions go";
                let finding = Finding::error("decision-log-nowhere", span.clone(), message)
                    .help("write `file = \"decisions.jsonl\"`, or `output = \"stdout\"`");
                findings.push(finding);
            }
            None
        }
    };
    let accepts = share(value.accepts.as_ref(), "accepts", findings);
    let queue = size(value.queue.as_ref(), "queue", SMALLEST_QUEUE, findings);
    let addresses = addresses(value, findings);
    Some(DecisionLog {
        output: output?,
        accepts: accepts.unwrap_or(Share::ALL),
        addresses: addresses?,
        queue: queue.map_or(QUEUE, |queue| usize::try_from(queue).unwrap_or(usize::MAX)),
    })
}

fn rotation(raw: &RawDecisionLog, findings: &mut Findings) -> Rotation {
    let who = raw
        .rotate
        .as_ref()
        .and_then(|who| word(who, "rotate", ["internal", "external"], findings));
    if who == Some("external") {
        unused_rotation(raw, "another program rotates the file", findings);
        return Rotation::External;
    }
    let size = size(
        raw.rotate_size.as_ref(),
        "rotate_size",
        SMALLEST_FILE,
        findings,
    );
    Rotation::Internal {
        size: size.unwrap_or(ROTATE_SIZE),
        every: every(raw.rotate_every.as_ref(), findings).unwrap_or(ROTATE_EVERY),
        keep: keep(raw.keep.as_ref(), findings).unwrap_or(KEEP),
    }
}

/// Points out what is said of a rotation that does not take place.
fn unused_rotation(raw: &RawDecisionLog, why: &str, findings: &mut Findings) {
    let keys = [
        ("rotate_size", raw.rotate_size.as_ref().map(|at| &at.span)),
        ("rotate_every", raw.rotate_every.as_ref().map(|at| &at.span)),
        ("keep", raw.keep.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in keys {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect: {why}");
            let finding = Finding::error("rotation-unused", span.clone(), message);
            findings.push(finding.help("remove the line"));
        }
    }
}

fn every(raw: Option<&At<String>>, findings: &mut Findings) -> Option<Duration> {
    let At { value, span } = raw?;
    let every = humantime::parse_duration(value).ok();
    if every.is_some_and(|every| (MOST_OFTEN..=LEAST_OFTEN).contains(&every)) {
        return every;
    }
    let message = format!("`{}` is not a length from a second to a year", shown(value));
    let finding = Finding::error("rotation-period-invalid", span.clone(), message);
    findings.push(finding.help("write `1h`, `1d` or `7d`, say"));
    None
}

fn keep(raw: Option<&At<i64>>, findings: &mut Findings) -> Option<usize> {
    let At { value, span } = raw?;
    if (1..=MOST_KEPT).contains(value) {
        return usize::try_from(*value).ok();
    }
    let message = format!("`keep` must be from 1 to {MOST_KEPT}, not {value}");
    let finding = Finding::error("keep-invalid", span.clone(), message);
    findings.push(finding.help("write how many full files are kept, like `keep = 14`"));
    None
}

fn addresses(raw: &RawDecisionLog, findings: &mut Findings) -> Option<Addresses> {
    let chosen = match &raw.addresses {
        Some(addresses) => word(addresses, "addresses", ADDRESSES, findings)?,
        None => "domain",
    };
    let key_file = raw.address_key_file.as_ref();
    match (chosen, key_file) {
        ("hashed", Some(key_file)) => {
            let key_file = path(key_file, "address_key_file", findings)?;
            Some(Addresses::Hashed { key_file })
        }
        ("hashed", None) => {
            let span = raw.addresses.as_ref()?.span.clone();
            let message = "`addresses = \"hashed\"` needs a key";
            let finding = Finding::error("address-key-missing", span, message).help(
                "add `address_key_file = \"address.key\"`, a file with a secret of at least 16 octets",
            );
            findings.push(finding);
            None
        }
        (_, Some(key_file)) => {
            let message = "`address_key_file` has no effect: addresses are not hashed";
            let finding = Finding::error("address-key-unused", key_file.span.clone(), message);
            findings.push(finding.help("remove the line, or write `addresses = \"hashed\"`"));
            None
        }
        ("whole", None) => Some(Addresses::Whole),
        _ => Some(Addresses::Domain),
    }
}

/// The one of `words` that is written.
pub(super) fn word<const N: usize>(
    raw: &At<String>,
    key: &str,
    words: [&'static str; N],
    findings: &mut Findings,
) -> Option<&'static str> {
    let At { value, span } = raw;
    let found = words.into_iter().find(|word| word == value);
    if found.is_none() {
        let message = format!("`{key}` cannot be `{}`", shown(value));
        let list: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
        let finding = Finding::error("word-invalid", span.clone(), message);
        findings.push(finding.help(format!("write {}", list.join(" or "))));
    }
    found
}

/// The path of a file that is written.
pub(super) fn path(raw: &At<String>, key: &str, findings: &mut Findings) -> Option<PathBuf> {
    let At { value, span } = raw;
    if value.is_empty() || value.ends_with('/') || value.contains('\0') {
        let message = format!("`{key}` is no path of a file");
        let finding = Finding::error("file-invalid", span.clone(), message);
        findings.push(finding.help("write the path of a file"));
        return None;
    }
    Some(PathBuf::from(value))
}

const ADDRESSES: [&str; 3] = ["domain", "whole", "hashed"];

const ROTATE_SIZE: u64 = 100 << 20;
const ROTATE_EVERY: Duration = Duration::from_hours(24);
const KEEP: usize = 14;
const QUEUE: usize = 16 << 20;

const SMALLEST_FILE: u64 = 4 << 10;
const SMALLEST_QUEUE: u64 = 64 << 10;
const MOST_KEPT: i64 = 10_000;
const MOST_OFTEN: Duration = Duration::from_secs(1);
const LEAST_OFTEN: Duration = Duration::from_hours(366 * 24);

#[cfg(test)]
mod tests {
    use super::{super::Settings, *};

    fn read(lines: &str) -> DecisionLog {
        let text = format!("version = 1\n[decision_log]\n{lines}\n");
        Settings::from_toml(&text).unwrap().decision_log.unwrap()
    }

    #[test]
    fn without_the_table_there_is_none() {
        assert_eq!(Settings::default().decision_log, None);
        let settings = Settings::from_toml("version = 1\n").unwrap();
        assert_eq!(settings.decision_log, None);
    }

    #[test]
    fn a_file_is_enough() {
        let log = read("file = \"d.jsonl\"");
        let rotation = Rotation::Internal {
            size: 104_857_600,
            every: Duration::from_hours(24),
            keep: 14,
        };
        assert_eq!(
            log,
            DecisionLog {
                output: Output::File {
                    path: "d.jsonl".into(),
                    rotation
                },
                accepts: Share::ALL,
                addresses: Addresses::Domain,
                queue: 16_777_216,
            }
        );
    }

    #[test]
    fn all_of_it_is_read() {
        let log = read(
            "file = \"d\"\nrotate_size = \"1 GiB\"\nrotate_every = \"1h\"\nkeep = 3\naccepts = 0\n\
             addresses = \"whole\"\nqueue = \"64KiB\"",
        );
        let rotation = Rotation::Internal {
            size: 1 << 30,
            every: Duration::from_hours(1),
            keep: 3,
        };
        assert_eq!(
            log.output,
            Output::File {
                path: "d".into(),
                rotation
            }
        );
        assert_eq!(log.accepts, Share::NONE);
        assert_eq!(log.addresses, Addresses::Whole);
        assert_eq!(log.queue, 65_536);
        let log = read("file = \"d\"\nrotate = \"external\"");
        assert!(matches!(
            log.output,
            Output::File {
                rotation: Rotation::External,
                ..
            }
        ));
        assert_eq!(read("output = \"stdout\"").output, Output::Stdout);
    }

    #[test]
    fn relative_paths_are_those_of_the_settings_file() {
        let mut log = read("file = \"d\"\naddresses = \"hashed\"\naddress_key_file = \"/key\"");
        log.relative_to(Path::new("/etc/postern"));
        let key_file = PathBuf::from("/key");
        assert_eq!(log.addresses, Addresses::Hashed { key_file });
        assert!(
            matches!(log.output, Output::File { path, .. } if path == Path::new("/etc/postern/d"))
        );
    }
}
