//! What connectors demand along their cascades, for mail that matches nothing more specific.

use crate::{
    mail::{DomainPattern, DomainTable, Network, NetworkTable},
    policy::{
        ConnectorSet,
        connector::{InboundConnector, Mode, Partner},
    },
};

/// The cascades of one connector set's inbound connectors.
#[derive(Debug)]
pub(crate) struct Inheritance<'a> {
    enforced: World<'a>,
    if_enforced: World<'a>,
}

/// What holds of each demand; none where nothing states it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stated<'a> {
    /// The connector that states whether TLS is needed.
    pub(crate) tls: Option<&'a InboundConnector>,
    /// The connector that states the minimum version.
    pub(crate) min_version: Option<&'a InboundConnector>,
    /// The connector that states the origin.
    pub(crate) origin: Option<&'a InboundConnector>,
}

/// A pattern by which a connector recognises its partner.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By<'a> {
    /// The domain of the envelope sender.
    Sender(&'a DomainPattern),
    /// The address of the sending server.
    Address(&'a Network),
}

impl<'a> Inheritance<'a> {
    /// The cascades of `set`, as enforced and as if the reports were.
    pub(crate) fn of(set: &'a ConnectorSet) -> Self {
        let enforced = World::of(set.inbound(), &[Mode::Enforce]);
        let if_enforced = World::of(set.inbound(), &[Mode::Enforce, Mode::Report]);
        Self {
            enforced,
            if_enforced,
        }
    }

    /// What mail must meet that `connector` matches by this pair of patterns and no other more
    /// specifically. One in report is looked at as if the reports were enforced; one that is off
    /// inherits nothing.
    pub(crate) fn stated(
        &self,
        connector: &'a InboundConnector,
        by: By<'_>,
        recipients: Option<&DomainPattern>,
    ) -> Stated<'a> {
        let mut stated = Stated::default();
        stated.add(connector);
        match connector.mode.effective {
            Mode::Enforce => self.enforced.inherit(&mut stated, by, recipients),
            Mode::Report => self.if_enforced.inherit(&mut stated, by, recipients),
            Mode::Off => {}
        }
        stated
    }
}

impl<'a> Stated<'a> {
    /// A connector after all the more specific ones.
    fn add(&mut self, connector: &'a InboundConnector) {
        let require = &connector.require;
        if require.tls.is_some() {
            self.tls.get_or_insert(connector);
        }
        if require.min_version.is_some() {
            self.min_version.get_or_insert(connector);
        }
        if require.origin.is_some() {
            self.origin.get_or_insert(connector);
        }
    }

    /// The same connectors, for comparing.
    pub(crate) fn names(&self) -> [Option<&'a str>; 3] {
        [self.tls, self.min_version, self.origin].map(|it| it.map(|connector| &*connector.name))
    }
}

/// The connectors that count, by their patterns.
#[derive(Debug, Default)]
struct World<'a> {
    by_sender: DomainTable<Node<'a, &'a DomainPattern>>,
    by_address: NetworkTable<Node<'a, Network>>,
}

/// The connectors of one pattern, by the recipients that they are meant for.
#[derive(Debug)]
struct Node<'a, P> {
    pattern: P,
    scoped: DomainTable<(&'a DomainPattern, &'a InboundConnector)>,
    unscoped: Option<&'a InboundConnector>,
}

impl<'a> World<'a> {
    /// The connectors whose effective mode is among `modes`. One with report written on it takes
    /// the place of an enforcing one with the same pattern and scope.
    fn of(connectors: &'a [InboundConnector], modes: &[Mode]) -> Self {
        let mut world = Self::default();
        for own in [Mode::Enforce, Mode::Report] {
            let counting = connectors.iter().filter(|connector| {
                connector.mode.own == own && modes.contains(&connector.mode.effective)
            });
            for connector in counting {
                world.place(connector);
            }
        }
        world
    }

    fn place(&mut self, connector: &'a InboundConnector) {
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for pattern in patterns {
                    let node = self.by_sender.slot(&pattern.value);
                    node.get_or_insert_with(|| Node::new(&pattern.value))
                        .put(connector);
                }
            }
            Partner::ClientIps(networks) => {
                for network in networks {
                    if let Some(node) = self.by_address.get_mut(&network.value) {
                        node.put(connector);
                    } else {
                        let mut node = Node::new(network.value);
                        node.put(connector);
                        self.by_address.insert(network.value, node);
                    }
                }
            }
        }
    }

    fn inherit(&self, stated: &mut Stated<'a>, by: By<'_>, recipients: Option<&DomainPattern>) {
        match by {
            By::Sender(pattern) => {
                let mut next = self.by_sender.get(pattern);
                while let Some(node) = next {
                    node.inherit(stated, recipients);
                    next = self.by_sender.parent(node.pattern);
                }
            }
            By::Address(network) => {
                let mut next = self.by_address.get(network);
                while let Some(node) = next {
                    node.inherit(stated, recipients);
                    next = self.by_address.parent(node.pattern);
                }
            }
        }
    }
}

impl<'a, P> Node<'a, P> {
    fn new(pattern: P) -> Self {
        Self {
            pattern,
            scoped: DomainTable::default(),
            unscoped: None,
        }
    }

