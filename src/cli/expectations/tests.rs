use super::*;
use crate::{
    config::{load_str, render},
    live::Snapshot,
    policy::{Catalog, Entry},
    rpc::answer,
};

/// The file that the documentation shows.
const DOCUMENTED: &str = r#"
version = 1

[[case]]
name = "ContosoBank in plaintext is refused"
why = "agreed with their postmaster, ticket 4711"   # optional
[case.inbound]
client_ip = "192.0.2.7"
mail_from = "ann@contosobank.com"
rcpt_to = "bob@contoso.com"
[case.expect]
verdict = "REJECT"
connector = "ContosoBank"
reasons = ["TLS_REQUIRED"]
reply = "530 5.7.0 Must issue a STARTTLS command first"

[[case]]
name = "over TLS it is accepted"
[case.inbound]
client_ip = "192.0.2.7"
mail_from = "ann@contosobank.com"
rcpt_to = "bob@contoso.com"
tls = { version = "TLSv1.3", peer_certificate = { trust = "TRUSTED", dns_names = ["mx.contosobank.com"] } }
[case.expect]
verdict = "ACCEPT"
connector = "ContosoBank"
"#;

const SET: &str = r#"
version = 1
[[inbound]]
name = "ContosoBank"
match.sender_domains = ["contosobank.com"]
require.tls = "encrypt"
[[outbound]]
name = "Bank out"
match.recipient_domains = ["contosobank.com"]
route.smart_hosts = ["mail.contosobank.com", "[2001:db8::7]:2525"]
require.tls = "domain"
require.certificate_names = ["*.contosobank.com"]
[end]
"#;

fn snapshot() -> Snapshot {
    let outcome = load_str("contoso", SET);
    assert!(outcome.set.is_some(), "{:?}", outcome.findings);
    let entries = outcome.set.map(Entry::new).into_iter().collect();
    Snapshot {
        catalog: Catalog::new(entries, None),
        status: std::collections::BTreeMap::new(),
        directory_fault: None,
    }
}

fn mismatches(text: &str) -> Vec<Vec<String>> {
    let expectations = Expectations::parse(text).unwrap();
    let outcome = |case: &Case| {
        let answer: Answer = match &case.question {
            Question::Inbound(question) => answer::inbound(&snapshot(), question).into(),
            Question::Outbound(question) => answer::outbound(&snapshot(), question).into(),
        };
        let line = |it: Mismatch| format!("{}: expected {}, got {}", it.key, it.expected, it.got);
        check(case, &answer).into_iter().map(line).collect()
    };
    expectations.cases.iter().map(outcome).collect()
}

fn findings(text: &str) -> String {
    render::plain("f", text, &Expectations::parse(text).unwrap_err())
}

