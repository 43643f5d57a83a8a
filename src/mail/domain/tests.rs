use std::{collections::HashMap, hash::BuildHasher};

use proptest::prelude::*;

use super::*;

fn domain(text: &str) -> Domain {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn pattern(text: &str) -> DomainPattern {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn has_one_spelling() {
    for (text, canonical) in [
        ("contoso.com", "contoso.com"),
        ("Mail.Contoso.COM.", "mail.contoso.com"),
        ("com", "com"),
        ("192.0.2.1", "192.0.2.1"),
        ("_dmarc.contoso.com", "_dmarc.contoso.com"),
        ("-a-.b--c.com", "-a-.b--c.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.Example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.EXAMPLE", "xn--bcher-kva.example"),
        ("bu\u{308}cher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("ｃｏｎｔｏｓｏ.com", "contoso.com"),
        ("con\u{ad}toso.com", "contoso.com"),
        ("\u{212a}elvin.com", "kelvin.com"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("contoso．com", "contoso.com"),
        ("contoso｡com。", "contoso.com"),
        ("bücher.example．", "xn--bcher-kva.example"),
        // Labels that ToASCII would refuse are kept where they are ASCII.
        ("xn--a", "xn--a"),
        ("xn--", "xn--"),
        ("xn--.bücher", "xn--.xn--bcher-kva"),
        ("xn--zzzzzz999999.ü", "xn--zzzzzz999999.xn--tda"),
        // Hyphens are not checked in other labels either.
        ("-bücher.com", "xn---bcher-4ya.com"),
        ("ab--ü.com", "xn--ab---3ra.com"),
        ("_ü.com", "xn--_-eha.com"),
        // CheckBidi looks at one label alone: `1a` is no neighbour of a Hebrew one.
        ("1a.אב", "1a.xn--4dbc"),
        ("נ\u{5b0}.1", "xn--7cb9g.1"),
    ] {
        match text.parse::<Domain>() {
            Ok(domain) => assert_eq!(domain.as_str(), canonical, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn refuses_what_is_no_domain() {
    let rule = "a label has letters, digits, `-` and `_`";
    let none = "is not allowed in an internationalized domain (UTS 46)";
    let dots = "write one dot between labels, none in front";
    for (text, message) in [
        ("", "a domain cannot be empty".to_owned()),
        (".", "a domain cannot be empty".to_owned()),
        ("。", "a domain cannot be empty".to_owned()),
        (".com", format!("label 1 is empty: {dots}")),
        (".ü", format!("label 1 is empty: {dots}")),
        ("a..com", format!("label 2 is empty: {dots}")),
        ("contoso.com..", format!("label 3 is empty: {dots}")),
        ("bücher.。com", format!("label 2 is empty: {dots}")),
        ("\u{ad}.com", format!("label 1 is empty: {dots}")),
        ("a b.com", format!("label `a b` holds ` `: {rule}")),
        (" a.com", format!("label ` a` holds ` `: {rule}")),
        ("a.com\n", format!("label `com\\n` holds `\\n`: {rule}")),
        ("*.com", format!("label `*` holds `*`: {rule}")),
        (
            "b@a.com",
            "label `b@a` holds `@`: write only what follows the `@`".to_owned(),
        ),
        ("[192.0.2.1]", format!("label `[192` holds `[`: {rule}")),
        (
            "mail.contoso.com:25",
            format!("label `com:25` holds `:`: {rule}"),
        ),
        ("a/ü.com", format!("label `a/ü` holds `/`: {rule}")),
        // Mapped to characters that no label may hold.
        ("℀.com", format!("label `℀` holds `/`: {rule}")),
        ("a＊ü.com", format!("label `a＊ü` holds `*`: {rule}")),
        // Not all ASCII, and in `xn--` once mapped.
        (
            "xn--bcher-ｋva",
            "label `xn--bcher-ｋva` stands for one that begins with \
             `xn--`: write that in ASCII letters"
                .to_owned(),
        ),
        (
            "ｘn--a\u{ad}bc.com",
            format!("label `ｘn--a\\u{{ad}}bc` {none}"),
        ),
        ("xn--bücher.com", format!("label `xn--bücher` {none}")),
        ("\u{301}a.com", format!("label `\\u{{301}}a` {none}")),
        ("a\u{200d}b.com", format!("label `a\\u{{200d}}b` {none}")),
        ("אa.com", format!("label `אa` {none}")),
        ("a\u{fffd}.com", format!("label `a\u{fffd}` {none}")),
    ] {
        let error = text.parse::<Domain>().unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn a_label_may_not_map_to_a_dot() {
    for text in [
        "a\u{2024}com",
        "a…com",
        "⒈com",
        "a⒈",
        "\u{2024}",
        "ü\u{2024}",
    ] {
        assert!(text.parse::<Domain>().is_err(), "{text}");
    }
}

#[test]
fn every_mapped_ace_label_is_refused() {
    for text in [
        "ｘｎ－－bcher-kva",
        "xn-\u{ad}-bcher-kva",
        "\u{ad}xn--bcher-kva",
        "xn--bcher-kva\u{ad}",
        "XN--Bcher-ｋVA",
        "xｎ--a",
        "ｘn--",
        "xn--ｘ-",
        "xn--bcher-kvaü",
    ] {
        assert!(text.parse::<Domain>().is_err(), "{text}");
    }
    // A longer prefix is no `xn--`, and an encoded label may look like one behind its own.
    assert_eq!(domain("axn--ｂ").as_str(), "axn--b");
    assert_eq!(domain("xn-ü").as_str(), "xn--xn--joa");
}

#[test]
fn keeps_the_limits_of_dns() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(name.len(), 253);
    assert_eq!(domain(&format!("{name}.")).as_str(), name);
    for (text, message) in [
        (
            format!("{name}b"),
            "the domain has more than 253 octets in ASCII",
        ),
        (
            format!("{}ü", "a.".repeat(124)),
            "the domain has more than 253 octets in ASCII",
        ),
    ] {
        assert_eq!(text.parse::<Domain>().unwrap_err().to_string(), message);
    }
    let error = format!("{label}a.com").parse::<Domain>().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("label `{label}a` has 64 octets in ASCII: it may have 63")
    );
    let error = format!("{}.com", "ü".repeat(60))
        .parse::<Domain>()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("` has 66 octets in ASCII: it may have 63"),
        "{error}"
    );
    assert!("ü".repeat(2_000_000).parse::<Domain>().is_err());
    assert!("ü.".repeat(1_000_000).parse::<Domain>().is_err());
}

#[test]
fn climbs_to_the_top() {
    let domain = domain("a.b.c");
    assert_eq!(
        domain.ancestors().collect::<Vec<_>>(),
        ["a.b.c", "b.c", "c"]
    );
    assert_eq!(domain.label_count(), 3);
}

#[test]
fn is_found_by_its_text() {
    let map = HashMap::from([(domain("B.c"), 1)]);
    assert_eq!(map.get("b.c"), Some(&1));
    assert_eq!(
        map.hasher().hash_one(domain("b.c")),
        map.hasher().hash_one("b.c")
    );
}

#[test]
fn patterns_cover() {
    for (text, name, expected) in [
        ("*", "contoso.com", true),
        ("contoso.com", "contoso.com", true),
        ("CONTOSO.com.", "contoso.com", true),
        ("contoso.com", "mail.contoso.com", false),
        ("*.contoso.com", "contoso.com", true),
        ("*.contoso.com", "a.mail.contoso.com", true),
        ("*.contoso.com", "notcontoso.com", false),
        ("*.contoso.com", "com", false),
        ("*.contoso.com", "contoso.com.example", false),
        ("*.com", "contoso.com", true),
        ("*。contoso.com", "mail.contoso.com", true),
    ] {
        assert_eq!(
            pattern(text).covers(Some(&domain(name))),
            expected,
            "{text} {name}"
        );
        assert_eq!(pattern(text).covers(None), text == "*");
    }
}

#[test]
fn patterns_include() {
    let all = [
        "*",
        "*.contoso.com",
        "contoso.com",
        "*.mail.contoso.com",
        "mail.contoso.com",
    ];
    for (text, included) in [
        (
            "*",
            "*|*.contoso.com|contoso.com|*.mail.contoso.com|mail.contoso.com",
        ),
        (
            "*.contoso.com",
            "*.contoso.com|contoso.com|*.mail.contoso.com|mail.contoso.com",
        ),
        ("contoso.com", "contoso.com"),
        ("*.mail.contoso.com", "*.mail.contoso.com|mail.contoso.com"),
        ("mail.contoso.com", "mail.contoso.com"),
    ] {
        for other in all {
            let expected = included.split('|').any(|text| text == other);
            assert_eq!(
                pattern(text).includes(&pattern(other)),
                expected,
                "{text} {other}"
            );
        }
    }
}

#[test]
fn says_what_is_wrong_with_a_pattern() {
    let star = "`*` may only stand alone or as the whole first label";
    for (text, message) in [
        ("", "a domain cannot be empty".to_owned()),
        ("*.", "a domain cannot be empty".to_owned()),
        (
            "**",
            format!("{star}: `**` is neither `*` nor like `*.contoso.com`"),
        ),
        (
            "*contoso.com",
            format!("{star}: `*contoso.com` is neither `*` nor like `*.contoso.com`"),
        ),
        (
            "mail.*.com",
            format!("{star}: `mail.*.com` is neither `*` nor like `*.contoso.com`"),
        ),
        (
            "*.*",
            format!("{star}: `*.*` is neither `*` nor like `*.contoso.com`"),
        ),
        (
            ".contoso.com",
            "`.contoso.com` begins with a dot: write `*.contoso.com` for a domain and all below it"
                .to_owned(),
        ),
        (
            "@contoso.com",
            "label `@contoso` holds `@`: write only what follows the `@`".to_owned(),
        ),
    ] {
        assert_eq!(
            text.parse::<DomainPattern>().unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
}

/// Few letters, so that names collide.
const NAME: &str = "[ab](\\.[ab]){0,3}";

proptest! {
    #[test]
    fn reading_is_total_and_canonical(text in "(\\PC|[.。．｡\u{ad}\u{2024}…xn-]){0,12}") {
        if let Ok(domain) = text.parse::<Domain>() {
            prop_assert_eq!(domain.to_string().parse(), Ok(domain.clone()));
            prop_assert!(domain.as_str().len() <= 253);
            prop_assert!(domain.as_str().split('.').all(|label| (1..=63).contains(&label.len())));
        }
    }

    #[test]
    fn case_and_the_last_dot_mean_nothing(text in "[a-cA-C_-]{1,5}(\\.[a-cA-C0-9]{1,5}){0,4}") {
        let expected = domain(&text);
        prop_assert_eq!(&domain(&text.to_uppercase()), &expected);
        prop_assert_eq!(&domain(&format!("{text}.")), &expected);
        prop_assert_eq!(&domain(&text.replace('.', "。")), &expected);
        prop_assert_eq!(expected.label_count(), text.split('.').count());
    }

    #[test]
    fn below_is_what_an_ancestor_says(name in NAME, base in NAME) {
        let (name, base) = (domain(&name), domain(&base));
        let expected = name.ancestors().any(|above| above == base.as_str());
        prop_assert_eq!(name.is_within(&base), expected);
    }

    #[test]
    fn included_patterns_cover_less(
        wide in "(\\*\\.)?[ab](\\.[ab]){0,2}|\\*",
        narrow in "(\\*\\.)?[ab](\\.[ab]){0,2}|\\*",
        name in NAME,
    ) {
        let (wide, narrow) = (pattern(&wide), pattern(&narrow));
        prop_assert_eq!(wide.to_string().parse::<DomainPattern>(), Ok(wide.clone()));
        for name in [None, Some(&domain(&name))] {
            if wide.includes(&narrow) && narrow.covers(name) {
                prop_assert!(wide.covers(name));
            }
        }
    }
}
