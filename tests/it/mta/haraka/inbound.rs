//! Mail that comes in: what Haraka replies is what the connectors demand.

use super::{Haraka, Setup};
use crate::{
    mta::pki::{Pki, Shown, sha256},
    running::Running,
};

/// What a session shows.
#[derive(Clone, Copy, Debug)]
enum Over {
    Plaintext,
    /// TLS without a certificate.
    Tls,
    Certificate(Shown),
}

use Over::{Certificate, Plaintext, Tls};

const NEAR: &str = "203.0.113.7";
const FAR: &str = "198.51.100.7";
const NEAR6: &str = "2001:db8:7::7";

/// A set that answers for mail to `NAME.test`.
fn set(name: &str, connectors: &str) -> (String, String) {
    let text = format!(
        "version = 1\naccepted_domains = [\"{name}.test\", \"*.{name}.test\"]\n{connectors}\n[end]\n"
    );
    (name.to_owned(), text)
}

/// A connector for partner.test.
fn partner(require: &str) -> String {
    format!(
        "[[inbound]]\nname = \"Partner\"\nmatch.sender_domains = [\"partner.test\"]\n{require}\n"
    )
}

fn sets(pki: &Pki) -> Vec<(String, String)> {
    let addresses = "require.client_ips = [\"203.0.113.0/24\", \"2001:db8:7::/48\"]";
    let pin = sha256(&pki.client(Shown::Untrusted));
    vec![
        set("one", &partner("require.tls = \"encrypt\"")),
        set(
            "two",
            &partner("require.certificate_names = [\"*.partner.test\"]"),
        ),
        set("three", &partner(addresses)),
        set(
            "behind",
            &format!(
                "[[inbound]]\nname = \"Own\"\nmatch.sender_domains = [\"*\"]\nmatch.recipient_domains = [\"behind.test\"]\n{addresses}\n"
            ),
        ),
        set(
            "four",
            &format!(
                "[[inbound]]\nname = \"Filter\"\nmatch.sender_domains = [\"*\"]\n{addresses}\n"
            ),
        ),
        set(
            "five",
            "[[inbound]]\nname = \"Range\"\nmatch.client_ips = [\"203.0.113.0/24\", \"2001:db8:7::/48\"]\nrequire.tls = \"encrypt\"\n",
        ),
        set(
            "pin",
            &partner(&format!("require.certificate_fingerprints = [\"{pin}\"]")),
        ),
        set(
            "report",
            &partner("mode = \"report\"\nrequire.tls = \"encrypt\""),
        ),
        set(
            "later",
            &partner("require.tls = \"encrypt\"\nreply.action = \"defer\""),
        ),
    ]
}

const OK: &str = "250 ";
const TLS_FIRST: &str = "530 5.7.0 Must issue a STARTTLS command first";
const NO_CERTIFICATE: &str = "550 5.7.1 a client certificate of the sending domain is required";

const ANN: &str = "ann@partner.test";
const FAR_NOT: &str = "550 5.7.1 mail from this domain is not accepted from [198.51.100.7]";
const FAR6_NOT: &str = "550 5.7.1 mail from this domain is not accepted from [IPv6:2001:db8:8::7]";

/// Client, session, sender, domain of the recipient, and the beginning of the reply.
const ROWS: &[(&str, Over, &str, &str, &str)] = &[
    // Example 1: TLS for a domain.
    (FAR, Plaintext, ANN, "one.test", TLS_FIRST),
    (FAR, Tls, ANN, "one.test", OK),
    (FAR, Plaintext, "ann@elsewhere.test", "one.test", OK),
    (FAR, Plaintext, "", "one.test", OK),
    // Example 2: and their certificate.
    (FAR, Plaintext, ANN, "two.test", TLS_FIRST),
    (FAR, Tls, ANN, "two.test", NO_CERTIFICATE),
    (FAR, Certificate(Shown::Good), ANN, "two.test", OK),
    (
        FAR,
        Certificate(Shown::AlternativeOnly),
        ANN,
        "two.test",
        OK,
    ),
    (
        FAR,
        Certificate(Shown::WrongName),
        ANN,
        "two.test",
        "550 5.7.1 ",
    ),
    (
        FAR,
        Certificate(Shown::Untrusted),
        ANN,
        "two.test",
        "550 5.7.1 ",
    ),
    (
        FAR,
        Certificate(Shown::SelfSigned),
        ANN,
        "two.test",
        "550 5.7.1 ",
    ),
    (
        FAR,
        Certificate(Shown::Expired),
        ANN,
        "two.test",
        "550 5.7.1 ",
    ),
    (
        FAR,
        Certificate(Shown::ServerAuthOnly),
        ANN,
        "two.test",
        "550 5.7.1 ",
    ),
    // Why: an empty local part is no null sender.
    (FAR, Plaintext, "\"\"@partner.test", "two.test", TLS_FIRST),
    // Example 3: a domain only from its addresses.
    (NEAR, Plaintext, ANN, "three.test", OK),
    (NEAR6, Plaintext, ANN, "three.test", OK),
    (FAR, Plaintext, ANN, "three.test", FAR_NOT),
    (FAR, Certificate(Shown::Good), ANN, "three.test", FAR_NOT),
    ("2001:db8:8::7", Plaintext, ANN, "three.test", FAR6_NOT),
    // The same for an own domain behind another MX: scoped to recipients.
    (NEAR, Plaintext, ANN, "behind.test", OK),
    (FAR, Plaintext, ANN, "behind.test", FAR_NOT),
    (FAR, Plaintext, "", "behind.test", "550 5.7.1 "),
    (FAR, Plaintext, ANN, "sub.behind.test", OK),
    // Example 4: everything only from the filtering service.
    (NEAR, Plaintext, ANN, "four.test", OK),
    (FAR, Tls, ANN, "four.test", FAR_NOT),
    (FAR, Plaintext, "", "four.test", "550 5.7.1 "),
    // Example 5: TLS for whatever comes from an address range.
    (NEAR, Plaintext, ANN, "five.test", TLS_FIRST),
    (NEAR6, Plaintext, "", "five.test", TLS_FIRST),
    (NEAR, Tls, "", "five.test", OK),
    (FAR, Plaintext, ANN, "five.test", OK),
    // Pins, which need no trust.
    (FAR, Plaintext, ANN, "pin.test", TLS_FIRST),
    (FAR, Certificate(Shown::Good), ANN, "pin.test", "550 5.7.1 "),
    // What is only reported is not enforced; what is to be deferred is deferred.
    (FAR, Plaintext, ANN, "report.test", OK),
    (FAR, Plaintext, ANN, "later.test", "451 4.7.0 "),
    // No set answers for the domain.
    (
        FAR,
        Plaintext,
        ANN,
        "nobody.test",
        "451 4.3.5 connector policy cannot be asked",
    ),
];

