//! Decisions as messages.

use super::pb;
use crate::policy::{
    Chosen, Decision, Reason, SelectedBy, Verdict,
    connector::Written,
    decision::{Delivery, Matched, MatchedBy, Rejection, Reply, Report},
    requirement::TlsLevel,
};

/// The answer to a question about a sending server.
pub(super) fn inbound(
    decision: Decision<'_>,
    revision: Option<pb::SetRevision>,
) -> pb::CheckInboundResponse {
    pb::CheckInboundResponse {
        verdict: pb::Verdict::from(decision.verdict).into(),
        connector: decision.connector.map(Into::into),
        also_matched: decision.also_matched.map(Into::into),
        rejections: rejections(decision.rejections),
        smtp_reply: decision.reply.map(Into::into),
        if_enforced: decision.if_enforced.map(|report| (*report).into()),
        revision,
    }
}

/// The answer to a question about a next hop.
pub(super) fn outbound(
    decision: Decision<'_>,
    revision: Option<pb::SetRevision>,
) -> pb::CheckOutboundResponse {
    pb::CheckOutboundResponse {
        verdict: pb::Verdict::from(decision.verdict).into(),
        connector: decision.connector.map(Into::into),
        rejections: rejections(decision.rejections),
        smtp_reply: decision.reply.map(Into::into),
        if_enforced: decision.if_enforced.map(|report| (*report).into()),
        revision,
        delivery: decision.delivery.as_ref().map(Into::into),
    }
}

fn rejections(rejections: Vec<Rejection<'_>>) -> Vec<pb::Rejection> {
    rejections.into_iter().map(Into::into).collect()
}

impl From<Chosen<'_>> for pb::SetRevision {
    fn from(chosen: Chosen<'_>) -> Self {
        Self {
            connector_set: chosen.entry.set.name().to_owned(),
            digest: chosen.entry.set.digest().to_owned(),
            selected_by: pb::SelectedBy::from(chosen.by).into(),
            stale: chosen.entry.stale,
        }
    }
}

impl From<Matched<'_>> for pb::MatchedConnector {
    fn from(matched: Matched<'_>) -> Self {
        Self {
            name: matched.name.to_owned(),
            matched_by: pb::MatchedBy::from(matched.by).into(),
            matched_value: matched.value.to_owned(),
        }
    }
}

impl From<Rejection<'_>> for pb::Rejection {
    fn from(rejection: Rejection<'_>) -> Self {
        Self {
            reason: pb::Reason::from(rejection.reason).into(),
            connector: rejection.connector.unwrap_or_default().to_owned(),
            message: rejection.message,
            expected: rejection.expected,
            observed: rejection.observed,
        }
    }
}

impl From<Report<'_>> for pb::Report {
    fn from(report: Report<'_>) -> Self {
        Self {
            verdict: pb::Verdict::from(report.verdict).into(),
            connector: report.connector.map(Into::into),
            rejections: rejections(report.rejections),
        }
    }
}

impl From<Reply<'_>> for pb::SmtpReply {
    fn from(reply: Reply<'_>) -> Self {
        Self {
            code: reply.code.into(),
            enhanced_code: reply.enhanced.to_owned(),
            text: reply.text.into_owned(),
        }
    }
}

impl From<&Delivery<'_>> for pb::Delivery {
    fn from(delivery: &Delivery<'_>) -> Self {
        let hosts: Vec<_> = delivery
            .smart_hosts
            .iter()
            .map(|smart| pb::SmartHost {
                host: smart.value.host.to_string(),
                port: smart.value.port.into(),
            })
            .collect();
        let route = if hosts.is_empty() {
            pb::delivery::Route::Mx(pb::MxRoute {})
        } else {
            pb::delivery::Route::SmartHosts(pb::SmartHosts { hosts })
        };
        let tls = pb::TlsRequirement {
            level: pb::TlsLevel::from(delivery.level).into(),
            names: canonical(delivery.names),
            min_version: delivery
                .min_version
                .map(|version| version.to_string())
                .unwrap_or_default(),
            fingerprints: canonical(delivery.fingerprints),
        };
        Self {
            route: Some(route),
            tls: Some(tls),
        }
    }
}

fn canonical<T: ToString>(values: &[Written<T>]) -> Vec<String> {
    values
        .iter()
        .map(|written| written.value.to_string())
        .collect()
}

impl From<Verdict> for pb::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Conditional => Self::Conditional,
            Verdict::Defer => Self::Defer,
            Verdict::Reject => Self::Reject,
        }
    }
}

impl From<MatchedBy> for pb::MatchedBy {
    fn from(by: MatchedBy) -> Self {
        match by {
            MatchedBy::ClientIp => Self::ClientIp,
            MatchedBy::RecipientDomain => Self::RecipientDomain,
            MatchedBy::Rule => Self::Rule,
            MatchedBy::SenderDomain => Self::SenderDomain,
        }
    }
}

impl From<Reason> for pb::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::TlsRequired => Self::TlsRequired,
            Reason::TlsVersionTooLow => Self::TlsVersionTooLow,
            Reason::CertificateRequired => Self::CertificateRequired,
            Reason::CertificateExpired => Self::CertificateExpired,
            Reason::CertificateUntrusted => Self::CertificateUntrusted,
            Reason::CertificateNameMismatch => Self::CertificateNameMismatch,
            Reason::CertificateFingerprintMismatch => Self::CertificateFingerprintMismatch,
            Reason::ClientIpNotAllowed => Self::ClientIpNotAllowed,
            Reason::HostNotAllowed => Self::HostNotAllowed,
            Reason::RuleConnectorNotFound => Self::RuleConnectorNotFound,
            Reason::MailFromInvalid => Self::MailFromInvalid,
            Reason::RcptToInvalid => Self::RcptToInvalid,
        }
    }
}

impl From<TlsLevel> for pb::TlsLevel {
    fn from(level: TlsLevel) -> Self {
        match level {
            TlsLevel::Opportunistic => Self::Opportunistic,
            TlsLevel::Encrypt => Self::Encrypt,
            TlsLevel::Trusted => Self::Trusted,
            TlsLevel::Domain => Self::Domain,
        }
    }
}

impl From<SelectedBy> for pb::SelectedBy {
    fn from(by: SelectedBy) -> Self {
        match by {
            SelectedBy::AcceptedDomain => Self::AcceptedDomain,
            SelectedBy::Default => Self::Default,
            SelectedBy::Name => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests;
