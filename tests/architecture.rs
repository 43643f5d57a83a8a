//! The arrows of ARCHITECTURE.md, held by reading the source: who may import whom, who may wait,
//! print and spawn, and who changes what is in force.

use std::{fs, io, path::Path};

/// Each layer, and the layers that it may name beside itself.
const ARROWS: [(&str, &[&str]); 12] = [
    ("mail", &[]),
    ("policy", &["mail"]),
    ("callers", &["policy"]),
    ("config", &["callers", "policy", "mail"]),
    ("live", &["callers", "policy"]),
    ("telemetry", &["config", "live", "policy"]),
    (
        "source",
        &["callers", "config", "live", "policy", "mail", "telemetry"],
    ),
    ("rpc", &["callers", "live", "policy", "mail", "telemetry"]),
    ("admin", &["callers", "live", "policy", "telemetry"]),
    ("bridge", &["config", "mail", "rpc", "telemetry"]),
    (
        "app",
        &[
            "admin",
            "bridge",
            "callers",
            "config",
            "live",
            "mail",
            "policy",
            "rpc",
            "source",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "bridge",
            "callers",
            "config",
            "live",
            "mail",
            "policy",
            "rpc",
            "source",
            "telemetry",
        ],
    ),
];

/// What only some may write, and who they are: layers, or single files.
const ONLY: [(&str, &[&str]); 14] = [
    // I1: the core does no I/O, knows no clock and no async.
    (
        "async ",
        &[
            "admin",
            "app",
            "bridge",
            "cli",
            "rpc",
            "source",
            "telemetry",
        ],
    ),
    (
        "Instant::now",
        &[
            "admin",
            "app",
            "bridge",
            "cli",
            "live",
            "rpc",
            "source",
            "telemetry",
        ],
    ),
    (
        "SystemTime",
        &[
            "admin",
            "app",
            "bridge",
            "cli",
            "live",
            "rpc",
            "source",
            "telemetry",
        ],
    ),
    ("std::fs", OUTSIDE),
    ("TcpListener", OUTSIDE),
    ("TcpStream", OUTSIDE),
    ("tokio::", OUTSIDE),
    ("tracing::", OUTSIDE),
    // I2: one writer of what is in force.
    ("live.replace(", &["source/reload.rs"]),
    ("access.replace(", &["source/callers.rs"]),
    // I3: the generated types stay at their edge.
    ("pb::", &["bridge", "cli", "rpc"]),
    // I4: one way to a connector set.
    ("ConnectorSet::new(", &["config/mod.rs"]),
    // I5: one place that starts tasks.
    // A reload has a thread, which is no task: it waits for nothing, and steps back behind serving.
    ("spawn(", &["app", "source/background.rs"]),
    ("spawn_blocking(", &["app", "source"]),
];

const OUTSIDE: &[&str] = &[
    "admin",
    "app",
    "bridge",
    "cli",
    "rpc",
    "source",
    "telemetry",
];

