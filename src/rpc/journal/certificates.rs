//! Certificates that partners present, and that are about to expire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{super::pb, Direction};
use crate::telemetry::decision_log::{Certificates, Presented};

/// A certificate that was presented, and what was decided then.
pub(super) struct Noted<'a> {
    pub(super) certificate: &'a pb::Certificate,
    pub(super) direction: Direction,
    pub(super) connector: Option<&'a pb::MatchedConnector>,
    pub(super) revision: Option<&'a pb::SetRevision>,
    pub(super) rejections: &'a [pb::Rejection],
}

impl Noted<'_> {
    /// Notes it among `certificates`, where it is the partner's.
    pub(super) fn note(&self, certificates: &Certificates, now: SystemTime) {
        let Some(end) = self.certificate.not_after.as_ref() else {
            return;
        };
        let end = u64::try_from(end.seconds).unwrap_or(0);
        let Some(end) = UNIX_EPOCH.checked_add(Duration::from_secs(end)) else {
            return;
        };
        if !certificates.concerns(end, now) || !self.is_the_partners() {
            return;
        }
        if let (Some(connector), Some(revision)) = (self.connector, self.revision) {
            let presented = Presented {
                direction: self.direction.as_str(),
                connector_set: revision.connector_set.clone(),
                connector: connector.name.clone(),
                name: self.name(),
            };
            certificates.note(presented, end, now);
        }
    }

    /// Whether an authority vouches for it, but perhaps for its dates, and nothing says that it is
    /// somebody else's: what strangers present is of no interest.
    fn is_the_partners(&self) -> bool {
        let trusted = matches!(
            self.certificate.trust(),
            pb::CertificateTrust::Trusted | pb::CertificateTrust::Expired
        );
        let foreign = self.rejections.iter().any(|rejection| {
            matches!(
                rejection.reason(),
                pb::Reason::CertificateUntrusted
                    | pb::Reason::CertificateNameMismatch
                    | pb::Reason::CertificateFingerprintMismatch
            )
        });
        trusted && !foreign
    }

    /// What it is called: its first name, else its fingerprint.
    fn name(&self) -> String {
        let first = self.certificate.dns_names.first();
        let names = [first, Some(&self.certificate.common_name)];
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        let mut name = name.unwrap_or(&self.certificate.sha256).clone();
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        name
    }
}

const LONGEST_NAME: usize = 255;
