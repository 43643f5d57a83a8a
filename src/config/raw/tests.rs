use proptest::prelude::*;

use super::*;
use crate::config::{finding::Finding, render};

const EXAMPLE: &str = r#"version = 1
mode = "enforce"                           # of the whole set
accepted_domains = ["contoso.com", "*.contoso.com"]

[[inbound]]
name = "ContosoBank"
comment = """Agreed with their postmaster,
[end]
ticket 4711"""
[inbound.match]
sender_domains = ["contosobank.com"]
[inbound.require]
tls = "encrypt"
client_ips = ["203.0.113.0/24", "2001:db8:7::/48"]
[inbound.reply]
action = "reject"

[[outbound]]
name = "ContosoBank out"
match.recipient_domains = ["contosobank.com", "*.bücher.example"]
route = { smart_hosts = ["mail.contosobank.com"] }
[outbound.require]
tls = "encrypt"

[end]  # the last line
"#;

fn read_all(text: &str) -> (Option<RawSet>, Vec<Finding>) {
    let mut findings = Findings::default();
    let set = read(text, &mut findings);
    (set, findings.into_sorted())
}

fn codes(text: &str) -> Vec<&'static str> {
    read_all(text)
        .1
        .iter()
        .map(|finding| finding.code)
        .collect()
}

/// The one finding of a set with these lines, as place, code and help.
fn only(lines: &str) -> String {
    let text = format!("version = 1\n{lines}\n[end]\n");
    let (_, findings) = read_all(&text);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    render::plain("f", &text, &findings)
}

