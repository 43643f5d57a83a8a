use std::sync::Arc;

use super::*;
use crate::config;

fn set(text: &str) -> Arc<ConnectorSet> {
    let outcome = config::load_str("contoso", &format!("version = 1\n{text}\n[end]\n"));
    outcome
        .set
        .unwrap_or_else(|| panic!("{:?}", outcome.findings))
}

fn said(old: &str, new: &str) -> String {
    lifted(&set(old), &set(new)).join("\n")
}

fn inbound(rest: &str) -> String {
    format!("[[inbound]]\nname = \"Bank\"\nmatch.sender_domains = [\"bank.example\"]\n{rest}\n")
}

fn outbound(rest: &str) -> String {
    format!("[[outbound]]\nname = \"Bank\"\nmatch.recipient_domains = [\"bank.example\"]\n{rest}\n")
}

const ALL: &str = r#"
require.tls_min_version = "1.2"
require.certificate_names = ["*.bank.example"]
require.client_ips = ["192.0.2.0/24"]
"#;

#[test]
fn nothing_is_lifted_by_asking_the_same_or_more() {
    let tls = inbound("require.tls = \"encrypt\"");
    let all = inbound(ALL);
    assert_eq!(said(&tls, &tls), "");
    assert_eq!(said(&tls, &all), "");
    assert_eq!(said("", &all), "");
    let stricter = ALL
        .replace("*.bank", "mx.bank")
        .replace("2.0/24", "2.7")
        .replace("1.2", "1.3");
    assert_eq!(said(&all, &inbound(&stricter)), "");
    assert_eq!(said(&all, &all.replace("\"Bank\"", "\"The Bank\"")), "");
    assert_eq!(
        said(&all, &all.replace("[\"bank.example", "[\"*.bank.example")),
        ""
    );
    let all_out =
        outbound("require.tls = \"domain\"\nrequire.certificate_names = [\"bank.example\"]");
    assert_eq!(said(&outbound("require.tls = \"encrypt\""), &all_out), "");
}

#[test]
fn what_was_not_enforced_is_not_lifted() {
    let report = inbound(&format!("mode = \"report\"\n{ALL}"));
    assert_eq!(said(&report, ""), "");
    assert_eq!(
        said(&format!("mode = \"report\"\n{}", inbound(ALL)), ""),
        ""
    );
    assert_eq!(said(&inbound("require.tls = \"opportunistic\""), ""), "");
}

#[test]
fn whole_connectors() {
    let old = inbound(ALL);
    insta::assert_snapshot!(said(&old, ""), @"inbound connector `Bank` is gone, which demanded TLS, TLS 1.2 or later, its addresses, its certificates");
    insta::assert_snapshot!(said(&old, &inbound(&format!("mode = \"report\"\n{ALL}"))), @"inbound connector `Bank` only reports now, and demanded TLS, TLS 1.2 or later, its addresses, its certificates");
    insta::assert_snapshot!(said(&old, &inbound(&format!("mode = \"off\"\n{ALL}"))), @"inbound connector `Bank` is off now, and demanded TLS, TLS 1.2 or later, its addresses, its certificates");
    let old = outbound("require.tls = \"trusted\"\nroute.smart_hosts = [\"mx.bank.example\"]");
    insta::assert_snapshot!(said(&old, ""), @"outbound connector `Bank` is gone, which demanded TLS at level `trusted`, its smart hosts as next hops");
}