#[test]
fn the_documented_file_is_read_and_holds() {
    let expectations = Expectations::parse(DOCUMENTED).unwrap();
    assert_eq!(expectations.asked, Asked::Settings);
    let lines: Vec<_> = expectations.cases.iter().map(|case| case.line).collect();
    assert_eq!(lines, [4, 17]);
    assert_eq!(
        expectations.cases[0].why.as_deref(),
        Some("agreed with their postmaster, ticket 4711")
    );
    assert_eq!(mismatches(DOCUMENTED), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn every_key_is_compared() {
    let text = r#"
version = 1
[[case]]
name = "in"
inbound = { client_ip = "192.0.2.7", mail_from = "ann@contosobank.com" }
[case.expect]
verdict = "ACCEPT"
connector = ""
also_matched = "X"
matched_by = "CLIENT_IP"
matched_value = "*"
reasons = []
rejected_by = ["X"]
rejections = [{ reason = "CERTIFICATE_REQUIRED", connector = "X", message = "m", expected = ["e"], observed = ["o"] }]
reply = ""
if_enforced = { verdict = "ACCEPT" }
set = ""
selected_by = "NAME"
[[case]]
name = "out"
outbound = { rcpt_to = "contosobank.com" }
[case.expect]
if_enforced = false
delivery = { smart_hosts = ["mail.contosobank.com:25", "[2001:db8::7]:2525"], level = "TRUSTED", names = [], min_version = "TLSv1.2", fingerprints = [] }
[[case]]
name = "absent"
outbound = { rcpt_to = "contosobank.com" }
expect = { delivery = false, reply = "250" }
[[case]]
name = "no error"
outbound = { rcpt_to = "contosobank.com" }
expect = { error = "NOT_FOUND" }
[[case]]
name = "an error"
outbound = {}
expect = { verdict = "ACCEPT" }
[[case]]
name = "another error"
inbound = { client_ip = "x" }
expect = { error = "INVALID_ARGUMENT", bad_fields = ["rcpt_to"] }
"#;
    let lines = mismatches(text)
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(lines, @r#"
    verdict: expected "ACCEPT", got "REJECT"
    connector: expected nothing, got "ContosoBank"
    also_matched: expected "X", got nothing
    matched_by: expected "CLIENT_IP", got "SENDER_DOMAIN"
    matched_value: expected "*", got "contosobank.com"
    reasons: expected [], got ["TLS_REQUIRED"]
    rejected_by: expected ["X"], got ["ContosoBank"]
    rejections[0].reason: expected "CERTIFICATE_REQUIRED", got "TLS_REQUIRED"
    rejections[0].connector: expected "X", got "ContosoBank"
    rejections[0].message: expected "m", got "`ContosoBank` demands TLS, and the session is in plaintext"
    rejections[0].expected: expected ["e"], got []
    rejections[0].observed: expected ["o"], got []
    reply: expected nothing, got "530 5.7.0 Must issue a STARTTLS command first"
    if_enforced: expected present, got absent
    set: expected nothing, got "contoso"
    selected_by: expected "NAME", got "DEFAULT"
    delivery.level: expected "TRUSTED", got "DOMAIN"
    delivery.names: expected [], got ["*.contosobank.com"]
    delivery.min_version: expected "TLSv1.2", got nothing
    reply: expected "250", got nothing
    delivery: expected absent, got present
    error: expected NOT_FOUND, got the verdict CONDITIONAL
    error: expected a decision, got INVALID_ARGUMENT: rcpt_to: required: write one envelope recipient, or its domain
    bad_fields: expected ["rcpt_to"], got ["client_ip"]
    "#);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let text = r#"version = 2
connectors = "../contoso.toml"
default_set = "a"
[sets]
Contoso = ""

[[case]]
name = "a"
inbound = { client_ip = "192.0.2.7", mailfrom = "x" }
expect = {}

[[case]]
name = "a"
expect = { verdict = "OK", reasons = ["TLS"], error = "NOT_FOUND" }

[[case]]
name = "b"
inbound = { tls = { peer_certificate = { trust = "GOOD" } } }
expect = { delivery = false, bad_fields = ["client_ip"] }
"#;
    insta::assert_snapshot!(findings(text), @r#"
    f:1:11: error[version-unsupported]: version 2 is not known (help: write `version = 1`)
    f:2:14: error[connectors-twice]: `connectors` and `[sets]` cannot be given together (help: remove one of the two)
    f:9:11: error[question-invalid]: not a `postern.v1.CheckInboundRequest` in proto3 JSON: unrecognized field name 'mailfrom' (help: the fields are those of `CheckInboundRequest`)
    f:10:10: error[expect-empty]: the case expects nothing (help: write at least `verdict = "ACCEPT"`)
    f:13:8: error[case-name-twice]: two cases have the name `a` (help: give one of them another name)
    f:13:8: error[question-missing]: the case has neither of `inbound` and `outbound` (help: ask one question: `[case.inbound]` or `[case.outbound]`)
    f:14:10: error[expect-invalid]: a call that ends with an `error` has no decision to look at (help: remove the other keys, or `error`)
    f:14:22: error[word-unknown]: `OK` is not one of the words of the contract (help: write one of ACCEPT, REJECT, CONDITIONAL, DEFER)
    f:14:39: error[word-unknown]: `TLS` is not one of the words of the contract (help: write one of TLS_REQUIRED, TLS_VERSION_TOO_LOW, CERTIFICATE_REQUIRED, CERTIFICATE_EXPIRED, CERTIFICATE_UNTRUSTED, CERTIFICATE_NAME_MISMATCH, CERTIFICATE_FINGERPRINT_MISMATCH, CLIENT_IP_NOT_ALLOWED, HOST_NOT_ALLOWED, RULE_CONNECTOR_NOT_FOUND, MAIL_FROM_INVALID, RCPT_TO_INVALID)
    f:18:11: error[question-invalid]: not a `postern.v1.CheckInboundRequest` in proto3 JSON: unrecognized enum value 'GOOD' (help: the fields are those of `CheckInboundRequest`)
    f:19:10: error[expect-invalid]: `bad_fields` belong to INVALID_ARGUMENT alone (help: write `error = "INVALID_ARGUMENT"` beside them)
    "#);
    insta::assert_snapshot!(findings("version = 1\n"), @r"
    f:1:1: error[cases-missing]: there is no `[[case]]` (help: write at least one case)
    ");
    insta::assert_snapshot!(findings("version = 1\n[[case]]\nname = 1\n"), @r"
    f:3:8: error[expectations-invalid]: invalid type: integer `1`, expected a string
    ");
    insta::assert_snapshot!(findings("version = 1\n[[case]]\nnmae = \"a\"\n"), @r"
    f:3:1: error[expectations-invalid]: unknown field `nmae`, expected one of `name`, `why`, `inbound`, `outbound`, `expect`
    ");
    let text =
        "version = 1\n[[case]]\nname = \"a\"\ninbound = {}\nexpect = { if_enforced = true }\n";
    insta::assert_snapshot!(findings(text), @r"
    f:5:26: error[expectations-invalid]: invalid value: boolean `true`, expected `false`, or a table
    ");
}

#[test]
fn connectors_are_relative_to_the_file() {
    let text = |more: &str| {
        format!(
            "version = 1\n{more}\n[[case]]\nname = \"a\"\ninbound = {{}}\nexpect = {{ verdict = \"ACCEPT\" }}\n"
        )
    };
    let of = |more: &str| {
        Expectations::parse(&text(more))
            .unwrap()
            .connectors_of(Path::new("tests/a.toml"))
    };
    assert_eq!(of("connectors = \"../sets\""), Some("tests/../sets".into()));
    assert_eq!(of(""), None);
    assert_eq!(of("sets.a = ''"), None);
}
