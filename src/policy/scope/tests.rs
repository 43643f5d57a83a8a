use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::*;
use crate::config::load_str;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A set that accepts the domain `<name>.example` and all below it.
#[derive(Clone, Copy, Debug)]
struct Shape {
    accepts: bool,
    retired: bool,
    renamed: bool,
}

fn entry(name: &str, shape: Shape) -> Entry {
    let accepted = if shape.accepts {
        format!("accepted_domains = [\"*.{name}.example\"]\n")
    } else {
        String::new()
    };
    let content = if shape.retired {
        "retired = true\n"
    } else {
        "[[inbound]]\nname = \"x\"\nmatch.sender_domains = [\"*\"]\nrequire.tls = \"encrypt\"\n"
    };
    let outcome = load_str(name, &format!("version = 1\n{accepted}{content}[end]\n"));
    let mut entry = Entry::new(outcome.set.unwrap());
    entry.renamed = shape.renamed;
    entry
}

fn scope(names: &[&str]) -> Scope {
    Scope::Sets(names.iter().map(|&name| name.into()).collect())
}

fn said(chosen: Result<Chosen<'_>, NotFound>) -> Result<(String, SelectedBy), NotFound> {
    chosen.map(|chosen| (chosen.entry.set.name().to_owned(), chosen.by))
}

/// Of each name whether there is a set, and what it is.
fn shapes() -> impl Strategy<Value = Vec<(bool, Shape)>> {
    let shape = (any::<bool>(), 0..8_u8).prop_map(|(accepts, kind)| Shape {
        accepts,
        retired: kind < 2,
        renamed: kind == 2,
    });
    vec((any::<bool>(), shape), NAMES.len())
}

proptest! {
    #[test]
    fn a_scope_answers_as_a_catalog_of_its_sets_only(
        shapes in shapes(),
        names in subsequence(NAMES.to_vec(), 0..=NAMES.len()),
        default in 0..=NAMES.len(),
    ) {
        let entries: Vec<Entry> = NAMES
            .iter()
            .zip(shapes)
            .filter(|(_, (there, _))| *there)
            .map(|(name, (_, shape))| entry(name, shape))
            .collect();
        let default = NAMES.get(default).copied();
        let whole = Catalog::new(entries.clone(), default);
        let own = entries.into_iter().filter(|entry| names.contains(&entry.set.name()));
        let own = Catalog::new(own.collect(), default.filter(|name| names.contains(name)));
        let scope = scope(&names);
        let scoped = Scoped::new(&whole, &scope);
        for name in NAMES {
            prop_assert_eq!(said(scoped.named(name)), said(own.named(name)));
            let domain: Domain = format!("mail.{name}.example").parse().unwrap();
            prop_assert_eq!(said(scoped.choose(Some(&domain))), said(own.choose(Some(&domain))));
        }
        prop_assert_eq!(said(scoped.choose(None)), said(own.choose(None)));
        prop_assert_eq!(scoped.has_several(), own.serving() > 1);
        let all = Scoped::new(&whole, &Scope::All);
        prop_assert_eq!(said(all.choose(None)), said(whole.choose(None)));
        prop_assert_eq!(all.has_several(), whole.serving() > 1);
    }
}

#[test]
fn what_is_not_ones_own_is_not_there() {
    let plain = Shape {
        accepts: true,
        retired: false,
        renamed: false,
    };
    let entries = || NAMES.iter().map(|name| entry(name, plain));
    let catalog = Catalog::new(entries().collect(), Some("a"));
    let domain: Domain = "b.example".parse().unwrap();
    let by = |scope: &Scope, domain| said(Scoped::new(&catalog, scope).choose(domain));
    let (one, two, with_default) = (scope(&["c"]), scope(&["b", "c"]), scope(&["a", "c"]));
    // Of another one's domain, of no domain: the only set of the caller's.
    assert_eq!(
        by(&one, Some(&domain)),
        Ok(("c".into(), SelectedBy::Default))
    );
    assert_eq!(by(&one, None), Ok(("c".into(), SelectedBy::Default)));
    assert_eq!(
        by(&two, Some(&domain)),
        Ok(("b".into(), SelectedBy::AcceptedDomain))
    );
    assert_eq!(by(&two, None), Err(NotFound::Unnamed));
    assert_eq!(
        by(&with_default, Some(&domain)),
        Ok(("a".into(), SelectedBy::Default))
    );
    assert_eq!(by(&scope(&[]), Some(&domain)), Err(NotFound::Unnamed));
    assert_eq!(by(&scope(&["nowhere"]), None), Err(NotFound::Unnamed));
    let named = |name| said(Scoped::new(&catalog, &one).named(name));
    assert_eq!(named("b"), Err(NotFound::Named));
    assert_eq!(named("b"), named("nowhere"));
    assert_eq!(named("c"), Ok(("c".into(), SelectedBy::Name)));
    let empty = Catalog::new(vec![entry("a", plain)], None);
    assert!(Scoped::new(&empty, &two).named("b").is_err());
}
