//! What must hold whatever is read: the fuzz targets look for inputs that break it, the tests try
//! some thousands.
//!
//! Each property panics where it does not hold.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Display},
    ops::Range,
    str::FromStr,
    sync::LazyLock,
};

use postern::{
    bridge::{
        answer::Outcome,
        milter::{Frame, Session, Step},
        policy, socketmap,
    },
    config::{self, finding::Finding, render, settings::Settings},
    live::Snapshot,
    mail::{
        CertificateName, Domain, DomainPattern, Fingerprint, HostBits, Network, PresentedName,
        Recipient, ReversePath, parse_address,
    },
    policy::{Catalog, Entry},
    rpc::{Failure, answer, pb},
};
use prost::Message;

/// A connector set is refused for a reason that can be shown, or taken; and twice alike.
pub fn connectors(text: &str) {
    let (once, twice) = (
        config::load_str("fuzz", text),
        config::load_str("fuzz", text),
    );
    assert_eq!(once.findings, twice.findings);
    assert_eq!(
        once.set.is_none(),
        once.findings.iter().any(Finding::is_error)
    );
    let parts = |outcome: &config::Outcome| {
        let set = outcome.set.as_ref();
        set.map(|set| format!("{:?} {:?}", set.inbound(), set.outbound()))
    };
    assert_eq!(parts(&once), parts(&twice));
    can_be_shown(text, &once.findings);
}

/// A settings file is refused for a reason that can be shown, or taken; and twice alike.
pub fn settings(text: &str) {
    let once = Settings::from_toml(text);
    assert_eq!(once, Settings::from_toml(text));
    if let Err(findings) = once {
        assert!(!findings.is_empty());
        can_be_shown(text, &findings);
    }
}

/// A file of callers is refused for a reason that can be shown, or has somebody in it.
pub fn callers(text: &str) {
    let outcome = config::callers::load_str(text);
    let errors = outcome.findings.iter().any(Finding::is_error);
    assert_eq!(outcome.callers.is_none(), errors);
    can_be_shown(text, &outcome.findings);
    if let Some(callers) = outcome.callers {
        assert!(!callers.list().is_empty());
    }
}

/// Whatever an MTA says by milter, it is told whole frames, and nothing that ends a line.
pub fn milter(bytes: &[u8]) {
    let mut session = Session::new(None, Some("X-Connector"));
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((frame, tail)) = tail.split_at_checked(length) else {
            break;
        };
        let Some((&letter, data)) = frame.split_first() else {
            break;
        };
        rest = tail;
        let told = match session.hear(Frame { letter, data }) {
            Step::Ask(_) => session.decided(Outcome::Pass {
                connector: Some("Contoso\r\nBcc: 100%".to_owned()),
            }),
            Step::End(_) => break,
            Step::Say(told) => told,
            Step::Silent => continue,
        };
        let mut told = &*told;
        while let Some((length, tail)) = told.split_first_chunk() {
            let (frame, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
            let line_ends = |octet: &u8| *octet == b'\r' || *octet == b'\n';
            assert!(frame.first() != Some(&b'i') || !frame.iter().any(line_ends));
            told = tail;
        }
        assert!(told.is_empty());
    }
}

/// However a request of policy delegation is split, it ends at the same place; whatever is read from
/// it, the question is about what was said, and fits into its message.
pub fn policy(bytes: &[u8]) {
    let whole = policy::end(bytes, 0);
    for seen in 0..bytes.len().min(MOST_SPLITS) {
        let (before, _) = bytes.split_at(seen);
        match policy::end(before, 0) {
            Some(end) => assert_eq!(Some(end), whole),
            None => assert_eq!(policy::end(bytes, seen), whole, "after {seen}"),
        }
    }
    let request = whole.and_then(|end| policy::Request::parse(&bytes[..end]));
    let Some(request) = request else {
        return;
    };
    let question = request.question(Some("contoso"));
    assert_eq!(question.connector_set, "contoso");
    let octets = question.encode_to_vec();
    assert_eq!(
        pb::CheckInboundRequest::decode(&*octets),
        Ok(question.clone())
    );
    let told = String::from_utf8_lossy(bytes);
    assert!(told.contains(&*question.rcpt_to) && told.contains(&*question.mail_from));
    let tls = question.tls.as_ref();
    let certificate = tls.and_then(|tls| tls.peer_certificate.as_ref());
    for hex in certificate
        .into_iter()
        .flat_map(|it| [&it.sha256, &it.spki_sha256])
    {
        assert!(hex.is_empty() || hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit()));
    }
    drop(inbound(&question));
}

/// A question of socketmap is whole at its comma and not before, and nothing behind it changes that.
pub fn socketmap(bytes: &[u8]) {
    use socketmap::Frame;

    match Frame::of(bytes) {
        Frame::Whole(text) => {
            let end = text.end + 1;
            for cut in (0..end).take(MOST_SPLITS) {
                assert_eq!(Frame::of(&bytes[..cut]), Frame::Partial);
            }
            if let Ok(said) = std::str::from_utf8(&bytes[text.clone()]) {
                assert_eq!(socketmap::framed(said).as_bytes(), &bytes[..end]);
            }
        }
        Frame::Partial => {
            let more = [bytes, b"\xff"].concat();
            assert_ne!(Frame::of(&more), Frame::TooLarge);
        }
        // What comes later does not mend it.
        broken => {
            let more = [bytes, b"1:a,"].concat();
            assert_eq!(Frame::of(&more), broken);
        }
    }
}

