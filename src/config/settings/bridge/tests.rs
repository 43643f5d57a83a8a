use super::*;
use crate::config::render;

const SHIPPED: &str = include_str!("../../../../config/bridge.toml");

fn policy(listen: &str) -> Policy {
    Policy {
        listen: vec![listen.parse().unwrap()],
        connector_set: None,
        header: None,
    }
}

#[test]
fn the_shipped_file_says_what_is_built_in() {
    let expected = BridgeSettings {
        policy: vec![policy("127.0.0.1:9998")],
        ..BridgeSettings::default()
    };
    assert_eq!(BridgeSettings::from_toml(SHIPPED), Ok(expected.clone()));
    let least = "version = 1\n[[policy]]\nlisten = \"127.0.0.1:9998\"\n";
    assert_eq!(BridgeSettings::from_toml(least), Ok(expected));
    let schema = schema().to_value();
    let mut tables = vec![(String::new(), &schema)];
    while let Some((name, table)) = tables.pop() {
        let properties = table["properties"].as_object();
        for (key, value) in properties.into_iter().flatten() {
            let inner = value
                .get("items")
                .filter(|it| it.get("properties").is_some());
            let inner = inner.unwrap_or(value);
            let taught = if inner.get("properties").is_some() {
                tables.push((key.clone(), inner));
                format!("[{key}]")
            } else {
                format!("\n{key} = ")
            };
            let commented = taught.replace('\n', "\n# ");
            assert!(
                SHIPPED.contains(&taught) || SHIPPED.contains(&commented),
                "`{key}` of `{name}` is not taught"
            );
        }
    }
}

#[test]
fn what_is_commented_is_good_too() {
    let every: Vec<_> = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if key.starts_with("[[") || key.contains(" = ") => key,
            _ => line,
        })
        .collect();
    let settings = BridgeSettings::from_toml(&every.join("\n")).unwrap();
    assert_eq!((settings.socketmap.len(), settings.milter.len()), (1, 1));
    assert!(settings.service.identity.is_some() && settings.service.token_file.is_some());
    assert_eq!(
        settings.policy[0].header.as_deref(),
        Some("X-Postern-Connector")
    );
    assert_eq!(settings.socketmap[0].own_domains.len(), 1);
}

#[test]
fn a_file_is_read() {
    let text = "version = 1\n[service]\nendpoints = [\"https://a:1\", \"unix:/run/x\"]\nca = \"ca.pem\"\n\
                certificate = \"c.pem\"\nkey = \"/k.pem\"\ntoken_file = \"t\"\ndeadline = \"2s\"\n\
                on_unavailable = \"accept\"\n[listeners]\nsocket_mode = \"0600\"\nconnections = 7\n\
                idle = \"0s\"\nallow_plaintext = true\n[[policy]]\nlisten = \"0.0.0.0:1\"\n\
                connector_set = \"contoso\"\n[[policy]]\nlisten = \"unix:/run/y\"\n[[milter]]\n\
                listen = \"127.0.0.1:2\"\nheader = \"X-A\"\n";
    let mut settings = BridgeSettings::from_toml(text).unwrap();
    settings.relative_to(Path::new("/etc"));
    let expected = BridgeSettings {
        service: Service {
            endpoints: vec!["https://a:1".into(), "unix:/run/x".into()],
            ca: Some("/etc/ca.pem".into()),
            identity: Some(("/etc/c.pem".into(), "/k.pem".into())),
            token_file: Some("/etc/t".into()),
            deadline: Duration::from_secs(2),
            on_unavailable: OnUnavailable::Accept,
            ..Service::default()
        },
        listeners: Listeners {
            socket_mode: 0o600,
            connections: 7,
            idle: None,
            allow_plaintext: true,
            ..Listeners::default()
        },
        policy: vec![
            Policy {
                connector_set: Some("contoso".into()),
                ..policy("0.0.0.0:1")
            },
            policy("unix:/run/y"),
        ],
        milter: vec![Milter {
            listen: vec!["127.0.0.1:2".parse().unwrap()],
            connector_set: None,
            header: Some("X-A".into()),
        }],
        ..BridgeSettings::default()
    };
    assert_eq!(settings, expected);
    let listens: Vec<_> = settings.listens().map(ToString::to_string).collect();
    assert_eq!(listens, ["0.0.0.0:1", "unix:/run/y", "127.0.0.1:2"]);
}

#[test]
fn every_fault_is_found_in_one_run() {
    let text = r#"version = 1
[service]
endpoints = ["http://a", "a:1", "a:1", "ftp://a:1", "unix:x"]
key = "k.pem"
deadline = "0s"
on_unavailable = "reject"
[listeners]
connections = 0
[admin]
listen = "127.0.0.1:1"
[[policy]]
header = "X Y"
[[socketmap]]
listen = ["127.0.0.1:1", "0.0.0.0:2"]
transport = "a:b"
[[milter]]
listen = "0.0.0.0:2"
connector_set = "A"
"#;
    let findings = BridgeSettings::from_toml(text).unwrap_err();
    insta::assert_snapshot!(render::plain("f", text, &findings));
}
