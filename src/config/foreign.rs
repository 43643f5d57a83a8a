//! The words of Exchange Online, of Postfix and of everyday speech for what a connector set says,
//! and what to write instead.

use super::words::Word;

/// Each word folded to lower case without separators; `key=true` and
/// `key=false` are values.
pub(crate) const IN_SETS: &[Word] = &[
    ("mode=false", "write `mode = \"off\"`"),
    (
        "mode=true",
        "write `mode = \"enforce\"`, or leave the line out",
    ),
    (
        "scope=false",
        "write `scope = \"domains\"`, or leave the line out",
    ),
    (
        "scope=true",
        "write `scope = \"rule\"` or `scope = \"domains\"`",
    ),
    ("acl", CLIENT_IPS),
    (
        "action=false",
        "write `action = \"reject\"` or `action = \"defer\"`",
    ),
    (
        "action=true",
        "write `action = \"reject\"` or `action = \"defer\"`",
    ),
    ("active", MODE),
    ("address", CLIENT_IPS),
    ("addresses", CLIENT_IPS),
    (
        "allaccepteddomains",
        "write `recipient_domains = [\"*\"]` in `[outbound.match]`",
    ),
    ("allowedips", CLIENT_IPS),
    (
        "associatedaccepteddomains",
        "write `recipient_domains = [...]` in `[inbound.match]`",
    ),
    ("authenticationlevel", TLS_LEVEL),
    ("certificate", CERTIFICATE_NAMES),
    ("certificatename", CERTIFICATE_NAMES),
    ("certname", CERTIFICATE_NAMES),
    ("certnames", CERTIFICATE_NAMES),
    ("cidr", CLIENT_IPS),
    (
        "clienthostnames",
        "Postern knows a client by address or certificate: write `client_ips` or \
        `certificate_names`",
    ),
    ("clientip", CLIENT_IPS),
    ("cloudservicesmailenabled", NONE_HYBRID),
    ("connector", CONNECTORS),
    ("connectors", CONNECTORS),
    ("connectorsource", "Postern has none: leave the line out"),
    (
        "connectortype",
        "Postern has none, each connector is about a partner: leave the line out",
    ),
    ("description", COMMENT),
    ("destination", RECIPIENT_DOMAINS),
    ("destinations", RECIPIENT_DOMAINS),
    ("direction", CONNECTORS),
    ("disabled", MODE),
    ("distinguishedname", NAME),
    ("domain", DOMAINS),
    ("domains", DOMAINS),
    ("dryrun", REPORT),
    ("efskipips", NONE_FILTERING),
    ("efskiplastip", NONE_FILTERING),
    ("efskipmailgateway", NONE_FILTERING),
    ("eftestmode", NONE_FILTERING),
    ("efusers", NONE_FILTERING),
    ("enabled", MODE),
    ("encrypt", "it is a value: write `tls = \"encrypt\"`"),
    ("encryption", TLS_LEVEL),
    ("encryptiononly", "write `tls = \"encrypt\"`"),
    ("fingerprint", FINGERPRINTS),
    ("fingerprints", FINGERPRINTS),
    ("hosts", SMART_HOSTS),
    ("id", NAME),
    ("identity", NAME),
    ("ip", CLIENT_IPS),
    ("ipaddresses", CLIENT_IPS),
    ("ipranges", CLIENT_IPS),
    ("ips", CLIENT_IPS),
    (
        "istransportrulescoped",
        "for true write `scope = \"rule\"` in `[[outbound]]`, for false \
        leave the line out",
    ),
    ("isvalidated", NONE_VALIDATION),
    ("lastvalidationtimestamp", NONE_VALIDATION),
    (
        "linkformodifiedconnector",
        "Postern has none: leave the line out",
    ),
    (
        "may",
        "it is a level of Postfix: write `tls = \"opportunistic\"`",
    ),
    ("mintlsversion", TLS_VERSION),
    (
        "mtastsmode",
        "Postern does not look up MTA-STS policies: write `tls = \"trusted\"` or \
        `tls = \"domain\"` in `[outbound.require]`",
    ),
    ("mydestination", ACCEPTED_DOMAINS),
    ("mydomains", ACCEPTED_DOMAINS),
    ("mynetworks", CLIENT_IPS),
    ("networks", CLIENT_IPS),
    ("nexthop", SMART_HOSTS),
    ("note", COMMENT),
    ("notes", COMMENT),
    ("order", PRIORITY),
    ("origin=false", "write `origin = \"unrestricted\"`"),
    (
        "origin=true",
        "write `origin = \"address-and-certificate\"`, or leave the line out",
    ),
    ("priority", PRIORITY),
    ("recipients", RECIPIENT_DOMAINS),
    ("relaydomains", ACCEPTED_DOMAINS),
    ("relayhost", SMART_HOSTS),
    ("reportonly", REPORT),
    ("requirecertificate", CERTIFICATE_NAMES),
    ("requiretls", TLS_ENCRYPT),
    (
        "restrictdomainstocertificate",
        "leave it out: `certificate_names` in `[inbound.require]` \
        restrict the domains by themselves",
    ),
    (
        "restrictdomainstoipaddresses",
        "leave it out: `client_ips` in `[inbound.require]` restrict \
        the domains by themselves",
    ),
    ("routeallmessagesviaonpremises", NONE_HYBRID),
    (
        "scanandrestrictrecipients",
        "write `recipient_domains = [...]` in `[inbound.match]`",
    ),
    (
        "secure",
        "it is a level of Postfix: write `tls = \"domain\"` and `certificate_names` in \
        `[outbound.require]`",
    ),
    ("sender", SENDER_DOMAINS),
    ("senderipaddresses", CLIENT_IPS),
    ("senderips", CLIENT_IPS),
    (
        "senderrewritingenabled",
        "Postern rewrites nothing: leave the line out",
    ),
    ("senders", SENDER_DOMAINS),
    ("smarthost", SMART_HOSTS),
    ("smtpdclientrestrictions", CLIENT_IPS),
    ("smtpdtlsmandatoryprotocols", TLS_VERSION),
    ("smtpdtlsprotocols", TLS_VERSION),
    ("smtpdtlsreqccert", CERTIFICATE_NAMES),
    ("smtpdtlssecuritylevel", TLS_ENCRYPT),
    ("smtptlsfingerprintcertmatch", FINGERPRINTS),
    ("smtptlsmandatoryprotocols", TLS_VERSION),
    ("smtptlsprotocols", TLS_VERSION),
    ("smtptlssecuritylevel", TLS_LEVEL),
    ("smtptlssecurecertmatch", CERTIFICATE_NAMES),
    ("smtptlsverifycertmatch", CERTIFICATE_NAMES),
    ("sourceips", CLIENT_IPS),
    ("ssl", TLS_ENCRYPT),
    ("starttls", TLS_ENCRYPT),
    ("state", MODE),
    ("status", MODE),
    ("testmode", REPORT),
    (
        "tls=false",
        "write `tls = \"opportunistic\"`, or leave the line out",
    ),
    ("tls=true", "write `tls = \"encrypt\"`"),
    (
        "tlsdomain",
        "write `tls = \"domain\"` and `certificate_names = [...]` in \
        `[outbound.require]`",
    ),
    ("tlslevel", TLS_LEVEL),
    ("tlspolicy", TLS_LEVEL),
    ("tlsrequired", TLS_ENCRYPT),
    (
        "tlssendercertificatename",
        "write `certificate_names = [...]` in `[inbound.require]`",
    ),
    (
        "tlssettings",
        "in `[outbound.require]` write `tls = \"encrypt\"` for EncryptionOnly, `tls = \
        \"trusted\"` for CertificateValidation, `tls = \"domain\"` for DomainValidation",
    ),
    ("tlsversion", TLS_VERSION),
    ("treatmessagesasinternal", NONE_HYBRID),
    ("transport", SMART_HOSTS),
    ("trustedips", CLIENT_IPS),
    ("trustedorganizations", NONE_HYBRID),
    (
        "usemxrecord",
        "for true leave `[outbound.route]` out, mail then goes by MX; for false write \
        `smart_hosts = [...]` in `[outbound.route]`",
    ),
    ("validationrecipients", NONE_VALIDATION),
    (
        "verify",
        "it is a level of Postfix: write `tls = \"domain\"` and `certificate_names` in \
        `[outbound.require]`",
    ),
];