#[test]
fn recipients_are_accepted_as_the_connectors_demand() {
    let pki = Pki::new();
    let sets = sets(&pki);
    let sets: Vec<_> = sets.iter().map(|(name, text)| (&**name, &**text)).collect();
    let running = Running::serve(&sets);
    let haraka = Haraka::start(&pki, &Setup::asking(&[&running])).listening();
    for (client, over, sender, domain, wanted) in ROWS {
        let smtp = haraka.from(client);
        let mut smtp = match over {
            Plaintext => smtp,
            Tls => smtp.starttls(None),
            Certificate(shown) => smtp.starttls(Some(&pki.client(*shown))),
        };
        let reply = smtp.asks(sender, &format!("bob@{domain}"));
        let row = format!(
            "{client} {over:?} {sender} {domain}: {reply}\n{}",
            haraka.log()
        );
        assert!(reply.starts_with(wanted), "{row}");
    }
}

#[test]
fn a_pinned_certificate_needs_no_trust() {
    let pki = Pki::new();
    // Issued once: each has a key of its own.
    let pinned = pki.client(Shown::Untrusted);
    let require = format!(
        "require.certificate_fingerprints = [\"{}\"]",
        sha256(&pinned)
    );
    let text = format!("version = 1\n{}[end]\n", partner(&require));
    let running = Running::serve(&[("pin", &text)]);
    let haraka = Haraka::start(&pki, &Setup::asking(&[&running])).listening();
    for (shown, wanted) in [(&pinned, OK), (&pki.client(Shown::Good), "550 5.7.1 ")] {
        let mut smtp = haraka.from(FAR).starttls(Some(shown));
        let reply = smtp.asks("ann@partner.test", "bob@pin.test");
        assert!(reply.starts_with(wanted), "{reply}");
    }
}

#[test]
fn each_recipient_is_asked_about_and_the_header_names_who_applied() {
    let pki = Pki::new();
    let sets = sets(&pki);
    let sets: Vec<_> = sets.iter().map(|(name, text)| (&**name, &**text)).collect();
    let running = Running::serve(&sets);
    let setup = Setup::asking(&[&running]).with("header = X-Postern-Connector");
    let haraka = Haraka::start(&pki, &setup).listening();

    let mut smtp = haraka.from(NEAR).starttls(None);
    let reply = smtp.asks("ann@partner.test", "bob@one.test");
    assert!(reply.starts_with(OK), "{reply}");
    let reply = smtp.says("RCPT TO:<bob@two.test>");
    assert_eq!(reply, NO_CERTIFICATE);
    let reply = smtp.says("RCPT TO:<bob@five.test>");
    assert!(reply.starts_with(OK), "{reply}");
    assert!(smtp.says("DATA").starts_with("354"));
    let forged = "X-Postern-Connector: forged\r\nx-postern-connector: again\r\nSubject: one\r\n\r\nbody\r\n.";
    assert!(smtp.says(forged).starts_with(OK));
    // Mail that no connector applies to loses the forged header, too.
    let mut smtp = haraka.from(FAR);
    let reply = smtp.sends(
        "ann@elsewhere.test",
        "bob@one.test",
        "X-Postern-Connector: forged\r\nSubject: two\r\n\r\nbody",
    );
    assert!(reply.starts_with(OK), "{reply}");

    let named: Vec<Vec<String>> = haraka
        .wrote("taken")
        .iter()
        .map(|headers| {
            let lines = headers.as_array().unwrap().iter();
            let lines = lines.map(|line| line.as_str().unwrap().to_owned());
            lines
                .filter(|line| line.to_lowercase().contains("postern-connector"))
                .collect()
        })
        .collect();
    assert_eq!(
        named,
        [
            vec!["X-Postern-Connector: Partner, Range".to_owned()],
            vec![]
        ]
    );
}
