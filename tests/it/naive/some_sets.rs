//! Strategies of connector sets that hold nothing which a set may not hold, and that collide: few
//! domains, nested networks, and pairs of connectors with the same patterns in different modes.

use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
    sample::select,
};

use super::{
    model::{Inbound, Mode, Outbound, Set},
    names::{Pattern, network},
    some_connectors::{some_inbound, some_outbound},
};

/// A valid set with up to a dozen connectors in each direction.
pub(crate) fn some_set() -> impl Strategy<Value = Set> {
    let mode = prop_oneof![
        8 => Just(None),
        4 => Just(Some(Mode::Enforce)),
        3 => Just(Some(Mode::Report)),
        1 => Just(Some(Mode::Off)),
    ];
    let accepted = vec(accepted_pattern("contoso.com"), 0..3);
    (mode, accepted, some_inbounds(), some_outbounds()).prop_map(
        |(mode, accepted_domains, inbound, outbound)| {
            let set = Set {
                mode,
                accepted_domains,
                retired: false,
                inbound,
                outbound,
            };
            without_duplicates(set)
        },
    )
}

/// One to four sets side by side, no two with overlapping accepted domains, some of them retired.
pub(crate) fn some_sets() -> impl Strategy<Value = Vec<(String, Set)>> {
    let accepted = (
        vec(accepted_pattern("contoso.com"), 0..3),
        vec(accepted_pattern("fabrikam.com"), 0..3),
        vec(accepted_pattern("bücher.example"), 0..2),
        Just(Vec::new()),
    );
    let sets = vec((some_set(), weighted(0.2, Just(()))), 1..5);
    (sets, accepted).prop_map(|(sets, (contoso, fabrikam, bücher, none))| {
        let named = ["alpha", "beta", "gamma", "delta"].into_iter();
        let claims = named.zip([contoso, fabrikam, bücher, none]);
        let claimed = claims
            .zip(sets)
            .map(|((name, accepted_domains), (set, retired))| {
                let set = if retired.is_some() {
                    // "`retired = true` beside connectors" is an error.
                    Set {
                        accepted_domains,
                        retired: true,
                        ..Set::default()
                    }
                } else {
                    Set {
                        accepted_domains,
                        ..set
                    }
                };
                (name.to_owned(), set)
            });
        claimed.collect()
    })
}

/// Leaves out each connector that shares its written mode and a pattern pair, or its name, with an
/// earlier one.
pub(crate) fn without_duplicates(mut set: Set) -> Set {
    let mut taken: Vec<String> = Vec::new();
    set.inbound.retain(|one| {
        let senders = one
            .matches
            .sender_domains
            .iter()
            .map(|text| canonical(text));
        let networks = one
            .matches
            .client_ips
            .iter()
            .map(|text| format!("{:?}", network(text)));
        let values: Vec<String> = senders.chain(networks).collect();
        let recipients = match one.matches.recipient_domains.as_slice() {
            [] => vec!["none".into()],
            listed => listed.iter().map(|text| canonical(text)).collect(),
        };
        let pairs = values.iter().flat_map(|value| {
            recipients
                .iter()
                .map(move |recipient| format!("{value} to {recipient}"))
        });
        claim(&mut taken, &one.name, one.mode, pairs.collect())
    });
    taken.clear();
    set.outbound.retain(|one| {
        let pairs = one
            .recipient_domains
            .iter()
            .map(|text| canonical(text))
            .collect();
        claim(&mut taken, &one.name, one.mode, pairs)
    });
    set
}

/// A name such as a set's connectors have, or nearly.
pub(crate) fn some_connector_name(stem: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0_usize..8).prop_map(move |number| connector_name(stem, number)),
        1 => (0_usize..8).prop_map(move |number| connector_name(stem, number).to_uppercase()),
        1 => Just("nobody".to_owned()),
    ]
}

fn accepted_pattern(family: &'static str) -> impl Strategy<Value = String> {
    let spelling = select(&["{}", "*.{}", "mail.{}", "*.mail.{}", "{}."][..]);
    spelling.prop_map(|spelling| spelling.replace("{}", family))
}

fn some_inbounds() -> impl Strategy<Value = Vec<Inbound>> {
    let pair = || {
        (
            some_inbound(String::new()),
            weighted(0.4, (some_inbound(String::new()), any::<bool>())),
        )
    };
    vec(pair(), 0..7).prop_map(|pairs| {
        let mut connectors = Vec::new();
        for (one, twin) in pairs {
            // A twin has the patterns of the other, all or all but one, in another mode.
            let twin = twin.map(|(twin, whole)| {
                let mut matches = one.matches.clone();
                if !whole {
                    for list in [&mut matches.sender_domains, &mut matches.client_ips] {
                        list.truncate(list.len().max(2) - 1);
                    }
                }
                Inbound {
                    matches,
                    mode: Some(other_mode(one.mode)),
                    ..twin
                }
            });
            connectors.push(one);
            connectors.extend(twin);
        }
        for (number, connector) in connectors.iter_mut().enumerate() {
            connector.name = connector_name("i", number);
        }
        connectors
    })
}

fn some_outbounds() -> impl Strategy<Value = Vec<Outbound>> {
    let pair = || {
        (
            some_outbound(String::new()),
            of(some_outbound(String::new())),
        )
    };
    vec(pair(), 0..7).prop_map(|pairs| {
        let mut connectors = Vec::new();
        for (one, twin) in pairs {
            let twin = twin.map(|twin| Outbound {
                recipient_domains: one
                    .recipient_domains
                    .iter()
                    .rev()
                    .take(2)
                    .cloned()
                    .collect(),
                scope: one.scope,
                mode: Some(other_mode(one.mode)),
                ..twin
            });
            connectors.push(one);
            connectors.extend(twin);
        }
        for (number, connector) in connectors.iter_mut().enumerate() {
            connector.name = connector_name("o", number);
        }
        connectors
    })
}

fn other_mode(mode: Option<Mode>) -> Mode {
    match mode {
        Some(Mode::Report) => Mode::Enforce,
        Some(Mode::Enforce | Mode::Off) | None => Mode::Report,
    }
}

fn connector_name(stem: &str, number: usize) -> String {
    // Some with characters that a name may have and few names do.
    if number == 3 {
        format!("{stem} ö\"\\{number}")
    } else {
        format!("{stem}{number}")
    }
}

/// Takes the name and the pairs, unless one of them is taken.
fn claim(taken: &mut Vec<String>, name: &str, mode: Option<Mode>, pairs: Vec<String>) -> bool {
    let mode = mode.unwrap_or_default();
    let mut claims = vec![format!("name {name}")];
    if mode != Mode::Off {
        claims.extend(pairs.iter().map(|pair| format!("{mode:?} {pair}")));
    }
    let free = !claims.iter().any(|claim| taken.contains(claim));
    if free {
        taken.extend(claims);
    }
    free
}

fn canonical(text: &str) -> String {
    Pattern::parse(text)
        .map(|pattern| pattern.canonical())
        .unwrap_or_default()
}