const ACCEPTED_DOMAINS: &str = "write `accepted_domains = [...]` at the top of the file";
const CERTIFICATE_NAMES: &str = "write `certificate_names = [...]` in `[inbound.require]`, or in \
    `[outbound.require]` with `tls = \"domain\"`";
const CLIENT_IPS: &str = "write `client_ips = [...]`: in `[inbound.require]` the domain's mail may \
    come from these addresses only, in `[inbound.match]` the addresses recognise the partner";
const COMMENT: &str = "write `comment = \"...\"` in `[[inbound]]` or `[[outbound]]`";
const CONNECTORS: &str = "begin each connector with `[[inbound]]` or `[[outbound]]`";
const DOMAINS: &str = "write `sender_domains = [...]` in `[inbound.match]`, or `recipient_domains \
    = [...]` in `[outbound.match]`";
const FINGERPRINTS: &str = "write `certificate_fingerprints = [...]` in `[inbound.require]` or \
    `[outbound.require]`";
const MODE: &str = "write `mode = \"enforce\"`, `mode = \"report\"` or `mode = \"off\"`; without \
    the line a connector is in force";
const NAME: &str = "write `name = \"...\"` in `[[inbound]]` or `[[outbound]]`";
const NONE_FILTERING: &str = "Postern has none, it judges the address the gateway reports: leave \
    the line out";
const NONE_HYBRID: &str = "Postern has none, it is about partners and not about one's own \
    servers: leave the line out";
const NONE_VALIDATION: &str = "Postern does not validate connectors by test mail: leave the line \
    out";
const PRIORITY: &str = "Postern has none, the most specific connector comes first: leave the line \
    out";
const RECIPIENT_DOMAINS: &str = "write `recipient_domains = [...]` in `[inbound.match]` or \
    `[outbound.match]`";
const REPORT: &str = "write `mode = \"report\"`: what the connector would change is then only \
    reported";
const SENDER_DOMAINS: &str = "write `sender_domains = [...]` in `[inbound.match]`";
const SMART_HOSTS: &str = "write `smart_hosts = [...]` in `[outbound.route]`";
const TLS_ENCRYPT: &str = "write `tls = \"encrypt\"` in `[inbound.require]` or \
    `[outbound.require]`";
const TLS_LEVEL: &str = "write `tls = \"encrypt\"` in `[inbound.require]`; in \
    `[outbound.require]` one of `tls = \"opportunistic\"`, `\"encrypt\"`, `\"trusted\"` and \
    `\"domain\"`";
const TLS_VERSION: &str = "write `tls_min_version = \"TLSv1.2\"` in `[inbound.require]` or \
    `[outbound.require]`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_stand_once() {
        let mut seen = std::collections::HashSet::new();
        for (word, advice) in IN_SETS {
            assert!(seen.insert(word), "`{word}` stands twice");
            let folded = |letter: char| letter.is_ascii_lowercase() || letter == '=';
            assert!(word.chars().all(folded), "`{word}` is not folded");
            assert!(
                !advice.contains('\n') && !advice.ends_with('.'),
                "`{word}`: {advice}"
            );
        }
    }
}