    fn put(&mut self, connector: &'a InboundConnector) {
        if connector.recipient_domains.is_empty() {
            self.unscoped = Some(connector);
        }
        for recipients in &connector.recipient_domains {
            *self.scoped.slot(&recipients.value) = Some((&recipients.value, connector));
        }
    }

    /// The connectors of this pattern that apply to all of `recipients`, the most specific first.
    fn inherit(&self, stated: &mut Stated<'a>, recipients: Option<&DomainPattern>) {
        if let Some(recipients) = recipients {
            let own = self.scoped.get(recipients);
            let mut next = own.or_else(|| self.scoped.parent(recipients));
            while let Some((scope, connector)) = next {
                stated.add(connector);
                next = self.scoped.parent(scope);
            }
        }
        if let Some(connector) = self.unscoped {
            stated.add(connector);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::load_str,
        mail::{Recipient, ReversePath},
        policy::{InboundFacts, explain_inbound},
    };

    const SET: &str = r#"
version = 1
[[inbound]]
name = "Filter"
match.sender_domains = ["*"]
require.client_ips = ["192.0.2.0/24"]
[[inbound]]
name = "To us"
match.sender_domains = ["*"]
match.recipient_domains = ["*.contoso.com"]
require.tls = "encrypt"
[[inbound]]
name = "Bank"
match.sender_domains = ["*.bank.example", "bank.example"]
require.tls_min_version = "TLSv1.2"
[[inbound]]
name = "Bank to legal"
match.sender_domains = ["*.bank.example"]
match.recipient_domains = ["legal.contoso.com"]
require.certificate_names = ["*.bank.example"]
[[inbound]]
name = "Tried"
mode = "report"
match.sender_domains = ["*.bank.example"]
require.origin = "unrestricted"
[[inbound]]
name = "Gone"
mode = "off"
match.sender_domains = ["gone.bank.example"]
require.origin = "unrestricted"
[[inbound]]
name = "Range"
match.client_ips = ["192.0.2.0/24"]
require.tls = "encrypt"
[[inbound]]
name = "Host"
match.client_ips = ["192.0.2.7"]
require.tls_min_version = "TLSv1.3"
[end]
"#;

    #[test]
    fn demands_are_those_of_the_cascade() {
        let set = load_str("contoso", SET).set.unwrap();
        let inheritance = Inheritance::of(&set);
        let connector = |name: &str| set.inbound().iter().find(|it| &*it.name == name).unwrap();
        let sender = |name: &str, pattern: &str, recipients: Option<&str>| {
            let recipients: Option<DomainPattern> = recipients.map(|text| text.parse().unwrap());
            let by = pattern.parse().unwrap();
            inheritance
                .stated(connector(name), By::Sender(&by), recipients.as_ref())
                .names()
        };
        assert_eq!(sender("Filter", "*", None), [None, None, Some("Filter")]);
        assert_eq!(
            sender("To us", "*", Some("*.contoso.com")),
            [Some("To us"), None, Some("Filter")]
        );
        assert_eq!(
            sender("Bank", "bank.example", None),
            [Some("Bank"), Some("Bank"), Some("Filter")]
        );
        assert_eq!(
            sender("Bank to legal", "*.bank.example", Some("legal.contoso.com")),
            [Some("Bank to legal"), Some("Bank"), Some("Bank to legal")]
        );
        assert_eq!(
            sender("Tried", "*.bank.example", None),
            [None, None, Some("Tried")]
        );
        assert_eq!(
            sender("Gone", "gone.bank.example", None),
            [None, None, Some("Gone")]
        );
        let host = Network::parse("192.0.2.7").unwrap().0;
        let host = inheritance
            .stated(connector("Host"), By::Address(&host), None)
            .names();
        assert_eq!(host, [Some("Host"), Some("Host"), None]);
    }

    #[test]
    fn demands_are_those_that_are_explained() {
        let set = load_str("contoso", SET).set.unwrap();
        let inheritance = Inheritance::of(&set);
        for (name, pattern, sender, recipients) in [
            ("Filter", "*", "fabrikam.com", None),
            (
                "To us",
                "*",
                "fabrikam.com",
                Some(("*.contoso.com", "contoso.com")),
            ),
            ("Bank", "*.bank.example", "a.bank.example", None),
            (
                "Bank to legal",
                "*.bank.example",
                "a.bank.example",
                Some(("legal.contoso.com", "legal.contoso.com")),
            ),
        ] {
            let connector = set.inbound().iter().find(|it| &*it.name == name).unwrap();
            let scope: Option<DomainPattern> = recipients.map(|(scope, _)| scope.parse().unwrap());
            let by = pattern.parse().unwrap();
            let stated = inheritance.stated(connector, By::Sender(&by), scope.as_ref());
            let recipient = recipients.map_or("elsewhere.example", |(_, recipient)| recipient);
            let facts = InboundFacts {
                client_ip: "198.51.100.1".parse().unwrap(),
                mail_from: ReversePath::parse(&format!("a@{sender}")).unwrap(),
                rcpt_to: Some(Recipient::parse(&format!("b@{recipient}")).unwrap()),
                tls: None,
            };
            let explanation = explain_inbound(&set, &facts, &[]);
            let demands = &explanation.chains[0].demands;
            let explained: Vec<_> = demands.iter().map(|demand| demand.connector).collect();
            let listed: Vec<_> = stated.names().into_iter().flatten().collect();
            assert_eq!(listed, explained, "{name}");
        }
    }
}
