use proptest::prelude::*;

use super::*;
use crate::config::render;

const SHIPPED: &str = include_str!("../../../config/postern.toml");

#[test]
fn the_shipped_file_says_what_is_built_in() {
    assert_eq!(Settings::from_toml(SHIPPED), Ok(Settings::default()));
    assert_eq!(Settings::from_toml("version = 1"), Ok(Settings::default()));
    let keys = [
        "[server]",
        "[admin]",
        "[connectors]",
        "[callers]",
        "# [[sets]]",
        "# file = ",
        "# token_sha256 = ",
        "health = ",
        "[shutdown]",
        "listen = ",
        "# http_listen = ",
        "socket_mode = ",
        "allow_plaintext = ",
        "# [server.tls]",
        "# certificate = ",
        "# key = ",
        "# client_ca = ",
        "# client_certificate = ",
        "# min_version = ",
        "[server.limits]",
        "message_octets = ",
        "calls = ",
        "calls_per_connection = ",
        "streams_per_connection = ",
        "connections = ",
        "message_timeout = ",
        "handshake_timeout = ",
        "idle = ",
        "age = ",
        "age_grace = ",
        "keepalive_interval = ",
        "keepalive_timeout = ",
        "ping_interval = ",
        "directory = ",
        "# default_set = ",
        "drain_delay = ",
        "drain_deadline = ",
        "[tracing]",
        "# endpoint = ",
        "sample = ",
        "# headers = ",
        "# headers_file = ",
        "# ca = ",
        "timeout = ",
        "# resource = ",
        "[metrics]",
        "otlp = ",
        "interval = ",
        "# [decision_log]",
        "# file = ",
        "# rotate = ",
        "# rotate_size = ",
        "# rotate_every = ",
        "# keep = ",
        "# accepts = ",
        "# addresses = ",
        "# address_key_file = ",
        "# queue = ",
    ];
    for key in keys {
        assert!(
            SHIPPED.contains(&format!("\n{key}")),
            "`{key}` is not taught"
        );
    }
}

#[test]
fn a_file_is_read() {
    let text = "version = 1\n[server]\nlisten = [\"[::]:0\", \"unix:/run/x\"]\nsocket_mode = \"0600\"\n\
                allow_plaintext = true\n[connectors]\ndirectory = \"/srv/sets\"\n\
                default_set = \"contoso.com\"\n[shutdown]\ndrain_delay = \"0s\"\n\
                drain_deadline = \"1m 30s\"\n";
    let mut settings = Settings::from_toml(text).unwrap();
    let expected = Settings {
        listen: ["[::]:0", "unix:/run/x"]
            .map(|text| text.parse().unwrap())
            .into(),
        socket_mode: 0o600,
        allow_plaintext: true,
        connectors: "/srv/sets".into(),
        default_set: Some("contoso.com".to_owned()),
        drain_delay: Duration::ZERO,
        drain_deadline: Duration::from_secs(90),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    let overrides = Overrides {
        admin_listen: Some("[::1]:1".parse().unwrap()),
        ..Overrides::default()
    };
    overrides.apply(&mut settings);
    assert_eq!(settings.admin_listen, "[::1]:1".parse().unwrap());
    assert_eq!(settings.listen, expected.listen);
}

#[test]
fn every_fault_is_found_in_one_run() {
    let text = r#"[server]
listen = ":50051"
port = 1
[admin]
listen = "localhost:9464"
[connectors]
directory = ""
default_set = "Contoso.toml"
[shutdown]
drain_delay = 5
drain_deadline = "20"
"#;
    let findings = Settings::from_toml(text).unwrap_err();
    insta::assert_snapshot!(render::plain("f", text, &findings), @r#"
    f:1:1: error[version-missing]: `version` is missing (help: write `version = 1` as the first line)
    f:2:10: error[listen-invalid]: `:50051` is not an address with a port (help: write `127.0.0.1:50051` for this machine alone, `0.0.0.0:50051` or `[::]:50051` for every address it has)
    f:3:1: error[key-unknown]: unknown key `port` in `[server]` (help: the keys here are `listen`, `http_listen`, `socket_mode`, `allow_plaintext`, `tls`, `limits`)
    f:5:10: error[listen-invalid]: `localhost:9464` is not an address with a port (help: write `127.0.0.1:9464` or `[::1]:9464`)
    f:7:13: error[directory-invalid]: `directory` is no path of a directory (help: write the path of the directory with the set files, or leave the line out)
    f:8:15: error[set-name-invalid]: `Contoso.toml` cannot be the name of a set (help: write `contoso`, the name of its file without `.toml`)
    f:10:15: error[type-wrong]: `drain_delay` must be a text in quotes, not a number (help: put it in quotes, as in `drain_delay = "5s"`)
    f:11:18: error[duration-invalid]: `20` is not a length of time (help: add a unit: `20s` for seconds, `20ms`, `20m`)
    "#);
    for text in ["version = 2", "versio", "version = 1\n[[server]]"] {
        Settings::from_toml(text).unwrap_err();
    }
    let text = "version = 1\n[admin]\nlisten = \"127.0.0.1:50051\"\n";
    assert_eq!(
        Settings::from_toml(text).unwrap_err()[0].code,
        "listen-twice"
    );
    let text = "version = 1\n[shutdown]\ndrain_delay = \"2days\"\n";
    assert_eq!(
        Settings::from_toml(text).unwrap_err()[0].code,
        "duration-too-long"
    );
}

#[test]
fn what_is_taught_of_the_decision_log_is_built_in() {
    let taught = |lines: &str| {
        let (_, table) = SHIPPED.split_once("# [decision_log]\n").unwrap();
        let keys = table.lines().filter_map(|line| line.strip_prefix("# "));
        let keys: Vec<_> = keys
            .filter(|line| {
                line.split_once(" = ")
                    .is_some_and(|(key, _)| is_set_name(key))
            })
            .filter(|line| !line.starts_with("address_key_file"))
            .collect();
        assert_eq!(keys.len(), 8, "{keys:?}");
        let keys = keys.join("\n");
        Settings::from_toml(&format!("version = 1\n[decision_log]\n{keys}\n{lines}")).unwrap()
    };
    let least = "version = 1\n[decision_log]\nfile = \"decisions.jsonl\"\n";
    assert_eq!(Ok(taught("")), Settings::from_toml(least));
}

#[test]
fn names_of_sets() {
    let long = "a".repeat(63);
    assert!(
        ["default", "contoso.com", "0", "a_b-c", &long]
            .into_iter()
            .all(is_set_name)
    );
    let longer = "a".repeat(64);
    let others = ["", ".hidden", "-a", "Contoso", "a/b", "ü", "a b", &longer];
    assert!(!others.into_iter().any(is_set_name));
}

#[test]
fn the_schema_knows_the_shipped_file() {
    let schema = jsonschema::validator_for(schema().as_value()).unwrap();
    let table: toml::Table = toml::from_str(SHIPPED).unwrap();
    assert!(schema.is_valid(&serde_json::to_value(table).unwrap()));
    assert!(!schema.is_valid(&serde_json::json!({"version": 1, "sever": {}})));
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in "(\\PC|\n|\\[server\\]\n|listen = |\"){0,60}") {
        if let Err(findings) = Settings::from_toml(&text) {
            prop_assert!(!findings.is_empty());
            prop_assert_eq!(render::plain("f", &text, &findings).lines().count(), findings.len());
        }
    }
}
