//! What one inbound connector takes from another, and how it is said.

use std::ops::Range;

use super::super::super::{
    check::Placed,
    finding::{Finding, Findings},
};
use crate::{
    mail::{DomainPattern, TlsVersion},
    policy::{
        connector::{InboundConnector, Partner, Written},
        requirement::{InboundRequirement, Origin, OriginDemand, TlsDemand},
    },
};

/// The demands that are decided separately.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Tls,
    MinVersion,
    Origin,
}

/// What a connector asks, as far as it makes more or less of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Asked {
    Something,
    AtLeast(TlsVersion),
}

/// Something that a connector takes from a more general one.
pub(super) struct Taking<'a> {
    pub(super) kind: Kind,
    pub(super) general: &'a Placed<InboundConnector>,
    /// The pattern of the special one by which the mail matches.
    pub(super) nth: usize,
    /// The recipients for whose mail, where it is not for everyone's.
    pub(super) to: Option<&'a DomainPattern>,
    /// It is so for other recipients, too.
    pub(super) others: bool,
}

impl Kind {
    /// Whether a connector says anything about it.
    pub(super) fn stated(self, require: &InboundRequirement) -> bool {
        match self {
            Self::Tls => require.tls.is_some(),
            Self::MinVersion => require.min_version.is_some(),
            Self::Origin => require.origin.is_some(),
        }
    }

    /// Whether what a connector says can take something from another one.
    pub(super) fn could_take(self, require: &InboundRequirement) -> bool {
        match self {
            Self::Tls => require.tls == Some(TlsDemand::Opportunistic),
            Self::MinVersion | Self::Origin => self.stated(require),
        }
    }

    /// What a connector asks; none where it says nothing about it, or lifts it.
    pub(super) fn asked(self, require: &InboundRequirement) -> Option<Asked> {
        match self {
            Self::Tls => (require.tls == Some(TlsDemand::Encrypt)).then_some(Asked::Something),
            Self::MinVersion => {
                let minimum = require.min_version.as_ref();
                minimum.map(|minimum| Asked::AtLeast(minimum.value))
            }
            Self::Origin => {
                matches!(require.origin, Some(Origin::Restricted(_))).then_some(Asked::Something)
            }
        }
    }

    /// Whether `own` takes something away where this is `asked`.
    pub(super) fn takes_of(self, asked: Asked, own: &InboundRequirement) -> bool {
        match (asked, &own.min_version) {
            (Asked::AtLeast(least), Some(own)) => own.value < least,
            (Asked::AtLeast(_), None) | (Asked::Something, _) => self.could_take(own),
        }
    }

    /// Whether `own` takes something of what `wider` asks.
    pub(super) fn takes(self, own: &InboundRequirement, wider: &InboundRequirement) -> bool {
        self.could_take(own)
            && self
                .asked(wider)
                .is_some_and(|asked| self.takes_of(asked, own))
    }
}

impl Taking<'_> {
    /// Says what `special` takes away.
    pub(super) fn tell(&self, special: &Placed<InboundConnector>, findings: &mut Findings) {
        let Some(span) = special.patterns.get(self.nth) else {
            return;
        };
        let (own, wider) = (&special.connector.require, &self.general.connector.require);
        let (name, other) = (&special.connector.name, &self.general.connector.name);
        let whose = self.mail(&special.connector);
        let lifted = |what: String, help: String| {
            let message = format!("for mail {whose}, `{name}` {what}");
            warning("demand-lifted", span, message, help)
        };
        let finding = match self.kind {
            Kind::Tls => lifted(
                format!("lifts the TLS that `{other}` demands"),
                "if that is not meant, remove `tls = \"opportunistic\"`".to_owned(),
            ),
            Kind::MinVersion => {
                let (Some(own), Some(wider)) = (&own.min_version, &wider.min_version) else {
                    return;
                };
                lifted(
                    format!(
                        "takes {}, where `{other}` demands {}",
                        own.value, wider.value
                    ),
                    format!(
                        "if that is not meant, write `tls_min_version = \"{}\"`",
                        wider.value
                    ),
                )
            }
            Kind::Origin => match (&own.origin, &wider.origin) {
                (Some(Origin::Unrestricted), Some(Origin::Restricted(wider))) => lifted(
                    format!("lifts {} of `{other}`", listed(wider)),
                    "if that is not meant, remove `origin = \"unrestricted\"`".to_owned(),
                ),
                (Some(Origin::Restricted(own)), Some(Origin::Restricted(wider))) => {
                    let message = format!(
                        "for mail {whose}, `{name}` replaces {} of `{other}`",
                        listed(wider)
                    );
                    let help = replaced(&whose, [name, other], own, wider);
                    warning("demand-replaced", span, message, help)
                }
                (Some(Origin::Restricted(_) | Origin::Unrestricted), None)
                | (Some(_) | None, Some(Origin::Unrestricted))
                | (None, Some(Origin::Restricted(_)) | None) => return,
            },
        };
        findings.push(
            finding
                .here(format!("`{name}`"))
                .label(self.general.name.clone(), format!("`{other}`")),
        );
    }

    /// The mail that it is about.
    fn mail(&self, special: &InboundConnector) -> String {
        let text = match &special.partner {
            Partner::SenderDomains(patterns) => patterns.get(self.nth).map(Written::text),
            Partner::ClientIps(networks) => networks.get(self.nth).map(Written::text),
        };
        let text = text.unwrap_or_default();
        match self.to {
            None => format!("from `{text}`"),
            Some(to) if self.others => format!("from `{text}` to `{to}` and others"),
            Some(to) => format!("from `{text}` to `{to}`"),
        }
    }
}

fn warning(code: &'static str, span: &Range<usize>, message: String, help: String) -> Finding {
    Finding::warning(code, span.clone(), message).help(help)
}

/// What becomes of mail where one origin stands in the place of another.
fn replaced(
    whose: &str,
    [name, other]: [&str; 2],
    own: &OriginDemand,
    wider: &OriginDemand,
) -> String {
    let unless = match (&own.addresses, &own.certificate) {
        (Some(_), None) => "its addresses are among the `client_ips`",
        (None, _) => "it comes with a certificate",
        (Some(_), Some(_)) if own.either => "it comes with an address or a certificate",
        (Some(_), Some(_)) => "it comes with an address and a certificate",
    };
    let (meets, need_not) = match &wider.addresses {
        Some(_) => ("comes through", "come through"),
        None => ("meets", "meet"),
    };
    format!(
        "mail {whose} that {meets} `{other}` will be refused unless {unless} of `{name}`; and \
         what meets `{name}` need not {need_not} `{other}`"
    )
}

fn listed(demand: &OriginDemand) -> &'static str {
    match (&demand.addresses, &demand.certificate) {
        (Some(_), Some(_)) => "the addresses and the certificate",
        (Some(_), None) => "the addresses",
        (None, _) => "the certificate",
    }
}

/// Each of them.
pub(super) const KINDS: [Kind; 3] = [Kind::Tls, Kind::MinVersion, Kind::Origin];
