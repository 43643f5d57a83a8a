use super::*;

/// A session with an MTA that offers all, up to the greeting.
fn greeted(header: Option<&str>) -> Session {
    let mut session = Session::new(None, header);
    let offer = [6, 0x1ff, 0x1f_ffff_u32].map(u32::to_be_bytes).concat();
    assert!(matches!(hear(&mut session, b'O', &offer), Step::Say(_)));
    silent(&mut session, b'D', b"Cv\x008.17.1.9\0");
    silent(
        &mut session,
        b'C',
        b"mx.partner.test\x004\x30\x39192.0.2.7\0",
    );
    silent(&mut session, b'H', b"mx.partner.test\0");
    session
}

fn hear(session: &mut Session, letter: u8, data: &[u8]) -> Step {
    session.hear(Frame { letter, data })
}

fn silent(session: &mut Session, letter: u8, data: &[u8]) {
    let step = hear(session, letter, data);
    assert!(matches!(step, Step::Silent), "{letter}: {step:?}");
}

fn asked(session: &mut Session, rcpt_to: &str) -> pb::CheckInboundRequest {
    let data = format!("{rcpt_to}\0NOTIFY=NEVER\0");
    match hear(session, b'R', data.as_bytes()) {
        Step::Ask(question) => *question,
        step => panic!("{step:?}"),
    }
}

fn passes(session: &mut Session, rcpt_to: &str, connector: Option<&str>) {
    asked(session, rcpt_to);
    let connector = connector.map(ToOwned::to_owned);
    let told = session.decided(Outcome::Pass { connector });
    assert_eq!(told, b"\0\0\0\x01c");
}

fn said(session: &mut Session, letter: u8, data: &[u8]) -> Vec<u8> {
    match hear(session, letter, data) {
        Step::Say(octets) => octets,
        step => panic!("{step:?}"),
    }
}

/// The frames that change headers, in their order, as text.
fn changes(octets: &[u8]) -> Vec<String> {
    let mut rest = octets;
    let mut found = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (frame, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        rest = tail;
        if let [letter @ (b'm' | b'i'), 0, 0, 0, place, text @ ..] = frame {
            let text = String::from_utf8(text.to_vec()).unwrap().replace('\0', "|");
            found.push(format!("{} {place} {text}", char::from(*letter)));
        } else {
            assert_eq!((frame, tail), (&b"c"[..], &b""[..]));
        }
    }
    found
}

fn reply(text: &str) -> Reply {
    Reply {
        code: 550,
        enhanced: "5.7.1".into(),
        text: text.into(),
    }
}

#[test]
fn each_recipient_is_asked_about() {
    let mut session = greeted(None);
    silent(
        &mut session,
        b'D',
        b"Mi\x004AbC\0{tls_version}\0TLSv1.2\0{verify}\0NO\0",
    );
    silent(&mut session, b'M', b"<Ann@Partner.test>\0SIZE=10\0");
    assert!(session.is_in_message());
    let question = asked(&mut session, "<bob@contoso.com>");
    assert_eq!(question.client_ip, "192.0.2.7");
    assert_eq!(question.helo, "mx.partner.test");
    assert_eq!(question.mail_from, "<Ann@Partner.test>");
    assert_eq!(question.rcpt_to, "<bob@contoso.com>");
    assert_eq!(question.correlation_id, "4AbC");
    assert_eq!(question.tls.unwrap().version, "TLSv1.2");
    assert_eq!(
        asked(&mut session, "<eve@contoso.com>").rcpt_to,
        "<eve@contoso.com>"
    );
}

#[test]
fn a_percent_sign_is_doubled_since_sendmail_prints_a_format() {
    let mut session = greeted(None);
    let told = session.decided(Outcome::Refuse(reply("100%s is %n")));
    assert_eq!(told, b"\0\0\0\x19y550 5.7.1 100%%s is %%n\0");
}

#[test]
fn the_connectors_of_all_recipients_are_shown_once_each() {
    let mut session = greeted(Some("X-Connector"));
    silent(&mut session, b'M', b"<>\0");
    passes(&mut session, "<a@contoso.com>", Some("Partner A"));
    passes(&mut session, "<b@contoso.com>", None);
    passes(&mut session, "<c@contoso.com>", Some("B"));
    passes(&mut session, "<d@contoso.com>", Some("Partner A"));
    asked(&mut session, "<e@contoso.com>");
    session.decided(Outcome::Refuse(reply("no")));
    let told = said(&mut session, b'E', b"");
    assert_eq!(
        changes(&told),
        ["i 0 X-Connector|B|", "i 0 X-Connector|Partner A|"]
    );
    assert!(!session.is_in_message());
}

