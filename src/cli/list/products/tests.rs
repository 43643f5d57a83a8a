use std::fmt::Write as _;

use super::*;
use crate::{
    config::load_str,
    mail::DomainPattern,
    policy::{
        ConnectorSet,
        connector::{Mode, Partner},
    },
};

fn patterns(connector: &InboundConnector) -> Vec<(By<'_>, &str)> {
    match &connector.partner {
        Partner::SenderDomains(patterns) => {
            let patterns = patterns.iter();
            patterns
                .map(|it| (By::Sender(&it.value), it.text()))
                .collect()
        }
        Partner::ClientIps(networks) => {
            let networks = networks.iter();
            networks
                .map(|it| (By::Address(&it.value), it.text()))
                .collect()
        }
    }
}

fn products<'a>(
    inheritance: &Inheritance<'a>,
    set: &'a ConnectorSet,
    name: &str,
) -> Vec<Product<'a>> {
    let connector = set.inbound().iter().find(|it| &*it.name == name).unwrap();
    of(inheritance, connector, &patterns(connector))
}

fn lines(products: &[Product<'_>]) -> String {
    let mut lines = String::new();
    for product in products {
        let (patterns, recipients) = (product.patterns.join(" "), product.recipients.join(" "));
        let names = product.stated.names().map(|name| name.unwrap_or("-"));
        writeln!(lines, "{patterns} to {recipients}: {}", names.join(" ")).unwrap();
    }
    lines
}

/// Each pair is in one product alone, and inherits what the product says.
fn hold(set: &ConnectorSet) {
    let inheritance = Inheritance::of(set);
    for connector in set.inbound() {
        let products = products(&inheritance, set, &connector.name);
        let mut scopes: Vec<_> = connector.recipient_domains.iter().map(Some).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        for (by, text) in patterns(connector) {
            for scope in &scopes {
                let shown: Vec<_> = products
                    .iter()
                    .filter(|product| {
                        let to = scope.is_none_or(|to| product.recipients.contains(&to.text()));
                        to && product.patterns.contains(&text)
                    })
                    .map(|product| product.stated.names())
                    .collect();
                let pair = inheritance.stated(connector, by, scope.map(|scope| &scope.value));
                assert_eq!(shown, [pair.names()], "{} {text}", connector.name);
                if let By::Sender(pattern) = by {
                    let naive = naively(set, connector, pattern, scope.map(|scope| &scope.value));
                    assert_eq!(shown, [naive], "{} {text}", connector.name);
                }
            }
        }
    }
}

/// The connectors that state the demands of a pair, found by looking at every pair of the set.
fn naively<'a>(
    set: &'a ConnectorSet,
    connector: &'a InboundConnector,
    pattern: &DomainPattern,
    scope: Option<&DomainPattern>,
) -> [Option<&'a str>; 3] {
    let narrowness = |pattern: &DomainPattern| match pattern {
        DomainPattern::Any => 1,
        DomainPattern::Subtree(domain) => 1 + domain.label_count(),
        DomainPattern::Exact(_) => usize::MAX,
    };
    let mode = connector.mode.effective;
    let mut applying = Vec::new();
    for other in set.inbound() {
        let counts = other.mode.effective <= mode && mode != Mode::Off;
        let Partner::SenderDomains(patterns) = &other.partner else {
            continue;
        };
        for wider in patterns
            .iter()
            .filter(|it| counts && it.value.includes(pattern))
        {
            let by = narrowness(&wider.value);
            if other.recipient_domains.is_empty() {
                applying.push((by, 0, other.mode.own, other));
            }
            for to in &other.recipient_domains {
                if scope.is_some_and(|scope| to.value.includes(scope)) {
                    applying.push((by, narrowness(&to.value), other.mode.own, other));
                }
            }
        }
    }
    applying.sort_by_key(|&(by, to, own, _)| std::cmp::Reverse((by, to, own)));
    applying.dedup_by_key(|&mut (by, to, ..)| (by, to));
    let mut all = vec![connector];
    all.extend(applying.into_iter().map(|(.., other)| other));
    let first = |states: fn(&InboundConnector) -> bool| {
        let found = all.iter().find(|connector| states(connector));
        found.map(|connector| &*connector.name)
    };
    [
        first(|it| it.require.tls.is_some()),
        first(|it| it.require.min_version.is_some()),
        first(|it| it.require.origin.is_some()),
    ]
}

