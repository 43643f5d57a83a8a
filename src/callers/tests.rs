use super::*;
use crate::policy::Scope;

fn caller(name: &str, rate: Option<u32>) -> Caller {
    Caller::new(name, Scope::All, Rights::default(), rate)
}

fn ways(names: &[&str], uris: &[&str], tokens: &[&str]) -> Ways {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Ways {
        certificate_names: owned(names),
        certificate_uris: owned(uris),
        tokens: tokens
            .iter()
            .map(|token| TokenHash::of(token.as_bytes()))
            .collect(),
    }
}

fn two() -> Callers {
    Callers::new([
        (
            caller("a", None),
            ways(&["a.example", "b.example"], &["spiffe://a/1"], &["1", "2"]),
        ),
        (
            caller("c", None),
            ways(&["c.example"], &["spiffe://c/1"], &["3"]),
        ),
    ])
}

fn certified(callers: &Callers, names: &[&str], uris: &[&str]) -> String {
    let owned = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    match callers.certified(&owned(names), &owned(uris)) {
        Certified::Nobody => "nobody".to_owned(),
        Certified::One(caller) => caller.name().to_owned(),
        Certified::Several => "several".to_owned(),
    }
}

#[test]
fn certificates_are_of_one_caller_or_none() {
    let callers = two();
    let of = |names: &[&str], uris: &[&str]| certified(&callers, names, uris);
    assert_eq!(of(&[], &[]), "nobody");
    assert_eq!(of(&["x.example"], &["spiffe://a/2"]), "nobody");
    assert_eq!(of(&["x.example", "a.example"], &[]), "a");
    assert_eq!(of(&["b.example", "a.example"], &["spiffe://a/1"]), "a");
    assert_eq!(of(&[], &["spiffe://c/1"]), "c");
    assert_eq!(of(&["a.example"], &["spiffe://c/1"]), "several");
    // A name is no URI, a domain below another is not that one, and nothing is matched in part.
    assert_eq!(
        of(&["spiffe://a/1", "sub.a.example", "a.exampl"], &[]),
        "nobody"
    );
    assert_eq!(
        of(&[], &["a.example", "spiffe://a/1/", "SPIFFE://a/1"]),
        "nobody"
    );
}

#[test]
fn tokens_are_found_wherever_they_are() {
    let callers = two();
    let of = |token: &str| {
        let caller = callers.with_token(&TokenHash::of(token.as_bytes()));
        caller.map(|caller| caller.name().to_owned())
    };
    assert_eq!(of("1").as_deref(), Some("a"));
    assert_eq!(of("2").as_deref(), Some("a"));
    assert_eq!(of("3").as_deref(), Some("c"));
    assert_eq!(of("4"), None);
    assert!(
        Callers::default()
            .with_token(&TokenHash::of(b"1"))
            .is_none()
    );
}

#[test]
fn a_save_gives_nobody_a_second_allowance() {
    let with = |rate| Callers::new([(caller("a", Some(rate)), Ways::default())]);
    let left = |callers: &Callers| callers.list()[0].allowance().unwrap().take(1).is_ok();
    let first = with(1);
    assert!(left(&first) && !left(&first));
    let same = with(1).keeping(&first);
    assert!(!left(&same));
    assert!(left(&with(2).keeping(&same)));
}

#[test]
fn a_save_gives_nobody_more_calls_in_flight() {
    let with = |calls| {
        let caller = caller("a", None).with_calls(calls);
        Callers::new([(caller, Ways::default())])
    };
    let place = |callers: &Callers| callers.list()[0].place(3);
    let first = with(Some(1));
    let held = place(&first).unwrap();
    assert!(place(&first).is_none());
    let second = with(Some(2)).keeping(&first);
    let more = place(&second).unwrap();
    assert!(place(&second).is_none());
    // Without a number it is the share.
    let third = with(None).keeping(&second);
    let last = place(&third).unwrap();
    assert!(place(&third).is_none());
    drop((held, more, last));
    assert!(place(&first).is_some());
}
