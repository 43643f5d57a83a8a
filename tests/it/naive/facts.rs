//! What a gateway asks: the two questions of the contract, with its field names.

/// CheckInboundRequest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct InboundFacts {
    /// The set that is named; empty where none is.
    pub(crate) connector_set: String,
    pub(crate) client_ip: String,
    pub(crate) mail_from: String,
    pub(crate) rcpt_to: String,
    /// None in plaintext.
    pub(crate) tls: Option<TlsSession>,
}

/// CheckOutboundRequest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OutboundFacts {
    /// The set that is named; empty where none is.
    pub(crate) connector_set: String,
    pub(crate) mail_from: String,
    pub(crate) rcpt_to: String,
    /// Empty where no rule names a connector.
    pub(crate) rule_connector: String,
    /// None before connecting.
    pub(crate) session: Option<OutboundSession>,
}

/// The session with the next hop.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OutboundSession {
    pub(crate) host: String,
    /// None in plaintext.
    pub(crate) tls: Option<TlsSession>,
}

/// TLS of a session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TlsSession {
    pub(crate) version: String,
    /// None where the peer presented none.
    pub(crate) peer_certificate: Option<Certificate>,
    pub(crate) certificate_unavailable: bool,
}

/// The peer's certificate, as the gateway describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) trust: Trust,
    pub(crate) trust_detail: String,
    pub(crate) dns_names: Vec<String>,
    pub(crate) common_name: String,
    pub(crate) alternative_names_unavailable: bool,
    pub(crate) sha256: String,
    pub(crate) spki_sha256: String,
}

/// CertificateTrust, with the contract's numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Trust {
    #[default]
    Unspecified = 0,
    Trusted = 1,
    Untrusted = 2,
    Expired = 3,
    WrongPurpose = 4,
}
