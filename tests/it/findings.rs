//! Every finding that a connector set, a settings file or a pair of sets can have, from a file that
//! has it: what is said, where, and what is advised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use postern::config::{
    self, Outcome, callers,
    finding::{Finding, Severity},
    load_str,
    render::carets,
    settings::{Settings, bridge::BridgeSettings},
};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The words of connector sets that look like codes.
const WORDS: [&str; 2] = ["address-and-certificate", "address-or-certificate"];

#[test]
fn every_bad_set_is_refused_for_its_one_fault() {
    let mut faults = Vec::new();
    for (name, text) in files("tests/config/bad") {
        let Outcome { set, findings } = load_str(&name, &text);
        assert_eq!(
            set.is_none(),
            findings.iter().any(Finding::is_error),
            "{name}"
        );
        faults.extend(fault("bad", Severity::Error, &name, &text, &findings));
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}

#[test]
fn every_warning_leaves_the_set_good() {
    let mut faults = Vec::new();
    for (name, text) in files("tests/config/warn") {
        let Outcome { set, findings } = load_str(&name, &text);
        assert_eq!(
            set.is_none(),
            findings.iter().any(Finding::is_error),
            "{name}"
        );
        faults.extend(fault("warn", Severity::Warning, &name, &text, &findings));
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}

#[test]
fn every_good_set_is_taken_without_a_word() {
    let shipped = files("config/connectors");
    for (name, text) in files("tests/config/good").into_iter().chain(shipped) {
        let Outcome { set, findings } = load_str(&name, &text);
        assert!(
            findings.is_empty(),
            "{}",
            carets(&name, &text, &findings, false)
        );
        assert!(set.is_some(), "{name}");
    }
}

#[test]
fn every_bad_settings_file_is_refused_for_its_one_fault() {
    let mut faults = Vec::new();
    for (name, text) in files("tests/config/settings") {
        let findings = Settings::from_toml(&text).expect_err(&name);
        faults.extend(fault("settings", Severity::Error, &name, &text, &findings));
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}

#[test]
fn every_bad_file_of_a_bridge_is_refused_for_its_one_fault() {
    let mut faults = Vec::new();
    for (name, text) in files("tests/config/bridge") {
        let findings = BridgeSettings::from_toml(&text).expect_err(&name);
        faults.extend(fault("bridge", Severity::Error, &name, &text, &findings));
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}

#[test]
fn every_bad_file_of_callers_is_refused_for_its_one_fault() {
    let mut faults = Vec::new();
    for (name, text) in files("tests/config/callers") {
        let outcome = callers::load_str(&text);
        assert!(outcome.callers.is_none(), "{name}");
        let findings = &outcome.findings;
        faults.extend(fault("callers", Severity::Error, &name, &text, findings));
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}

#[test]
fn what_is_beyond_the_bounds_of_a_set_is_said_in_its_file() {
    let settings = "version = 1\n[[sets]]\nname = \"contoso\"\naccepted_domains = [\"*.contoso.com\"]\n\
                    [[sets]]\nname = \"none\"\naccepted_domains = []\n";
    let bounds = Settings::from_toml(settings).unwrap().bounds;
    let text = "version = 1\nretired = true\naccepted_domains = [\"contoso.com\", \"fabrikam.com\"]\n[end]\n";
    for name in ["contoso", "none"] {
        let findings = bounds.judge(&load_str(name, text).set.unwrap());
        assert!(
            findings
                .iter()
                .all(|it| it.code == "accepted-out-of-bounds")
        );
        let file = format!("{name}.toml");
        snapshot("bounds", name, &carets(&file, text, &findings, false));
    }
}

#[test]
fn sets_that_overlap_are_told_of_each_other() {
    let files: Vec<_> = files("tests/config/overlap").into_iter().collect();
    let sets: Vec<_> = files
        .iter()
        .map(|(name, text)| load_str(name, text).set.unwrap())
        .collect();
    let sets: Vec<_> = sets.iter().map(AsRef::as_ref).collect();
    let overlaps = config::overlaps(&sets);
    assert_eq!(overlaps.len(), 1);
    for overlap in overlaps {
        let places = [overlap.one.0, overlap.other.0];
        for (finding, place) in overlap.findings(&sets).into_iter().zip(places) {
            let (name, text) = &files[place];
            snapshot(
                "overlap",
                name,
                &carets(&format!("{name}.toml"), text, &[finding], false),
            );
        }
    }
}

#[test]
fn many_faults_are_found_in_one_run() {
    let text = fs::read_to_string(Path::new(ROOT).join("tests/config/many.toml")).unwrap();
    let findings = load_str("many", &text).findings;
    snapshot(
        "many",
        "many",
        &carets("many.toml", &text, &findings, false),
    );
}

#[test]
fn every_code_has_a_file_that_causes_it() {
    let mut causes: BTreeSet<String> =
        ["accepted-overlap", "accepted-out-of-bounds", "set-unknown"]
            .map(str::to_owned)
            .into();
    for folder in ["bad", "warn"] {
        for (name, text) in files(&format!("tests/config/{folder}")) {
            causes.extend(
                load_str(&name, &text)
                    .findings
                    .iter()
                    .map(|finding| finding.code.to_owned()),
            );
        }
    }
    for (name, text) in files("tests/config/settings") {
        let findings = Settings::from_toml(&text).expect_err(&name);
        causes.extend(findings.iter().map(|finding| finding.code.to_owned()));
    }
    for (name, text) in files("tests/config/bridge") {
        let findings = BridgeSettings::from_toml(&text).expect_err(&name);
        causes.extend(findings.iter().map(|finding| finding.code.to_owned()));
    }
    for (_, text) in files("tests/config/callers") {
        let findings = callers::load_str(&text).findings;
        causes.extend(findings.iter().map(|finding| finding.code.to_owned()));
    }
    let many = format!("version = 1\n{}[end]\n", "[[inbound]]\n".repeat(4_000));
    let findings = load_str("many", &many).findings;
    assert_eq!(findings.len(), 10_001);
    causes.extend(findings.last().map(|last| last.code.to_owned()));
    let codes = codes_in(&Path::new(ROOT).join("src/config"));
    assert!(codes.len() > 50, "the codes are no longer found: {codes:?}");
    let without: Vec<_> = codes.difference(&causes).collect();
    assert!(
        without.is_empty(),
        "no file in tests/config causes {without:?}"
    );
    let unknown: Vec<_> = causes.difference(&codes).collect();
    assert!(
        unknown.is_empty(),
        "the test does not find where {unknown:?} is written"
    );
}

#[test]
fn the_reference_has_every_code_and_no_other() {
    let root = Path::new(ROOT);
    let mut codes = codes_in(&root.join("src/cli/sets.rs"));
    for folder in ["src/cli/expectations", "src/config", "src/source"] {
        codes.extend(codes_in(&root.join(folder)));
    }
    let page = fs::read_to_string(root.join("docs/findings.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let mut explained = BTreeSet::new();
    for row in rows {
        assert!(explained.insert(row.to_owned()), "`{row}` has two rows");
    }
    let without: Vec<_> = codes.difference(&explained).collect();
    assert!(
        without.is_empty(),
        "docs/findings.md has no row for {without:?}"
    );
    let quoted = page
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    explained.extend(quoted.filter(|text| is_code(text)).map(str::to_owned));
    let unknown: Vec<_> = explained.difference(&codes).collect();
    assert!(
        unknown.is_empty(),
        "docs/findings.md has {unknown:?}, which nothing gives"
    );
}

#[test]
fn what_is_wrong_with_the_folder_and_its_files() {
    const GOOD: &str = "version = 1\n[[inbound]]\nname = \"Contoso\"\n\
        match.sender_domains = [\"contoso.com\"]\nrequire.tls = \"encrypt\"\n[end]\n";
    const RETIRED: &str = "version = 1\nretired = true\n[end]\n";
    const SETTINGS: &str = "version = 1\n[connectors]\ndefault_set = \"nowhere\"\n";
    let mut codes = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut see = |name: &str, settings: Option<&str>, make: &dyn Fn(&Path)| {
        let folder = TempDir::new().unwrap();
        let connectors = folder.path().join("connectors");
        fs::create_dir(&connectors).unwrap();
        make(&connectors);
        let settings = settings.unwrap_or("version = 1\n");
        fs::write(folder.path().join("postern.toml"), settings).unwrap();
        let mut check = crate::running::postern();
        // From within, as the length of a path would tell where lines break.
        check
            .current_dir(folder.path())
            .args(["check", "--color", "never"]);
        check.args(["--config", "postern.toml", "--connectors", "connectors"]);
        let said = check.output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{name}: {said:?}");
        let said = [said.stdout, said.stderr].map(|said| String::from_utf8(said).unwrap());
        let said = said.concat();
        let code = name.split(' ').next().unwrap();
        assert!(said.starts_with(code), "{name}: {said}");
        codes.insert(code.to_owned());
        let name = name.replace(' ', "-");
        snapshot("source", &name, &said);
        names.insert(format!("{name}.snap"));
    };
    let write = |folder: &Path, name: &str, octets: &[u8]| {
        fs::write(folder.join(name), octets).unwrap();
    };
    see("directory-empty", None, &|_| {});
    see("directory-missing", None, &|folder| {
        fs::remove_dir(folder).unwrap();
    });
    see("directory-missing file", None, &|folder| {
        fs::remove_dir(folder).unwrap();
        fs::write(folder, "").unwrap();
    });
    see("directory-retired", None, &|folder| {
        write(folder, "old.toml", RETIRED.as_bytes());
    });
    see("default-set-unknown", Some(SETTINGS), &|folder| {
        write(folder, "contoso.toml", GOOD.as_bytes());
    });
    see("default-set-unknown retired", Some(SETTINGS), &|folder| {
        write(folder, "contoso.toml", GOOD.as_bytes());
        write(folder, "nowhere.toml", RETIRED.as_bytes());
    });
    see("file-name", None, &|folder| {
        write(folder, "contoso.toml", GOOD.as_bytes());
        write(folder, "Fabrikam.toml", GOOD.as_bytes());
    });
    see("file-not-utf8", None, &|folder| {
        write(folder, "contoso.toml", b"version = 1\n# caf\xe9\n[end]\n");
    });
    see("file-too-large", None, &|folder| {
        let file = fs::File::create(folder.join("contoso.toml")).unwrap();
        file.set_len((64 << 20) + 1).unwrap();
    });
    see("file-unreadable", None, &|folder| {
        fs::create_dir(folder.join("contoso.toml")).unwrap();
    });
    see("file-unreadable link", None, &|folder| {
        std::os::unix::fs::symlink("nowhere", folder.join("contoso.toml")).unwrap();
    });
    let shown = paths(&Path::new(ROOT).join("tests/it/snapshots/source")).into_iter();
    let shown = shown.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names, shown.collect());
    // Causes that a test cannot bring about at will, or that come of what was in force before.
    let elsewhere = [
        "callers-gone",
        "callers-missing",
        "callers-unreadable",
        "directory-unreadable",
        "file-changing",
        "file-gone",
    ];
    codes.extend(elsewhere.map(str::to_owned));
    assert_eq!(codes, codes_in(&Path::new(ROOT).join("src/source")));
}

#[test]
fn every_snapshot_has_its_file() {
    for folder in ["bad", "bridge", "callers", "settings", "warn"] {
        let names: BTreeSet<_> = files(&format!("tests/config/{folder}"))
            .into_keys()
            .collect();
        let shown = fs::read_dir(Path::new(ROOT).join("tests/it/snapshots").join(folder)).unwrap();
        for shown in shown {
            let shown = shown.unwrap().file_name().into_string().unwrap();
            let name = shown.split(".snap").next().unwrap_or_default();
            assert!(
                names.contains(name),
                "snapshots/{folder}/{shown} has no file"
            );
        }
    }
}

/// Compares how the finding of a file looks; what is wrong where it has not one alone, of the code
/// that the file is named after.
fn fault(
    folder: &str,
    severity: Severity,
    name: &str,
    text: &str,
    findings: &[Finding],
) -> Option<String> {
    let rendered = carets(&format!("{name}.toml"), text, findings, false);
    let [finding] = findings else {
        return Some(format!(
            "{name} has {} findings:\n{rendered}\n",
            findings.len()
        ));
    };
    let word = name.strip_prefix(finding.code);
    let named = word.is_some_and(|word| word.is_empty() || word.starts_with('-'));
    let line = finding.help.is_some()
        && !finding.message.ends_with('.')
        && !finding.message.contains('\n');
    if !named || !line || finding.severity != severity {
        return Some(format!("{name} has another finding:\n{rendered}\n"));
    }
    snapshot(folder, name, &rendered);
    None
}

fn snapshot(folder: &str, name: &str, rendered: &str) {
    insta::with_settings!({
        snapshot_path => format!("snapshots/{folder}"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, rendered);
    });
}

/// The texts of the `.toml` files in a folder, by their names without `.toml`.
pub(crate) fn files(folder: &str) -> BTreeMap<String, String> {
    let paths = paths(&Path::new(ROOT).join(folder)).into_iter();
    let files = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        });
    let files: BTreeMap<_, _> = files.collect();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// The texts in quotes that are written like codes in a file, or in those of a folder, outside of
/// tests.
fn codes_in(path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        let paths = paths(path).into_iter();
        return paths.flat_map(|path| codes_in(&path)).collect();
    }
    if path.ends_with("tests.rs") {
        return BTreeSet::new();
    }
    let source = fs::read_to_string(path).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let quoted = source.lines().flat_map(|line| line.split('"').skip(1));
    let codes = quoted.filter(|text| is_code(text));
    codes.map(str::to_owned).collect()
}

fn is_code(text: &str) -> bool {
    let mut words = text.split('-');
    text.contains('-')
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && words.all(|word| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !word.is_empty() && word.bytes().all(plain)
        })
        && !WORDS.contains(&text)
}
