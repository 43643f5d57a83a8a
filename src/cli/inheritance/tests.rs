use super::*;
use crate::{
    config::load_str,
    mail::{Recipient, ReversePath},
    policy::{InboundFacts, explain_inbound},
};

const SET: &str = r#"
version = 1
[[inbound]]
name = "Filter"
match.sender_domains = ["*"]
require.client_ips = ["192.0.2.0/24"]
[[inbound]]
name = "To us"
match.sender_domains = ["*"]
match.recipient_domains = ["*.contoso.com"]
require.tls = "encrypt"
[[inbound]]
name = "Bank"
match.sender_domains = ["*.bank.example", "bank.example"]
require.tls_min_version = "TLSv1.2"
[[inbound]]
name = "Bank to legal"
match.sender_domains = ["*.bank.example"]
match.recipient_domains = ["legal.contoso.com"]
require.certificate_names = ["*.bank.example"]
[[inbound]]
name = "Tried"
mode = "report"
match.sender_domains = ["*.bank.example"]
require.origin = "unrestricted"
[[inbound]]
name = "Gone"
mode = "off"
match.sender_domains = ["gone.bank.example"]
require.origin = "unrestricted"
[[inbound]]
name = "Range"
match.client_ips = ["192.0.2.0/24"]
require.tls = "encrypt"
[[inbound]]
name = "Host"
match.client_ips = ["192.0.2.7"]
require.tls_min_version = "TLSv1.3"
[end]
"#;

#[test]
fn demands_are_those_of_the_cascade() {
    let set = load_str("contoso", SET).set.unwrap();
    let inheritance = Inheritance::of(&set);
    let connector = |name: &str| set.inbound().iter().find(|it| &*it.name == name).unwrap();
    let sender = |name: &str, pattern: &str, recipients: Option<&str>| {
        let recipients: Option<DomainPattern> = recipients.map(|text| text.parse().unwrap());
        let by = pattern.parse().unwrap();
        inheritance
            .stated(connector(name), By::Sender(&by), recipients.as_ref())
            .names()
    };
    assert_eq!(sender("Filter", "*", None), [None, None, Some("Filter")]);
    assert_eq!(
        sender("To us", "*", Some("*.contoso.com")),
        [Some("To us"), None, Some("Filter")]
    );
    assert_eq!(
        sender("Bank", "bank.example", None),
        [Some("Bank"), Some("Bank"), Some("Filter")]
    );
    assert_eq!(
        sender("Bank to legal", "*.bank.example", Some("legal.contoso.com")),
        [Some("Bank to legal"), Some("Bank"), Some("Bank to legal")]
    );
    assert_eq!(
        sender("Tried", "*.bank.example", None),
        [None, None, Some("Tried")]
    );
    assert_eq!(
        sender("Gone", "gone.bank.example", None),
        [None, None, Some("Gone")]
    );
    let host = Network::parse("192.0.2.7").unwrap().0;
    let host = inheritance
        .stated(connector("Host"), By::Address(&host), None)
        .names();
    assert_eq!(host, [Some("Host"), Some("Host"), None]);
}

#[test]
fn demands_are_those_that_are_explained() {
    let set = load_str("contoso", SET).set.unwrap();
    let inheritance = Inheritance::of(&set);
    for (name, pattern, sender, recipients) in [
        ("Filter", "*", "fabrikam.com", None),
        (
            "To us",
            "*",
            "fabrikam.com",
            Some(("*.contoso.com", "contoso.com")),
        ),
        ("Bank", "*.bank.example", "a.bank.example", None),
        (
            "Bank to legal",
            "*.bank.example",
            "a.bank.example",
            Some(("legal.contoso.com", "legal.contoso.com")),
        ),
    ] {
        let connector = set.inbound().iter().find(|it| &*it.name == name).unwrap();
        let scope: Option<DomainPattern> = recipients.map(|(scope, _)| scope.parse().unwrap());
        let by = pattern.parse().unwrap();
        let stated = inheritance.stated(connector, By::Sender(&by), scope.as_ref());
        let recipient = recipients.map_or("elsewhere.example", |(_, recipient)| recipient);
        let facts = InboundFacts {
            client_ip: "198.51.100.1".parse().unwrap(),
            mail_from: ReversePath::parse(&format!("a@{sender}")).unwrap(),
            rcpt_to: Some(Recipient::parse(&format!("b@{recipient}")).unwrap()),
            tls: None,
        };
        let explanation = explain_inbound(&set, &facts, &[]);
        let demands = &explanation.chains[0].demands;
        let explained: Vec<_> = demands.iter().map(|demand| demand.connector).collect();
        let listed: Vec<_> = stated.names().into_iter().flatten().collect();
        assert_eq!(listed, explained, "{name}");
    }
}