/// Domains, patterns and names of certificates are read back from what they show as.
pub fn domain(text: &str) {
    if let Some(domain) = read_back::<Domain>(text) {
        assert!(domain.as_str().len() <= 253 && domain.as_str().is_ascii());
        assert!(domain.ancestors().count() == domain.label_count());
        assert!(domain.is_within(&domain));
        let dotted = format!("{domain}.");
        assert_eq!(dotted.parse(), Ok(domain.clone()));
        assert!(DomainPattern::Subtree(domain.clone()).covers(Some(&domain)));
    }
    if let Some(pattern) = read_back::<DomainPattern>(text) {
        assert!(pattern.includes(&pattern) && DomainPattern::Any.includes(&pattern));
    }
    if let (Some(name), Some(presented)) = (
        read_back::<CertificateName>(text),
        PresentedName::parse(text),
    ) {
        assert!(name.matches(&presented) || text.starts_with('*'));
    }
    read_back::<Fingerprint>(text);
}

/// An envelope address is read alike with and without `<` and `>`, and its domain by itself.
pub fn address(text: &str) {
    let sender = ReversePath::parse(text);
    let recipient = Recipient::parse(text);
    let in_brackets = text.starts_with('<') && text.ends_with('>');
    if !in_brackets {
        let bracketed = format!("<{text}>");
        assert_eq!(ReversePath::parse(&bracketed), sender);
        assert_eq!(Recipient::parse(&bracketed), recipient);
    }
    let domain = sender.as_ref().ok().and_then(ReversePath::domain);
    assert_eq!(domain, recipient.as_ref().ok().and_then(Recipient::domain));
    if let Some(domain) = domain {
        let mailbox = format!("x@{domain}");
        assert_eq!(
            ReversePath::parse(&mailbox),
            Ok(ReversePath::Mailbox(domain.clone()))
        );
        let bare = Recipient::parse_or_domain(domain.as_str());
        assert!(
            bare == Ok(Recipient::Mailbox(domain.clone())) || bare == Ok(Recipient::Postmaster)
        );
    }
    if let Err(fault) = &sender {
        assert!(recipient.is_err());
        in_one_line(fault);
    }
}

/// A network is read back from what it shows as, holds its own addresses, and masks host bits.
pub fn network(text: &str) {
    match Network::parse(text) {
        Ok((network, _)) => {
            assert_eq!(
                Network::parse(&network.to_string()),
                Ok((network, HostBits::Clean))
            );
            assert!(network.contains(network.addr()) && network.includes(&network));
            assert_eq!(network.addr(), network.addr().to_canonical());
        }
        Err(fault) => in_one_line(&fault),
    }
    match parse_address(text) {
        Ok(address) => {
            assert_eq!(parse_address(&address.to_string()), Ok(address));
            assert!(
                Network::parse(&address.to_string()).is_ok_and(|(own, _)| own.contains(address))
            );
        }
        Err(fault) => in_one_line(&fault),
    }
}

/// Whatever a gateway asks about a sending server has one answer.
pub fn check_inbound(bytes: &[u8]) {
    if let Ok(request) = pb::CheckInboundRequest::decode(bytes) {
        drop(inbound(&request));
    }
}

/// Whatever a gateway asks about a next hop has one answer.
pub fn check_outbound(bytes: &[u8]) {
    if let Ok(request) = pb::CheckOutboundRequest::decode(bytes) {
        drop(outbound(&request));
    }
}

/// An explanation comes with the very answer that it explains.
pub fn explain_inbound(bytes: &[u8]) {
    let Ok(request) = pb::ExplainInboundRequest::decode(bytes) else {
        return;
    };
    let answer = inbound(
        request
            .facts
            .as_ref()
            .unwrap_or(&pb::CheckInboundRequest::default()),
    );
    match (answer, answer::explain_inbound(&SNAPSHOT, None, &request)) {
        (Ok(answer), Ok(explained)) => assert_eq!(explained.decision, Some(answer)),
        (Err(code), Err(failure)) => assert_eq!(code, told(&failure)),
        (answer, explained) => panic!("{answer:?}, but explained {explained:?}"),
    }
}

/// An explanation comes with the very answer that it explains.
pub fn explain_outbound(bytes: &[u8]) {
    let Ok(request) = pb::ExplainOutboundRequest::decode(bytes) else {
        return;
    };
    let answer = outbound(
        request
            .facts
            .as_ref()
            .unwrap_or(&pb::CheckOutboundRequest::default()),
    );
    match (answer, answer::explain_outbound(&SNAPSHOT, None, &request)) {
        (Ok(answer), Ok(explained)) => assert_eq!(explained.decision, Some(answer)),
        (Err(code), Err(failure)) => assert_eq!(code, told(&failure)),
        (answer, explained) => panic!("{answer:?}, but explained {explained:?}"),
    }
}

