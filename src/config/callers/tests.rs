use super::*;
use crate::config::render;

const GOOD: &str = r#"version = 1
[[callers]]
name = "contoso-edge"
certificate_names = ["MX1.Contoso.com", "mx2.contoso.com"]
certificate_uris = ["spiffe://contoso.com/ns/mail/sa/gateway"]
token_sha256 = ["BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"]
sets = ["contoso", "fabrikam"]
calls_per_second = 2000
calls = 500
[[callers]]
name = "helpdesk"
token_sha256 = ["cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"]
sets = ["*"]
may = ["check", "explain"]
[end]
"#;

#[test]
fn a_file_is_read() {
    let Outcome { callers, findings } = load_str(GOOD);
    assert!(findings.is_empty(), "{findings:?}");
    let callers = callers.unwrap();
    let [edge, helpdesk] = callers.list() else {
        panic!("{callers:?}")
    };
    assert_eq!(edge.name(), "contoso-edge");
    assert!(edge.scope().includes("fabrikam") && !edge.scope().includes("default"));
    let (check, explain) = (true, false);
    assert_eq!(edge.may(), Rights { check, explain });
    assert_eq!(edge.allowance().unwrap().calls_per_second(), 2000);
    assert_eq!((edge.calls(), helpdesk.calls()), (Some(500), None));
    assert_eq!(helpdesk.scope(), &Scope::All);
    assert!(helpdesk.may().check && helpdesk.may().explain && helpdesk.allowance().is_none());
    let by_token = |token: &[u8]| callers.with_token(&TokenHash::of(token));
    assert_eq!(by_token(b"abc").unwrap().name(), "contoso-edge");
    assert!(by_token(b"abd").is_none());
    let names = ["mx1.contoso.com".to_owned()];
    assert!(matches!(
        callers.certified(&names, &[]),
        crate::callers::Certified::One(caller) if caller.name() == "contoso-edge"
    ));
}

#[test]
fn no_beginning_of_a_file_is_a_file() {
    let end = GOOD.rfind(']').unwrap();
    for length in 0..end {
        if let Some(beginning) = GOOD.get(..length) {
            assert!(load_str(beginning).callers.is_none(), "{beginning}");
        }
    }
}

#[test]
fn every_fault_is_found_in_one_run() {
    let text = r#"[[callers]]
name = "Contoso"
certificate_names = ["*.contoso.com", "a b", ""]
certificate_uris = ["contoso.com", "spiffe://*", "urn:a b", "x:"]
token_sha256 = ["0123"]
sets = ["*", "Contoso.toml"]
may = ["checks"]
calls_per_second = 0
calls = 0
[[callers]]
nam = "a"
sets = []
token_sha256 = 7
[[callers]]
name = "b"
certificate_uris = ["x:1", "x:1"]
may = []
[[callers]]
name = "b"
certificate_uris = ["x:1"]
sets = ["b"]
[end]
"#;
    let findings = load_str(text).findings;
    insta::assert_snapshot!(render::plain("f", text, &findings));
}
