//! A request of policy delegation: what it says, and what it does not.

use crate::{
    bridge::facts::{address, fingerprint, known, tls_version, xtext},
    rpc::pb::{Certificate, CertificateTrust, CheckInboundRequest, TlsSession},
};

/// A request: attributes by their names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request(Vec<(String, String)>);

/// How far the SMTP session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Before a message: TLS may still begin.
    Session,
    /// At the sender.
    Mail,
    /// At a recipient.
    Recipient,
    /// After the recipients.
    Data,
    /// The message has come.
    End,
}

/// Where the request at the beginning of `octets` ends, behind its blank line; `seen` of them were
/// looked at before.
pub fn end(octets: &[u8], seen: usize) -> Option<usize> {
    if octets.first() == Some(&b'\n') {
        return Some(1);
    }
    let from = seen.saturating_sub(1);
    let fresh = octets.get(from..)?;
    let at = fresh.windows(2).position(|pair| pair == b"\n\n")?;
    Some(from + at + 2)
}

impl Request {
    /// Reads the attributes of a request with its blank line; none where it is none.
    ///
    /// A name that comes twice makes it none: what a peer chose may have a line break in it.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(octets.strip_suffix(b"\n\n")?);
        let mut attributes: Vec<(String, String)> = Vec::with_capacity(32);
        for line in text.split('\n') {
            let (name, value) = line.split_once('=')?;
            let fresh = attributes.iter().all(|(other, _)| other != name);
            if name.is_empty() || !fresh || attributes.len() == MOST {
                return None;
            }
            attributes.push((name.to_owned(), value.to_owned()));
        }
        let request = Self(attributes);
        (request.get("request") == "smtpd_access_policy").then_some(request)
    }

    fn find(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(own, _)| own == name)?;
        Some(value)
    }

    /// The value of `name`; empty where it has none.
    fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// Whether Exim asks, as `docs/gateways/exim.md` has it: one question for each connection.
    pub(super) fn is_of_exim(&self) -> bool {
        self.get("policy_context") == "exim" || self.find(VERIFIED).is_some()
    }

    /// What is the same for all requests about one message; empty where that is not known.
    pub(super) fn instance(&self) -> &str {
        self.get("instance")
    }

    pub(super) fn state(&self) -> State {
        match self.get("protocol_state") {
            "CONNECT" | "EHLO" | "ETRN" | "HELO" | "VRFY" => State::Session,
            "MAIL" => State::Mail,
            "RCPT" => State::Recipient,
            "END-OF-MESSAGE" => State::End,
            _ => State::Data,
        }
    }

    /// What is asked of the service.
    pub fn question(&self, connector_set: Option<&str>) -> CheckInboundRequest {
        let client = self.get("client_address");
        let id = [self.instance(), self.get("queue_id")];
        CheckInboundRequest {
            connector_set: connector_set.unwrap_or_default().to_owned(),
            client_ip: address(client).map_or_else(|| client.to_owned(), |it| it.to_string()),
            helo: known(self.get("helo_name")).to_owned(),
            mail_from: self.get("sender").to_owned(),
            rcpt_to: self.get("recipient").to_owned(),
            tls: self.tls(),
            correlation_id: id
                .iter()
                .find(|id| !id.is_empty())
                .unwrap_or(&"")
                .to_string(),
        }
    }

    fn tls(&self) -> Option<TlsSession> {
        let version = self.get("encryption_protocol");
        if version.is_empty() {
            return None;
        }
        let certificate = if self.is_of_exim() {
            self.certificate_of_exim()
        } else {
            self.certificate_of_postfix()
        };
        Some(TlsSession {
            version: tls_version(version),
            cipher: self.get("encryption_cipher").to_owned(),
            certificate_unavailable: certificate.is_err(),
            peer_certificate: certificate.ok().flatten(),
        })
    }

    /// Postfix names the subject and the issuer of a certificate that it trusts, and of no other;
    /// the fingerprints of any. None where it presented none.
    fn certificate_of_postfix(&self) -> Result<Option<Certificate>, Unavailable> {
        let (subject, issuer) = (self.get("ccert_subject"), self.get("ccert_issuer"));
        let (leaf, key) = (self.get("ccert_fingerprint"), self.get(KEY_FINGERPRINT));
        let trusted = !subject.is_empty() || !issuer.is_empty();
        if !trusted && leaf.is_empty() && key.is_empty() {
            // Before 2.2 it did not say.
            return self
                .find("ccert_fingerprint")
                .map(|_| None)
                .ok_or(Unavailable);
        }
        let trust = if trusted {
            CertificateTrust::Trusted
        } else {
            CertificateTrust::Untrusted
        };
        Ok(Some(Certificate {
            trust: trust.into(),
            common_name: xtext(subject).unwrap_or_default(),
            alternative_names_unavailable: true,
            sha256: fingerprint(leaf).unwrap_or_default(),
            spki_sha256: fingerprint(key).unwrap_or_default(),
            ..Certificate::default()
        }))
    }

    /// Exim names the subject of any certificate, and says whether it is verified.
    fn certificate_of_exim(&self) -> Result<Option<Certificate>, Unavailable> {
        let Some(leaf) = self.find("ccert_fingerprint") else {
            return Err(Unavailable);
        };
        if leaf.is_empty() {
            return Ok(None);
        }
        let trust = match self.get(VERIFIED) {
            "1" => CertificateTrust::Trusted,
            "0" => CertificateTrust::Untrusted,
            _ => CertificateTrust::Unspecified,
        };
        let names = self.find("x_ccert_sans").map(names);
        Ok(Some(Certificate {
            trust: trust.into(),
            common_name: self.get("ccert_subject").to_owned(),
            alternative_names_unavailable: !matches!(names, Some(Some(_))),
            dns_names: names.flatten().unwrap_or_default(),
            sha256: fingerprint(leaf).unwrap_or_default(),
            spki_sha256: fingerprint(self.get(KEY_FINGERPRINT)).unwrap_or_default(),
            ..Certificate::default()
        }))
    }
}

