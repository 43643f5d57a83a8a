//! What is counted of TLS: handshakes, and what became of certificates that were read.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::{
    exposition::{counter, family, unix},
    metrics::ReloadResult,
    tally::Counts,
};
use crate::live::TlsStatus;

/// What is counted of TLS, and the certificate in force; nothing where TLS is not spoken.
#[derive(Debug, Default)]
pub struct TlsTally {
    status: ArcSwapOption<TlsStatus>,
    /// By result.
    reloads: Counts<{ RELOADS.len() }>,
    /// By result.
    handshakes: Counts<{ Handshake::ALL.len() }>,
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// The peer went away, or gave it up.
    BrokenOff,
    /// The peer has no certificate, and must have one.
    CertificateMissing,
    /// The peer's certificate has expired, or nobody known vouches for it.
    CertificateRefused,
    /// TLS is spoken.
    Completed,
    /// No version, cipher or protocol of the peer is one that is spoken.
    Incompatible,
    /// What the peer speaks is not TLS.
    NotTls,
    /// The peer took too long.
    TimedOut,
}

impl Handshake {
    /// All of them, in order.
    const ALL: [Self; 7] = [
        Self::BrokenOff,
        Self::CertificateMissing,
        Self::CertificateRefused,
        Self::Completed,
        Self::Incompatible,
        Self::NotTls,
        Self::TimedOut,
    ];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenOff => "broken-off",
            Self::CertificateMissing => "certificate-missing",
            Self::CertificateRefused => "certificate-refused",
            Self::Completed => "completed",
            Self::Incompatible => "incompatible",
            Self::NotTls => "not-tls",
            Self::TimedOut => "timed-out",
        }
    }

    /// Whether it is for what the peer is, so that somebody has to mend it.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::CertificateMissing
            | Self::CertificateRefused
            | Self::Incompatible
            | Self::NotTls => true,
            Self::BrokenOff | Self::Completed | Self::TimedOut => false,
        }
    }
}

impl TlsTally {
    /// Counts a handshake.
    pub fn shook_hands(&self, handshake: Handshake) {
        self.handshakes.add(handshake as usize);
    }

    /// Counts what became of certificates that were read, after which it is as `status` says.
    pub fn loaded(&self, status: TlsStatus) {
        self.reloads.add(usize::from(status.fault.is_some()));
        self.status.store(Some(Arc::new(status)));
    }

    /// How the certificate in force came to be as it is; none where TLS is not spoken.
    pub fn status(&self) -> Option<Arc<TlsStatus>> {
        self.status.load_full()
    }

    /// Shows it, where TLS is spoken.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(status) = self.status() else {
            return Ok(());
        };
        let help = "TLS handshakes by what they came to";
        let name = "postern_tls_handshakes";
        let mut handshakes = family(encoder, name, help, MetricType::Counter)?;
        for (handshake, count) in Handshake::ALL.iter().zip(self.handshakes.values()) {
            counter(&mut handshakes, &[("result", handshake.as_str())], count)?;
        }
        let help = "Certificates that were read, by what became of them";
        let mut reloads = family(encoder, "postern_tls_reloads", help, MetricType::Counter)?;
        for (result, count) in RELOADS.iter().zip(self.reloads.values()) {
            counter(&mut reloads, &[("result", result.as_str())], count)?;
        }
        let help = "When the certificate in force ends to hold";
        let name = "postern_tls_certificate_not_after_timestamp_seconds";
        let mut not_after = family(encoder, name, help, MetricType::Gauge)?;
        not_after.encode_gauge(&unix(status.not_after))?;
        let help = "When the certificate in force was loaded";
        let name = "postern_tls_certificate_loaded_timestamp_seconds";
        let mut loaded = family(encoder, name, help, MetricType::Gauge)?;
        loaded.encode_gauge(&unix(status.loaded_at))?;
        let Some(fault) = &status.fault else {
            return Ok(());
        };
        let help = "Since when the files are not in force; absent where they are";
        let name = "postern_tls_certificate_refused_since_timestamp_seconds";
        let mut refused = family(encoder, name, help, MetricType::Gauge)?;
        refused.encode_gauge(&unix(fault.since))
    }
}

/// What can become of certificates, in the order in which it is counted.
const RELOADS: [ReloadResult; 2] = [ReloadResult::Loaded, ReloadResult::Refused];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_counted_in_their_order() {
        for (at, handshake) in Handshake::ALL.into_iter().enumerate() {
            assert_eq!(handshake as usize, at);
        }
    }
}