#[test]
fn single_demands() {
    let old = inbound(ALL);
    insta::assert_snapshot!(said(&old, &inbound("require.tls = \"encrypt\"")), @r"
    inbound connector `Bank` no longer demands TLS 1.2 or later
    inbound connector `Bank` no longer restricts the origin
    ");
    insta::assert_snapshot!(said(&old, &inbound("require.client_ips = [\"192.0.2.0/23\"]")), @r"
    inbound connector `Bank` no longer demands TLS
    inbound connector `Bank` no longer demands TLS 1.2 or later
    inbound connector `Bank` accepts the addresses `192.0.2.0/23` as well
    inbound connector `Bank` no longer demands its certificates
    ");
    let wider = ALL
        .replace("/24\"", "/24\", \"2001:db8::/32\"")
        .replace("e\"]", "e\", \"x.example\"]");
    insta::assert_snapshot!(said(&old, &inbound(&wider.replace("1.2", "1.0"))), @r"
    inbound connector `Bank` demands TLS 1.0 or later, no longer TLS 1.2
    inbound connector `Bank` accepts the addresses `2001:db8::/32` as well
    inbound connector `Bank` accepts certificates of the names `x.example` as well
    ");
    let either = format!("{ALL}require.origin = \"address-or-certificate\"\n");
    insta::assert_snapshot!(said(&old, &inbound(&either)), @"inbound connector `Bank` accepts either an address or a certificate as proof of the origin");
    insta::assert_snapshot!(said(&inbound(&either), &inbound("require.client_ips = [\"192.0.2.0/24\"]")), @r"
    inbound connector `Bank` no longer demands TLS
    inbound connector `Bank` no longer demands TLS 1.2 or later
    ");
    let pinned = format!(
        "require.certificate_fingerprints = [\"{}\"]",
        "ab".repeat(32)
    );
    insta::assert_snapshot!(said(&inbound(&pinned), &inbound(&pinned.replace("\"]", &format!("\", \"{}\"]", "cd".repeat(32))))), @"inbound connector `Bank` accepts certificates of the fingerprints `cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd` as well");
}

#[test]
fn narrower_matches() {
    let old = inbound("require.tls = \"encrypt\"");
    insta::assert_snapshot!(said(&old, &old.replace("bank.example", "mx.bank.example")), @"inbound connector `Bank` no longer speaks of mail from `bank.example`");
    let scoped = inbound("match.recipient_domains = [\"contoso.com\"]\nrequire.tls = \"encrypt\"");
    insta::assert_snapshot!(said(&old, &scoped), @"inbound connector `Bank` speaks only of mail to `contoso.com` now");
    assert_eq!(said(&scoped, &old), "");
    insta::assert_snapshot!(said(&scoped, &scoped.replace("contoso.com", "fabrikam.com")), @"inbound connector `Bank` no longer speaks of mail to `contoso.com`");
    let by_address = old
        .replace("sender_domains", "client_ips")
        .replace("bank.example", "192.0.2.1");
    insta::assert_snapshot!(said(&old, &by_address), @"inbound connector `Bank` no longer matches by sender domain");
}

#[test]
fn connectors_that_lift_what_others_demand() {
    let lifting = "require.tls = \"opportunistic\"\nrequire.origin = \"unrestricted\"";
    let new = inbound(lifting);
    insta::assert_snapshot!(said("", &new), @r#"
    inbound connector `Bank` lifts the demand of TLS (`tls = "opportunistic"`)
    inbound connector `Bank` lifts every restriction of the origin (`origin = "unrestricted"`)
    "#);
    assert_eq!(said(&new, &new), "");
    insta::assert_snapshot!(said(&inbound(ALL), &new), @r#"
    inbound connector `Bank` no longer demands TLS 1.2 or later
    inbound connector `Bank` lifts the demand of TLS (`tls = "opportunistic"`)
    inbound connector `Bank` lifts every restriction of the origin (`origin = "unrestricted"`)
    "#);
}

#[test]
fn next_hops() {
    let old = outbound(
        "require.tls = \"domain\"\nrequire.certificate_names = [\"bank.example\"]\n\
         require.tls_min_version = \"1.2\"\nroute.smart_hosts = [\"mx.bank.example\"]",
    );
    insta::assert_snapshot!(said(&old, &outbound("require.tls = \"encrypt\"")), @r"
    outbound connector `Bank` demands TLS at level `encrypt`, no longer `domain`
    outbound connector `Bank` no longer demands TLS 1.2 or later
    outbound connector `Bank` no longer demands its certificates
    outbound connector `Bank` no longer demands its smart hosts as next hops
    ");
    insta::assert_snapshot!(said(&old, &old.replace("mx.bank.example\"", "mx.bank.example\", \"mx2.bank.example:2525\"")), @"outbound connector `Bank` accepts the next hops `mx2.bank.example:2525` as well");
    let rule = "[[outbound]]\nname = \"Bank\"\nscope = \"rule\"\nrequire.tls = \"encrypt\"\n";
    insta::assert_snapshot!(said(&outbound("require.tls = \"encrypt\""), rule), @"outbound connector `Bank` governs only calls that name it");
    insta::assert_snapshot!(said(rule, &rule.replace("\"Bank\"", "\"The Bank\"")), @"outbound connector `Bank` is gone, which demanded TLS at level `encrypt`");
}

#[test]
fn the_set_as_a_whole() {
    let old = format!(
        "accepted_domains = [\"contoso.com\"]\n{}",
        inbound("require.tls = \"encrypt\"")
    );
    insta::assert_snapshot!(said(&old, &format!("mode = \"report\"\n{old}")), @"the set is in mode `report`: nothing of it is enforced");
    insta::assert_snapshot!(said(&old, "retired = true"), @r"
    the set is retired: it answers nothing
    `contoso.com` is no accepted domain: it no longer chooses this set
    ");
    assert_eq!(said(&old, &old.replace("[\"contoso", "[\"*.contoso")), "");
}

#[test]
fn many_values_of_one_connector_are_all_named() {
    let list = |count: usize, form: &dyn Fn(usize) -> String| {
        let all: Vec<_> = (0..count).map(|at| format!("\"{}\"", form(at))).collect();
        all.join(", ")
    };
    let domains = |count: usize| {
        let domains = list(count, &|at| format!("bank-{at}.example"));
        format!(
            "[[inbound]]\nname = \"Bank\"\nmatch.sender_domains = [{domains}]\n\
             require.tls = \"encrypt\"\n"
        )
    };
    let narrower = said(&domains(61), &domains(1));
    assert_eq!(narrower.lines().count(), 6, "{narrower}");
    for at in 1..61 {
        assert!(
            narrower.contains(&format!("`bank-{at}.example`")),
            "{narrower}"
        );
    }
    let addresses = |count: usize| {
        let addresses = list(count, &|at| format!("192.0.2.{}", at * 4));
        inbound(&format!("require.client_ips = [{addresses}]"))
    };
    let wider = said(&addresses(1), &addresses(61));
    assert_eq!(wider.lines().count(), 6, "{wider}");
    for at in 1..61 {
        assert!(wider.contains(&format!("`192.0.2.{}`", at * 4)), "{wider}");
    }
}