const PRINTING: [&str; 5] = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("];

/// What faults are: a file, what it has, and what is said of it.
const PLANTED: [(&str, &str, &str); 22] = [
    (
        "bridge/policy.rs",
        "use crate::live::Live;",
        "bridge/policy.rs names live",
    ),
    (
        "bridge/service.rs",
        "tasks.spawn(check);",
        "bridge/service.rs has `spawn(`",
    ),
    (
        "policy/set.rs",
        "use crate::rpc;",
        "policy/set.rs names rpc",
    ),
    (
        "policy/set.rs",
        "use crate::{\n    mail::{Domain, Network},\n    rpc::pb as generated,\n};",
        "policy/set.rs names rpc",
    ),
    (
        "policy.rs",
        "fn f() { crate::config::load_str(\"\", \"\"); }",
        "policy.rs names config",
    ),
    (
        "rpc/reply.rs",
        "use super::super::config;",
        "rpc/reply.rs names config",
    ),
    (
        "config/check/values.rs",
        "use super::super::super::live;",
        "config/check/values.rs names live",
    ),
    (
        "policy/inbound.rs",
        "let now = Instant::now();",
        "policy/inbound.rs has `Instant::now`",
    ),
    (
        "config/mod.rs",
        "use std::fs;",
        "config/mod.rs has `std::fs`",
    ),
    (
        "config/mod.rs",
        "use std::{fs, io};",
        "config/mod.rs has `std::fs`",
    ),
    (
        "admin/status.rs",
        "live.replace(next);",
        "admin/status.rs has `live.replace(`",
    ),
    (
        "source/file.rs",
        "self.live.replace(next);",
        "source/file.rs has `live.replace(`",
    ),
    (
        "rpc/gate.rs",
        "self.admission.access.replace(next);",
        "rpc/gate.rs has `access.replace(`",
    ),
    (
        "callers/token.rs",
        "use crate::config;",
        "callers/token.rs names config",
    ),
    (
        "telemetry/metrics.rs",
        "use crate::rpc::pb::Reason;",
        "telemetry/metrics.rs has `pb::`",
    ),
    (
        "app/parts.rs",
        "let reason = pb::Reason::TlsRequired;",
        "app/parts.rs has `pb::`",
    ),
    (
        "admin/status.rs",
        "use crate::{config::render, live::Live};",
        "admin/status.rs names config",
    ),
    (
        "admin/status.rs",
        "use crate::source::journal;",
        "admin/status.rs names source",
    ),
    (
        "rpc/server.rs",
        "tokio::spawn(work);",
        "rpc/server.rs has `spawn(`",
    ),
    ("app.rs", "println!(\"ready\");", "app.rs has `println!(`"),
    ("app/parts.rs", "use crate::cli;", "app/parts.rs names cli"),
    ("other/mod.rs", "", "other/mod.rs is of no layer"),
];

#[test]
fn the_source_keeps_to_the_arrows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    let mut layers = Vec::new();
    visit(&src, &mut |path| {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap();
        if file != "lib.rs" && file != "main.rs" && !is_test(file) {
            layers.push(layer(file).to_owned());
            faults.extend(faults_in(file, &fs::read_to_string(path).unwrap()));
        }
    })
    .unwrap();
    assert!(
        layers.iter().any(|layer| layer == "policy"),
        "the source is not found"
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    for (file, source, fault) in PLANTED {
        let faults = faults_in(file, source);
        assert!(
            faults.iter().any(|found| found == fault),
            "{source}: {faults:?}"
        );
    }
    for (file, source) in [
        (
            "policy/set.rs",
            "use super::{connector::Mode, index};\nuse crate::{mail::Domain, policy};",
        ),
        (
            "policy/set.rs",
            "// use crate::rpc;\n/// Not Instant::now.\n",
        ),
        (
            "policy/set.rs",
            "#[cfg(test)]\nmod tests { use crate::config; }",
        ),
        (
            "source/reload.rs",
            "live.replace(next); tokio::task::spawn_blocking(read);",
        ),
        (
            "cli/check.rs",
            "println!(\"good\"); use crate::rpc::pb::Reason;",
        ),
        (
            "config/render.rs",
            "text.replace('a', \"b\"); let scpb = 1;",
        ),
    ] {
        assert_eq!(faults_in(file, source), [""; 0], "{source}");
    }
}

fn faults_in(file: &str, source: &str) -> Vec<String> {
    let own = layer(file);
    let Some((_, allowed)) = ARROWS.iter().find(|(layer, _)| *layer == own) else {
        return vec![format!("{file} is of no layer")];
    };
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<_> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    // Threads of a scope end where they begin: they are no tasks.
    let code = spelled_out(&code.join("\n")).replace("scope.spawn(", "");
    let mut faults = Vec::new();
    for (layer, _) in ARROWS {
        let named =
            names(&code, &format!("crate::{layer}")) || names(&code, &from_inside(file, layer));
        if named && layer != own && !allowed.contains(&layer) {
            faults.push(format!("{file} names {layer}"));
        }
    }
    for (what, who) in ONLY {
        if names(&code, what) && !who.contains(&own) && !who.contains(&file) {
            faults.push(format!("{file} has `{what}`"));
        }
    }
    for what in PRINTING {
        if names(&code, what) && own != "cli" {
            faults.push(format!("{file} has `{what}`"));
        }
    }
    faults
}

/// The layer of a file: its first folder, or its name.
fn layer(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

/// How a file of another layer's name is reached by `super` alone.
fn from_inside(file: &str, layer: &str) -> String {
    let own_folder = usize::from(!file.ends_with("/mod.rs"));
    let ups = file.matches('/').count() + own_folder;
    format!("{}{layer}", "super::".repeat(ups))
}

/// Whether `code` has `what` as words of its own, not as parts of longer ones.
fn names(code: &str, what: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let open = what.ends_with(part);
    code.match_indices(what).any(|(at, _)| {
        let (before, rest) = code.split_at(at);
        let before = before.chars().next_back();
        let after = rest.chars().nth(what.chars().count());
        !(before.is_some_and(part) || open && after.is_some_and(part))
    })
}

/// The code with the first names of every group behind its path: `a::{b::c, d}` is also `a::b`
/// and `a::d`.
fn spelled_out(code: &str) -> String {
    let mut spelled = code.to_owned();
    for (at, _) in code.match_indices("::{") {
        let (before, group) = code.split_at(at);
        let mut path = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = path.next().unwrap_or_default();
        let mut depth = 0_usize;
        let mut first = true;
        for word in words(group) {
            match word {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                "," if depth == 1 => first = true,
                name if depth == 1 && first => {
                    spelled.extend(["\n", path, "::", name, "::"]);
                    first = false;
                }
                _ => {}
            }
        }
    }
    spelled
}

/// Names, braces and commas, in their order.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "{},:;".contains(c);
    code.split_inclusive(ends)
        .flat_map(move |piece| {
            let name = piece.trim_end_matches(ends);
            let (name, end) = piece.split_at(name.len());
            [name, end]
        })
        .filter(|word| !word.trim().is_empty())
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

fn visit(folder: &Path, see: &mut dyn FnMut(&Path)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            visit(&path, see)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            see(&path);
        }
    }
    Ok(())
}