#[test]
fn forged_headers_are_removed_from_the_last_to_the_first() {
    let mut session = greeted(Some("X-Connector"));
    for expected in [&["m 2 X-Connector||", "m 1 X-Connector||"][..], &[]] {
        silent(&mut session, b'M', b"<>\0");
        passes(&mut session, "<a@contoso.com>", None);
        let forged = !expected.is_empty();
        silent(&mut session, b'L', b"Subject\0x-connector: no\0");
        if forged {
            silent(&mut session, b'L', b"x-CONNECTOR\0 Filter\0");
            silent(&mut session, b'L', b"X-Connector \0Filter");
            silent(&mut session, b'L', b"X-Connector-2\0Filter\0");
        }
        assert_eq!(changes(&said(&mut session, b'E', b"")), expected);
    }
}

#[test]
fn without_a_header_nothing_is_changed() {
    let mut session = greeted(None);
    silent(&mut session, b'M', b"<>\0");
    passes(&mut session, "<a@contoso.com>", Some("A"));
    assert_eq!(said(&mut session, b'E', b""), b"\0\0\0\x01c");
}

#[test]
fn an_aborted_message_leaves_nothing_behind() {
    let mut session = greeted(Some("X-Connector"));
    silent(&mut session, b'D', b"M{tls_version}\0TLSv1.2\0");
    silent(&mut session, b'M', b"<ann@partner.test>\0");
    passes(&mut session, "<a@contoso.com>", Some("A"));
    silent(&mut session, b'A', b"");
    assert!(!session.is_in_message());
    silent(&mut session, b'M', b"<>\0");
    let question = asked(&mut session, "<a@contoso.com>");
    assert_eq!((&*question.mail_from, question.tls), ("<>", None));
    session.decided(Outcome::Pass { connector: None });
    assert_eq!(changes(&said(&mut session, b'E', b"")), [""; 0]);
}

#[test]
fn a_connection_serves_the_next_client() {
    let mut session = greeted(None);
    silent(&mut session, b'D', b"H{tls_version}\0TLSv1.3\0");
    silent(&mut session, b'H', b"mx.partner.test\0");
    silent(&mut session, b'K', b"");
    let step = hear(&mut session, b'M', b"<>\0");
    assert!(matches!(step, Step::End(Closed::Garbled)), "{step:?}");
    silent(
        &mut session,
        b'C',
        b"mx.other.test\x006\0\x19IPv6:2001:db8::7\0",
    );
    silent(&mut session, b'H', b"mx.other.test\0");
    silent(&mut session, b'M', b"<>\0");
    let question = asked(&mut session, "<a@contoso.com>");
    assert_eq!((&*question.client_ip, question.tls), ("2001:db8::7", None));
}

#[test]
fn an_mta_that_waits_is_answered() {
    let mut session = Session::new(None, None);
    let offer = [2, 0x3f, 0x7f_u32].map(u32::to_be_bytes).concat();
    said(&mut session, b'O', &offer);
    for (letter, data) in [
        (b'C', &b"x\0U"[..]),
        (b'H', b"x\0"),
        (b'M', b"<>\0"),
        (b'T', b""),
        (b'L', b"Subject\0x\0"),
        (b'N', b""),
        (b'B', b"x"),
        (b'E', b""),
        (b'U', b"x\0"),
    ] {
        assert_eq!(said(&mut session, letter, data), b"\0\0\0\x01c", "{letter}");
    }
    for letter in *b"DAK" {
        silent(&mut session, letter, b"");
    }
}

#[test]
fn a_client_without_an_address_has_none() {
    let mut session = greeted(None);
    for data in [&b"localhost\0U"[..], b"localhost\0L\0\0/run/x\0"] {
        silent(&mut session, b'C', data);
        silent(&mut session, b'M', b"<>\0");
        assert_eq!(asked(&mut session, "<a@contoso.com>").client_ip, "");
        silent(&mut session, b'A', b"");
    }
}

#[test]
fn what_is_out_of_order_ends_the_connection() {
    let garbled = |session: &mut Session, letter: u8, data: &[u8]| {
        let step = hear(session, letter, data);
        assert!(
            matches!(step, Step::End(Closed::Garbled)),
            "{letter} {step:?}"
        );
    };
    for letter in *b"ABCDEHKLMNRTU" {
        garbled(&mut Session::new(None, None), letter, b"");
    }
    for (letter, data) in [
        (b'R', &b"<a@contoso.com>\0"[..]),
        (b'E', b""),
        (b'L', b"Subject\0x\0"),
        (b'M', b"<> without an end"),
        (b'H', b""),
        (b'C', b""),
        (b'C', b"x\0"),
        (b'C', b"x\x009"),
        (b'C', b"x\x004\0"),
        (b'C', b"x\x004\0\x19192.0.2.7"),
        (b'C', b"x\x004\0\x19192.0.2.777\0"),
        (b'O', b""),
        (b'?', b""),
    ] {
        garbled(&mut greeted(Some("X-Connector")), letter, data);
    }
    let step = hear(&mut Session::new(None, None), b'Q', b"");
    assert!(matches!(step, Step::End(Closed::Peer)));
}