/// Whatever stands in a question of a stream has one answer.
pub fn check_stream(bytes: &[u8]) {
    use pb::check_stream_request::Question;

    match pb::CheckStreamRequest::decode(bytes).map(|request| request.question) {
        Ok(Some(Question::Inbound(request))) => drop(inbound(&request)),
        Ok(Some(Question::Outbound(request))) => drop(outbound(&request)),
        Ok(None) | Err(_) => {}
    }
}

fn inbound(request: &pb::CheckInboundRequest) -> Result<pb::CheckInboundResponse, String> {
    let answer = answer::inbound(&SNAPSHOT, request);
    let again = answer::inbound(&SNAPSHOT, request).map_err(|failure| told(&failure));
    let answer = answer.map_err(|failure| told(&failure));
    assert_eq!(answer, again);
    if let Ok(answer) = &answer {
        answered(
            answer.verdict(),
            &answer.rejections,
            answer.smtp_reply.as_ref(),
        );
    }
    answer
}

fn outbound(request: &pb::CheckOutboundRequest) -> Result<pb::CheckOutboundResponse, String> {
    let answer = answer::outbound(&SNAPSHOT, request);
    let again = answer::outbound(&SNAPSHOT, request).map_err(|failure| told(&failure));
    let answer = answer.map_err(|failure| told(&failure));
    assert_eq!(answer, again);
    if let Ok(answer) = &answer {
        answered(
            answer.verdict(),
            &answer.rejections,
            answer.smtp_reply.as_ref(),
        );
    }
    answer
}

/// Reasons and a reply come with a refusal, and only with one.
fn answered(verdict: pb::Verdict, rejections: &[pb::Rejection], reply: Option<&pb::SmtpReply>) {
    let refused = match verdict {
        pb::Verdict::Accept | pb::Verdict::Conditional => false,
        pb::Verdict::Defer | pb::Verdict::Reject => true,
        pb::Verdict::Unspecified => panic!("no verdict"),
    };
    assert_eq!(refused, !rejections.is_empty());
    assert_eq!(refused, reply.is_some());
    let classes = match verdict {
        pb::Verdict::Defer => 400..500,
        _ => 500..600,
    };
    if let Some(reply) = reply {
        assert!(classes.contains(&reply.code), "{reply:?}");
        assert!(
            reply
                .text
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{reply:?}"
        );
    }
    for rejection in rejections {
        assert_ne!(rejection.reason(), pb::Reason::Unspecified);
        in_one_line(&rejection.message);
    }
}

/// What a failure says, but for where in the request its fields stand.
fn told(failure: &Failure) -> String {
    in_one_line(&failure.message());
    format!(
        "{:?} {} {}",
        failure.code(),
        failure.reason(),
        failure.fields().len()
    )
}

/// Every finding has places in the text, and every rendering shows all of them.
fn can_be_shown(text: &str, findings: &[Finding]) {
    let inside = |span: &Range<usize>| text.get(span.clone()).is_some();
    for finding in findings {
        assert!(
            finding.labels.iter().all(|label| inside(&label.span)),
            "{finding:?}"
        );
        in_one_line(&finding.message);
        in_one_line(&finding.help.as_deref().unwrap_or_default());
    }
    for colour in [false, true] {
        assert_eq!(
            render::carets("fuzz", text, findings, colour).is_empty(),
            findings.is_empty()
        );
    }
    assert_eq!(
        render::plain("fuzz", text, findings).lines().count(),
        findings.len()
    );
    assert_eq!(render::json("fuzz", text, findings).len(), findings.len());
}

/// What `text` is read as, which is read again from what it shows as.
fn read_back<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Debug + Display + PartialEq> + Debug + Display + PartialEq,
{
    match text.parse::<T>() {
        Ok(read) => {
            let shown = read.to_string();
            assert_eq!(shown.parse().as_ref(), Ok(&read));
            Some(read)
        }
        Err(fault) => {
            in_one_line(&fault);
            None
        }
    }
}

fn in_one_line(said: &impl Display) {
    let said = said.to_string();
    assert!(!said.chars().any(char::is_control), "{said:?}");
}

/// At how many places an input is split.
const MOST_SPLITS: usize = 512;

/// The sets that questions are answered from: two that calls choose by their domain, and a default.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let sets = [
        (
            "contoso",
            include_str!("../tests/config/good/everything.toml"),
        ),
        (
            "fabrikam",
            include_str!("../tests/config/overlap/fabrikam.toml"),
        ),
        (
            "default",
            include_str!("../tests/config/good/candidates.toml"),
        ),
        ("levels", include_str!("../tests/config/good/levels.toml")),
    ];
    let entries = sets.into_iter().filter_map(|(name, text)| {
        let set = config::load_str(name, text).set;
        assert!(set.is_some(), "{name} is good");
        set.map(Entry::new)
    });
    Snapshot {
        catalog: Catalog::new(entries.collect(), Some("default")),
        status: BTreeMap::new(),
        directory_fault: None,
    }
});
