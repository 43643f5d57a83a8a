use std::fmt::Write as _;

use super::Downwards;
use crate::{config::load_str, mail::DomainPattern};

/// What is said of inbound connectors, each with its name, senders, recipients and demands.
fn said(connectors: &[[&str; 4]]) -> Vec<String> {
    let mut text = "version = 1\n".to_owned();
    for [name, senders, recipients, require] in connectors {
        let list = |patterns: &str| format!("['{}']", patterns.replace(' ', "', '"));
        write!(text, "[[inbound]]\nname = '{name}'\n[inbound.match]\n").unwrap();
        let key = if senders.contains('/') {
            "client_ips"
        } else {
            "sender_domains"
        };
        writeln!(text, "{key} = {}", list(senders)).unwrap();
        if !recipients.is_empty() {
            writeln!(text, "recipient_domains = {}", list(recipients)).unwrap();
        }
        writeln!(text, "[inbound.require]\n{require}").unwrap();
    }
    text.push_str("[end]\n");
    let outcome = load_str("contoso", &text);
    assert!(outcome.set.is_some(), "{:?}", outcome.findings);
    let compared = outcome
        .findings
        .into_iter()
        .filter(|finding| ["demand-lifted", "demand-replaced"].contains(&finding.code));
    compared.map(|finding| finding.message).collect()
}

const LIFT: &str = "tls = 'opportunistic'";
const DEMAND: &str = "tls = 'encrypt'";

#[test]
fn one_that_lifts_does_not_hide_what_is_behind_it() {
    let lab = ["Lab", "*", "contoso.com", LIFT];
    assert_eq!(
        said(&[lab, ["All", "*", "", DEMAND], ["X", "x.com", "", LIFT]]),
        [
            "for mail from `*` to `contoso.com`, `Lab` lifts the TLS that `All` demands",
            "for mail from `x.com`, `X` lifts the TLS that `All` demands",
        ]
    );
    assert_eq!(
        said(&[
            lab,
            ["Sales", "*", "sales.contoso.com", DEMAND],
            ["X", "x.com", "", LIFT]
        ]),
        ["for mail from `x.com` to `sales.contoso.com`, `X` lifts the TLS that `Sales` demands"]
    );
}

#[test]
fn only_what_would_decide_otherwise_is_taken() {
    let sales = ["Sales", "*", "sales.contoso.com", DEMAND];
    let x = ["X", "x.com", "", LIFT];
    // Decided before, by one at the same place for fewer recipients.
    assert!(said(&[sales, ["X to Contoso", "x.com", "*.contoso.com", DEMAND], x]).is_empty());
    // Lifted before, by one in between.
    assert_eq!(
        said(&[sales, ["Com", "*.com", "", LIFT], x]),
        ["for mail from `*.com` to `sales.contoso.com`, `Com` lifts the TLS that `Sales` demands"]
    );
    // Other recipients.
    assert!(said(&[sales, ["X", "x.com", "*.fabrikam.com", LIFT]]).is_empty());
    // Its own other pattern is no other connector.
    assert_eq!(
        said(&[sales, ["X", "*.x.com mail.x.com", "", LIFT]]),
        ["for mail from `*.x.com` to `sales.contoso.com`, `X` lifts the TLS that `Sales` demands"]
    );
}

#[test]
fn each_scope_is_compared_with_its_own() {
    let a = ["A", "*", "a.com", "tls_min_version = '1.0'"];
    let b = ["B", "*", "b.com", "tls_min_version = '1.3'"];
    let c = ["C", "*", "c.com", "tls_min_version = '1.2'"];
    let b_lifted = "for mail from `x.com` to `b.com`, `X` takes TLSv1.2, where `B` demands TLSv1.3";
    for recipients in ["a.com b.com", "", "*", "*.com", "c.com b.com"] {
        let x = ["X", "x.com", recipients, "tls_min_version = '1.2'"];
        assert_eq!(said(&[a, b, c, x]), [b_lifted], "{recipients}");
    }
    let x = [
        "X",
        "x.com",
        "a.com c.com b.com",
        "tls_min_version = 'SSLv3'",
    ];
    assert_eq!(said(&[a, b, c, x]).len(), 3);
}

#[test]
fn addresses_are_compared_like_domains() {
    let range = [
        "Range",
        "192.0.2.0/24",
        "sales.contoso.com",
        "client_ips = ['192.0.2.1']",
    ];
    let one = [
        "One",
        "192.0.2.8/32",
        "*.contoso.com",
        "origin = 'unrestricted'",
    ];
    assert_eq!(
        said(&[range, one]),
        [
            "for mail from `192.0.2.8/32` to `sales.contoso.com`, `One` lifts the addresses of `Range`"
        ]
    );
}

#[test]
fn what_a_pattern_includes_follows_it_directly() {
    let ordered: Vec<DomainPattern> = [
        "*",
        "*.com",
        "com",
        "*.contoso.com",
        "contoso.com",
        "*.a.contoso.com",
        "a.contoso.com",
        "x.a.contoso.com",
        "b.contoso.com",
        "*.contoso-2.com",
        "net",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    for (at, pattern) in ordered.iter().enumerate() {
        let after = ordered[at + 1..].iter();
        assert!(
            after
                .clone()
                .all(|next| Downwards(pattern) < Downwards(next))
        );
        let run = after
            .clone()
            .take_while(|next| pattern.includes(next))
            .count();
        assert_eq!(run, after.filter(|next| pattern.includes(next)).count());
    }
}