/// Whether there is a certificate cannot be told.
struct Unavailable;

/// The names of a list with commas; none where a name has a comma itself, which Exim doubles: then
/// it cannot be told what the names are.
fn names(list: &str) -> Option<Vec<String>> {
    if list.is_empty() {
        return Some(Vec::new());
    }
    let names = list.split(',').map(str::trim);
    names
        .map(|name| (!name.is_empty()).then(|| name.to_owned()))
        .collect()
}

const VERIFIED: &str = "x_ccert_verified";
const KEY_FINGERPRINT: &str = "ccert_pubkey_fingerprint";

/// How many octets a request may have: one of a certificate with a hundred names has a tenth.
pub const LONGEST: usize = 64 * 1024;

/// How many attributes a request may have; Postfix 3.8 has 32.
const MOST: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA256: &str = "5F:91:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:\
                          5F:91:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD";

    fn request(attributes: &str) -> Request {
        let text = format!("request=smtpd_access_policy\n{attributes}\n\n");
        Request::parse(text.as_bytes()).unwrap()
    }

    fn certificate(attributes: &str) -> Option<Certificate> {
        let tls = request(&format!("encryption_protocol=TLSv1.3\n{attributes}"))
            .tls()
            .unwrap();
        assert!(!tls.certificate_unavailable);
        tls.peer_certificate
    }

    #[test]
    fn a_request_becomes_a_question() {
        let question = request(
            "protocol_state=RCPT\nx_later=1\nclient_address=::ffff:192.0.2.7\nsender=Ann@contoso.com\n\
             recipient=bob@fabrikam.com\nhelo_name=unknown\nqueue_id=4B1\ninstance=3.a\nsize=12",
        )
        .question(Some("contoso"));
        let expected = CheckInboundRequest {
            connector_set: "contoso".into(),
            client_ip: "192.0.2.7".into(),
            mail_from: "Ann@contoso.com".into(),
            rcpt_to: "bob@fabrikam.com".into(),
            correlation_id: "3.a".into(),
            ..CheckInboundRequest::default()
        };
        assert_eq!(question, expected);
        let question = request("client_address=unknown\nsender=\nqueue_id=4B1").question(None);
        assert_eq!(question.client_ip, "unknown");
        assert_eq!(question.correlation_id, "4B1");
        let states = ["CONNECT", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "BDAT"];
        let states = states.map(|state| request(&format!("protocol_state={state}")).state());
        assert_eq!(
            states,
            [
                State::Session,
                State::Mail,
                State::Recipient,
                State::Data,
                State::End,
                State::Data
            ]
        );
    }

    #[test]
    fn postfix_names_what_it_trusts() {
        let told = |subject: &str, issuer: &str, leaf: &str| {
            certificate(&format!(
                "ccert_subject={subject}\nccert_issuer={issuer}\nccert_fingerprint={leaf}\n\
                 ccert_pubkey_fingerprint={leaf}"
            ))
        };
        let good = told("mx+2Econtoso.com", "Lab+20Test+20CA", SHA256).unwrap();
        assert_eq!(good.trust(), CertificateTrust::Trusted);
        assert_eq!(good.common_name, "mx.contoso.com");
        assert!(good.alternative_names_unavailable);
        assert_eq!(good.sha256, SHA256.replace(':', "").to_lowercase());
        assert_eq!(good.spki_sha256, good.sha256);
        let nameless = told("", "Lab+20Test+20CA", SHA256).unwrap();
        assert_eq!(nameless.trust(), CertificateTrust::Trusted);
        assert_eq!(nameless.common_name, "");
        let untrusted = told("", "", SHA256).unwrap();
        assert_eq!(untrusted.trust(), CertificateTrust::Untrusted);
        let md5 = told("", "", "5F:91:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD").unwrap();
        assert_eq!(
            (md5.trust(), &*md5.sha256),
            (CertificateTrust::Untrusted, "")
        );
        assert_eq!(told("", "", ""), None);
        let broken = told("+", "CA", SHA256).unwrap();
        assert_eq!(broken.common_name, "");
        let old = request("encryption_protocol=TLSv1\nccert_subject=")
            .tls()
            .unwrap();
        assert!(old.certificate_unavailable && old.peer_certificate.is_none());
    }

    #[test]
    fn exim_says_whether_it_verified() {
        let told = |verified: &str, rest: &str| {
            certificate(&format!(
                "policy_context=exim\nx_ccert_verified={verified}\nccert_subject=a+2Bb\n\
                 ccert_fingerprint={SHA256}{rest}"
            ))
            .unwrap()
        };
        let good = told("1", "\nx_ccert_sans=mail.contoso.com,*.contoso.com");
        assert_eq!(good.trust(), CertificateTrust::Trusted);
        assert_eq!(good.common_name, "a+2Bb");
        assert_eq!(good.dns_names, ["mail.contoso.com", "*.contoso.com"]);
        assert!(!good.alternative_names_unavailable);
        assert_eq!(told("0", "").trust(), CertificateTrust::Untrusted);
        assert_eq!(told("", "").trust(), CertificateTrust::Unspecified);
        assert!(told("1", "").alternative_names_unavailable);
        let none = told("1", "\nx_ccert_sans=");
        assert!(none.dns_names.is_empty() && !none.alternative_names_unavailable);
        let doubled = told("1", "\nx_ccert_sans=a,,mail.contoso.com");
        assert!(doubled.dns_names.is_empty() && doubled.alternative_names_unavailable);
        let none = certificate("x_ccert_verified=0\nccert_fingerprint=");
        assert_eq!(none, None);
    }

    #[test]
    fn what_is_no_request_is_not_read() {
        let long: Vec<_> = (0..MOST).map(|at| format!("a{at}=\n")).collect();
        let long = long.concat();
        let long = format!("request=smtpd_access_policy\n{long}\n");
        for text in [
            "\n\n",
            "request=smtpd_access_policy\n",
            "request=other\n\n",
            "sender=a\n\n",
            "request=smtpd_access_policy\nno sign\n\n",
            "request=smtpd_access_policy\n=x\n\n",
            "request=smtpd_access_policy\nsender=a\nsender=b\n\n",
            "GET / HTTP/1.1\r\nhost: a\n\n",
            &long,
        ] {
            assert_eq!(Request::parse(text.as_bytes()), None, "{text:?}");
        }
        let latin = Request::parse(b"request=smtpd_access_policy\nsender=\xe9@a\n\n").unwrap();
        assert_eq!(latin.get("sender"), "\u{fffd}@a");
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_octets_come(
            text in "[a=\n]{0,40}", parts in prop::collection::vec(1_usize..5, 0..40),
        ) {
            let octets = text.as_bytes();
            let whole = end(octets, 0);
            let (mut seen, mut found) = (0, None);
            for part in parts.into_iter().chain([octets.len()]) {
                let now = octets.len().min(seen + part);
                found = end(&octets[..now], seen);
                if found.is_some() {
                    break;
                }
                seen = now;
            }
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut octets = octets;
            octets.extend_from_slice(b"\n\n");
            octets.splice(0..0, *b"request=smtpd_access_policy\n");
            if let Some(request) = Request::parse(&octets) {
                request.question(None);
            }
        }
    }
}