#[test]
fn every_value_has_its_place() {
    let (set, findings) = read_all(EXAMPLE);
    assert_eq!(findings, []);
    let set = set.unwrap();
    let shown = |span: &std::ops::Range<usize>| EXAMPLE.get(span.clone()).unwrap();
    let accepted = set.accepted_domains.unwrap();
    assert_eq!(shown(&accepted.span), r#"["contoso.com", "*.contoso.com"]"#);
    assert_eq!(accepted.value[1].value, "*.contoso.com");
    assert_eq!(shown(&accepted.value[1].span), r#""*.contoso.com""#);
    let inbound = &set.inbound[0];
    assert_eq!(shown(&inbound.span), "[[inbound]]");
    assert_eq!(
        shown(&inbound.value.require.as_ref().unwrap().span),
        "[inbound.require]"
    );
    let outbound = &set.outbound[0].value;
    assert_eq!(shown(&outbound.match_.as_ref().unwrap().span), "match");
    let route = outbound.route.as_ref().unwrap();
    assert!(shown(&route.span).starts_with("{ smart_hosts"));
    assert!(outbound.reply.is_none());
    assert!(outbound.unread.is_empty());
}

#[test]
fn every_beginning_before_the_end_is_refused() {
    let end = EXAMPLE.rfind("[end]").unwrap() + "[end]".len();
    for text in [EXAMPLE.to_owned(), EXAMPLE.replace('\n', "\r\n")] {
        let whole = text.rfind("[end]").unwrap() + "[end]".len();
        for (stop, _) in text.char_indices().filter(|(stop, _)| *stop < whole) {
            assert_ne!(
                codes(text.get(..stop).unwrap()),
                [""; 0],
                "a file cut off at {stop} is taken"
            );
        }
    }
    assert_eq!(codes(EXAMPLE.get(..end).unwrap()), [""; 0]);
}

#[test]
fn the_end_is_the_last_line() {
    assert_eq!(codes("version = 1\n[end]"), [""; 0]);
    assert_eq!(
        codes("\u{feff}version = 1\r\n[ end ] # the end\r\n\r\n# blanks\r\n"),
        [""; 0]
    );
    assert_eq!(codes("version = 1\n"), ["end-missing"]);
    assert_eq!(codes(""), ["version-missing", "end-missing"]);
    assert_eq!(codes("version = 1\n# [end]\n"), ["end-missing"]);
    for end in ["end = {}", "end = true", "end.x = 1", "[[end]]", "[end.x]"] {
        assert_eq!(
            codes(&format!("version = 1\n{end}\n")),
            ["end-not-header"],
            "{end}"
        );
    }
    assert_eq!(
        codes("[end]\nversion = 1\n"),
        ["version-missing", "end-not-empty"]
    );
    assert_eq!(codes("version = 1\n[end]\n[end.x]\n"), ["end-not-empty"]);
    assert_eq!(codes("version = 1\n[end]\n[[inbound]]\n"), ["end-not-last"]);
    let text = "version = 1\n[[inbound]]\n[end]\n[inbound.match]\n[inbound.require]\n";
    assert_eq!(codes(text), ["end-not-last"]);
    let text = "version = 1\n[end]\nx = 1\n[[inbound]]\n";
    assert_eq!(codes(text), ["end-not-empty", "end-not-last"]);
    assert_eq!(codes("version = 1\n[end]\n[end]\n"), ["toml-syntax"]);
}

#[test]
fn another_version_is_not_judged() {
    assert_eq!(codes("version = 2\nnew = 1\n"), ["version-unsupported"]);
    assert_eq!(codes("version = -0x1\n[end]"), ["toml-syntax"]);
    assert_eq!(codes("version = 0x1\n[end]"), [""; 0]);
    assert_eq!(codes("version = \"1\"\n[end]"), ["type-wrong"]);
    assert_eq!(
        codes("version = 99999999999999999999\n[end]"),
        ["version-unsupported"]
    );
    assert_eq!(codes("[end]"), ["version-missing"]);
}

#[test]
fn unknown_keys_say_what_to_write() {
    insta::assert_snapshot!([
        "acepted_domains = []",
        "zzz = 1",
        "[match]",
        "[[connector]]",
        "[[inbound]]\ntls = true",
        "[[inbound]]\nName = \"x\"",
        "[[inbound]]\n[inbound.requires]",
        "[[inbound]]\n[inbound.match]\nSenderIPAddresses = []",
        "[[inbound]]\n[inbound.require]\nRequireTls = true",
        "[[inbound]]\n[inbound.require]\nsmart_hosts = []",
        "[[inbound]]\n[inbound.match]\nsmarthosts = []",
        "[[outbound]]\nsmart_hots = []",
        "[[outbound]]\nIsTransportRuleScoped = true",
        "[[outbound]]\n[outbound.require]\nsmtp_tls_security_level = \"encrypt\"",
        "\"a\\nb\" = 1",
    ]
    .map(only)
    .concat(), @r#"
    f:2:1: error[key-unknown]: unknown key `acepted_domains` at the top of the file (help: did you mean `accepted_domains`?)
    f:2:1: error[key-unknown]: unknown key `zzz` at the top of the file (help: the keys here are `version`, `mode`, `retired`, `accepted_domains`, `inbound`, `outbound`, `end`)
    f:2:2: error[key-unknown]: unknown key `match` at the top of the file (help: write it as `[inbound.match]` or `[outbound.match]`)
    f:2:3: error[key-unknown]: unknown key `connector` at the top of the file (help: begin each connector with `[[inbound]]` or `[[outbound]]`)
    f:3:1: error[key-unknown]: unknown key `tls` in `[[inbound]]` (help: `tls` belongs in `[inbound.require]`)
    f:3:1: error[key-unknown]: unknown key `Name` in `[[inbound]]` (help: it is written `name`)
    f:3:10: error[key-unknown]: unknown key `requires` in `[[inbound]]` (help: did you mean `[inbound.require]`?)
    f:4:1: error[key-unknown]: unknown key `SenderIPAddresses` in `[inbound.match]` (help: write `client_ips = [...]`: in `[inbound.require]` the domain's mail may come from these addresses only, in `[inbound.match]` the addresses recognise the partner)
    f:4:1: error[key-unknown]: unknown key `RequireTls` in `[inbound.require]` (help: write `tls = "encrypt"` in `[inbound.require]` or `[outbound.require]`)
    f:4:1: error[key-unknown]: unknown key `smart_hosts` in `[inbound.require]` (help: `smart_hosts` belongs in `[outbound.route]`)
    f:4:1: error[key-unknown]: unknown key `smarthosts` in `[inbound.match]` (help: `smart_hosts` belongs in `[outbound.route]`)
    f:3:1: error[key-unknown]: unknown key `smart_hots` in `[[outbound]]` (help: did you mean `smart_hosts`? it belongs in `[outbound.route]`)
    f:3:1: error[key-unknown]: unknown key `IsTransportRuleScoped` in `[[outbound]]` (help: for true write `scope = "rule"` in `[[outbound]]`, for false leave the line out)
    f:4:1: error[key-unknown]: unknown key `smtp_tls_security_level` in `[outbound.require]` (help: write `tls = "encrypt"` in `[inbound.require]`; in `[outbound.require]` one of `tls = "opportunistic"`, `"encrypt"`, `"trusted"` and `"domain"`)
    f:2:1: error[key-unknown]: unknown key `a\nb` at the top of the file (help: the keys here are `version`, `mode`, `retired`, `accepted_domains`, `inbound`, `outbound`, `end`)
    "#);
}

#[test]
fn wrong_types_say_what_to_write() {
    insta::assert_snapshot!([
        "retired = \"no\"",
        "mode = false",
        "accepted_domains = \"contoso.com\"",
        "accepted_domains = [\"contoso.com\", 7]",
        "inbound = 1",
        "inbound = [1]",
        "[inbound]\nname = \"x\"",
        "[[inbound]]\nname = [\"x\"]",
        "[[inbound]]\nmatch = 1",
        "[[inbound]]\n[[inbound.match]]",
        "[[inbound]]\n[inbound.require]\ntls = true",
        "[[inbound]]\n[inbound.require]\ntls = false",
        "[[inbound]]\n[inbound.require]\ntls_min_version = 1.2",
        "[[inbound]]\n[inbound.require]\norigin = {}",
    ]
    .map(only)
    .concat(), @r#"
    f:2:11: error[type-wrong]: `retired` must be true or false, not a text (help: write `retired = true`)
    f:2:8: error[type-wrong]: `mode` must be a text in quotes, not `false` (help: write `mode = "off"`)
    f:2:20: error[type-wrong]: `accepted_domains` must be a list of texts in brackets, not a text (help: put it in brackets: `accepted_domains = ["contoso.com"]`)
    f:2:36: error[type-wrong]: an entry of `accepted_domains` must be a text in quotes, not a number (help: write `accepted_domains = ["contoso.com"]`)
    f:2:11: error[type-wrong]: `inbound` must be a list of tables, not a number (help: begin each one with `[[inbound]]`)
    f:2:12: error[type-wrong]: an entry of `inbound` must be a table, not a number (help: begin each one with `[[inbound]]`)
    f:2:1: error[type-wrong]: `inbound` must be a list of tables, not a table (help: begin each one with `[[inbound]]`)
    f:3:8: error[type-wrong]: `name` must be a text in quotes, not a list (help: write `name = "x"`)
    f:3:9: error[type-wrong]: `match` must be a table, not a number (help: write it once, as `[inbound.match]`)
    f:3:1: error[type-wrong]: `match` must be a table, not a list (help: write it once, as `[inbound.match]`)
    f:4:7: error[type-wrong]: `tls` must be a text in quotes, not `true` (help: write `tls = "encrypt"`)
    f:4:7: error[type-wrong]: `tls` must be a text in quotes, not `false` (help: write `tls = "opportunistic"`, or leave the line out)
    f:4:19: error[type-wrong]: `tls_min_version` must be a text in quotes, not a number (help: put it in quotes, as in `tls_min_version = "TLSv1.2"`)
    f:4:10: error[type-wrong]: `origin` must be a text in quotes, not a table (help: write `origin = "address-or-certificate"`)
    "#);
}

#[test]
fn a_number_with_a_fraction_is_shown() {
    let findings = read_all("version = 1.0\n[end]").1;
    let messages: Vec<_> = findings.iter().map(|finding| &*finding.message).collect();
    assert_eq!(messages, ["`version` must be a whole number, not `1.0`"]);
}

#[test]
fn what_could_not_be_read_is_noted() {
    let text = "version = 1\n[[inbound]]\n[inbound.require]\nTLS = 1\nclient_ips = [1]\n\
                MinTlsVersion = \"1\"\n[end]";
    let (set, _) = read_all(text);
    let require = set.unwrap().inbound[0].value.require.clone().unwrap().value;
    assert!(
        ["tls", "client_ips", "tls_min_version"]
            .iter()
            .all(|key| require.unread.has(key))
    );
    assert_eq!(require.client_ips.unwrap().value, []);
    assert!(!require.unread.has("origin"));
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema = jsonschema::validator_for(schema().as_value()).unwrap();
    let value = |text: &str| {
        let table: toml::Table = toml::from_str(text).unwrap();
        serde_json::to_value(table).unwrap()
    };
    assert!(schema.is_valid(&value(EXAMPLE)));
    for (from, to) in [
        ("[end]  #", "#"),
        ("version = 1", "version = 2"),
        ("tls = \"encrypt\"", "tls = \"always\""),
        ("tls = \"encrypt\"", "TLS = \"encrypt\""),
        ("name = \"ContosoBank\"", ""),
        (
            "sender_domains = ",
            "client_ips = [\"192.0.2.1\"]\nsender_domains = ",
        ),
        (
            "sender_domains = [\"contosobank.com\"]",
            "sender_domains = []",
        ),
        ("action = \"reject\"", "text = \"{later}\""),
    ] {
        let text = EXAMPLE
            .replace("\n[end]\nticket", "\nticket")
            .replace(from, to);
        assert!(!schema.is_valid(&value(&text)), "{from} -> {to}");
    }
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in "\\PC{0,200}") {
        render_all(&text);
    }

    #[test]
    fn anything_like_toml_can_be_read(parts in prop::collection::vec(PART, 0..40)) {
        render_all(&parts.concat());
    }

    #[test]
    fn an_example_with_a_slip_can_be_read(
        cut in 0..EXAMPLE.len(),
        gone in 0usize..30,
        slip in "(\\PC|\n|\"|\\[|\\]|=|\u{0}){0,3}",
    ) {
        let before: String = EXAMPLE.chars().take(cut).collect();
        let after: String = EXAMPLE.chars().skip(cut + gone).collect();
        render_all(&format!("{before}{slip}{after}"));
    }
}

const PART: &str = "version|end|inbound|outbound|match|require|tls|name|x|=|\\.|,|\\[|\\]|\\[\\[|\
    \\]\\]|\\{|\\}|\"|'|\"\"\"|#| |\n|\r\n|1|true|\u{feff}|é";

fn render_all(text: &str) {
    let (set, findings) = read_all(text);
    assert!(set.is_some() || !findings.is_empty());
    let shown = render::carets("f", text, &findings, true);
    let lines = render::plain("f", text, &findings);
    assert_eq!(lines.lines().count(), findings.len(), "{lines}");
    assert_eq!(shown.is_empty(), findings.is_empty());
    assert_eq!(render::json("f", text, &findings).len(), findings.len());
    for finding in &findings {
        let span = finding.span();
        assert!(
            text.get(span.clone()).is_some(),
            "{span:?} of {:?}",
            finding.code
        );
    }
}