#[test]
fn what_is_merged_is_a_product() {
    let text = r#"
version = 1
[[inbound]]
name = "X"
match.sender_domains = ["*.a.com"]
match.recipient_domains = ["r1.com"]
require.tls_min_version = "TLSv1.3"
[[inbound]]
name = "B"
match.sender_domains = ["p.a.com", "q.b.com"]
match.recipient_domains = ["r1.com", "r2.com"]
require.tls = "encrypt"
[end]
"#;
    let set = load_str("contoso", text).set.unwrap();
    let inheritance = Inheritance::of(&set);
    hold(&set);
    insta::assert_snapshot!(lines(&products(&inheritance, &set, "B")), @r"
    p.a.com to r1.com: B X -
    p.a.com to r2.com: B - -
    q.b.com to r1.com r2.com: B - -
    ");
}

#[test]
fn alike_patterns_are_one_row_in_the_order_of_the_file() {
    let text = r#"
version = 1
[[inbound]]
name = "Wide"
match.sender_domains = ["*.a.com", "*.c.com"]
require.tls = "encrypt"
[[inbound]]
name = "Twice"
match.sender_domains = ["p.a.com", "q.b.com", "r.c.com", "p.a.com"]
require.client_ips = ["192.0.2.1"]
[end]
"#;
    let set = load_str("contoso", text).set.unwrap();
    let inheritance = Inheritance::of(&set);
    hold(&set);
    insta::assert_snapshot!(lines(&products(&inheritance, &set, "Twice")), @r"
    p.a.com r.c.com to : Wide - Twice
    q.b.com to : - - Twice
    ");
}

#[test]
fn long_lists_are_held_once() {
    let list =
        |kind: &str| -> Vec<String> { (0..400).map(|at| format!("{kind}{at}.com")).collect() };
    let (senders, recipients) = (list("s"), list("r"));
    let mut text = format!(
        "version = 1\n[[inbound]]\nname = \"X\"\nmatch.sender_domains = {senders:?}\n\
         match.recipient_domains = {recipients:?}\nrequire.tls = \"encrypt\"\n"
    );
    for recipients in recipients.iter().take(300) {
        write!(
            text,
            "[[inbound]]\nname = \"To {recipients}\"\nmatch.sender_domains = [\"*\"]\n\
             match.recipient_domains = [\"{recipients}\"]\nrequire.tls_min_version = \"TLSv1.2\"\n"
        )
        .unwrap();
    }
    let set = load_str("contoso", &(text + "[end]\n")).set.unwrap();
    let inheritance = Inheritance::of(&set);
    let products = products(&inheritance, &set, "X");
    assert_eq!(products.len(), 301);
    let first = &products[0].patterns;
    let shared = products.iter().all(|it| Rc::ptr_eq(&it.patterns, first));
    assert!(shared && first.len() == 400);
}

/// Sets made up of few patterns, so that they meet: also with connectors that have many patterns
/// and many recipient patterns, in report and off.
#[test]
fn every_pair_is_in_one_product() {
    let mut dice = Dice(1);
    let demands = [
        "tls = \"encrypt\"",
        "tls_min_version = \"TLSv1.2\"",
        "client_ips = [\"192.0.2.1\"]",
        "tls = \"opportunistic\"",
    ];
    let (mut loaded, mut wide) = (0, 0);
    for round in 0..60 {
        let mut text = String::from("version = 1\n");
        for connector in 0..4 {
            let most = if round % 3 == 0 && connector == 0 {
                120
            } else {
                5
            };
            let (senders, recipients) = (dice.patterns(most, "s"), dice.patterns(most, "r"));
            if senders.is_empty() {
                continue;
            }
            wide += usize::from(senders.len().min(recipients.len()) > 33);
            let mode = ["enforce", "enforce", "report", "off"][dice.roll(4)];
            let demand = demands[dice.roll(demands.len())];
            write!(
                text,
                "[[inbound]]\nname = \"c{connector}\"\nmode = \"{mode}\"\nmatch.sender_domains = \
                 {senders:?}\nmatch.recipient_domains = {recipients:?}\nrequire.{demand}\n"
            )
            .unwrap();
        }
        let text = text.replace("match.recipient_domains = []\n", "") + "[end]\n";
        if let Some(set) = load_str("contoso", &text).set {
            hold(&set);
            loaded += 1;
        }
    }
    assert!(loaded > 20 && wide > 5, "{loaded} {wide}");
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 40).unwrap() % sides
    }

    fn patterns(&mut self, most: usize, kind: &str) -> Vec<String> {
        let mut patterns = Vec::new();
        for _ in 0..self.roll(most) {
            let (name, host) = (self.roll(3), self.roll(40));
            patterns.push(match self.roll(12) {
                0 => "*".to_owned(),
                1 => "*.com".to_owned(),
                2 | 3 => format!("*.{kind}{name}.com"),
                4 | 5 => format!("{kind}{name}.com"),
                _ => format!("x{host}.{kind}{name}.com"),
            });
        }
        patterns
    }
}
