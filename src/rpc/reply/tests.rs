use super::*;
use crate::{
    mail::{CertificateName, Fingerprint, TlsVersion},
    policy::{
        connector::{Host, SmartHost},
        decision::Action,
    },
};

#[test]
fn enums_keep_their_names() {
    for reason in Reason::ALL {
        let name = pb::Reason::from(reason).as_str_name();
        assert_eq!(name.strip_prefix("REASON_"), Some(reason.as_str()));
    }
    for verdict in [
        Verdict::Accept,
        Verdict::Conditional,
        Verdict::Defer,
        Verdict::Reject,
    ] {
        let name = pb::Verdict::from(verdict).as_str_name();
        assert_eq!(name.strip_prefix("VERDICT_"), Some(verdict.as_str()));
    }
    for by in [
        MatchedBy::ClientIp,
        MatchedBy::RecipientDomain,
        MatchedBy::Rule,
        MatchedBy::SenderDomain,
    ] {
        let name = pb::MatchedBy::from(by).as_str_name();
        assert_eq!(name.strip_prefix("MATCHED_BY_"), Some(by.as_str()));
    }
    for level in [
        TlsLevel::Opportunistic,
        TlsLevel::Encrypt,
        TlsLevel::Trusted,
        TlsLevel::Domain,
    ] {
        let name = pb::TlsLevel::from(level).as_str_name();
        assert_eq!(
            name.strip_prefix("TLS_LEVEL_"),
            Some(&*level.as_str().to_uppercase())
        );
    }
    for (by, name) in [
        (SelectedBy::AcceptedDomain, "SELECTED_BY_ACCEPTED_DOMAIN"),
        (SelectedBy::Default, "SELECTED_BY_DEFAULT"),
        (SelectedBy::Name, "SELECTED_BY_NAME"),
    ] {
        assert_eq!(pb::SelectedBy::from(by).as_str_name(), name);
    }
}

#[test]
fn every_part_of_a_decision_is_kept() {
    let rejection = Rejection {
        reason: Reason::TlsRequired,
        connector: Some("ContosoBank"),
        message: "TLS is demanded".into(),
        expected: vec!["e".into()],
        observed: vec!["o".into()],
    };
    let bank = Matched {
        name: "ContosoBank",
        by: MatchedBy::SenderDomain,
        value: "*.x.example",
    };
    let filter = Matched {
        name: "Filter",
        by: MatchedBy::ClientIp,
        value: "192.0.2.0/24",
    };
    let decision = Decision {
        verdict: Verdict::from(Action::Reject),
        connector: Some(bank),
        also_matched: Some(filter),
        rejections: vec![rejection.clone()],
        reply: Some(Reply {
            code: 530,
            enhanced: "5.7.0",
            text: "use TLS".into(),
        }),
        if_enforced: Some(Box::new(Report {
            verdict: Verdict::Defer,
            connector: Some(filter),
            rejections: vec![rejection],
        })),
        delivery: Some(Delivery::BY_MX),
    };
    let rejection = pb::Rejection {
        reason: pb::Reason::TlsRequired.into(),
        connector: "ContosoBank".into(),
        message: "TLS is demanded".into(),
        expected: vec!["e".into()],
        observed: vec!["o".into()],
    };
    let bank = pb::MatchedConnector {
        name: "ContosoBank".into(),
        matched_by: pb::MatchedBy::SenderDomain.into(),
        matched_value: "*.x.example".into(),
    };
    let filter = pb::MatchedConnector {
        name: "Filter".into(),
        matched_by: pb::MatchedBy::ClientIp.into(),
        matched_value: "192.0.2.0/24".into(),
    };
    let reply = pb::SmtpReply {
        code: 530,
        enhanced_code: "5.7.0".into(),
        text: "use TLS".into(),
    };
    let report = pb::Report {
        verdict: pb::Verdict::Defer.into(),
        connector: Some(filter.clone()),
        rejections: vec![rejection.clone()],
    };
    assert_eq!(
        inbound(decision.clone(), None),
        pb::CheckInboundResponse {
            verdict: pb::Verdict::Reject.into(),
            connector: Some(bank.clone()),
            also_matched: Some(filter),
            rejections: vec![rejection.clone()],
            smtp_reply: Some(reply.clone()),
            if_enforced: Some(report.clone()),
            revision: None,
        }
    );
    assert_eq!(
        outbound(decision, None),
        pb::CheckOutboundResponse {
            verdict: pb::Verdict::Reject.into(),
            connector: Some(bank),
            rejections: vec![rejection],
            smtp_reply: Some(reply),
            if_enforced: Some(report),
            revision: None,
            delivery: Some(pb::Delivery {
                route: Some(pb::delivery::Route::Mx(pb::MxRoute {})),
                tls: Some(pb::TlsRequirement {
                    level: pb::TlsLevel::Opportunistic.into(),
                    ..Default::default()
                }),
            }),
        }
    );
}

#[test]
fn a_delivery_is_canonical() {
    let host = SmartHost {
        host: Host::Name("mail.x.example".parse().unwrap()),
        port: 2525,
    };
    let name: CertificateName = "*.X.example".parse().unwrap();
    let pin: Fingerprint = "AB".repeat(32).parse().unwrap();
    let delivery = Delivery {
        smart_hosts: &[Written::new(host, "Mail.X.example:2525")],
        level: TlsLevel::Domain,
        names: &[Written::new(name, "*.X.example")],
        min_version: Some(TlsVersion::Tls1_2),
        fingerprints: &[Written::new(pin, &"AB".repeat(32))],
    };
    let expected = pb::Delivery {
        route: Some(pb::delivery::Route::SmartHosts(pb::SmartHosts {
            hosts: vec![pb::SmartHost {
                host: "mail.x.example".into(),
                port: 2525,
            }],
        })),
        tls: Some(pb::TlsRequirement {
            level: pb::TlsLevel::Domain.into(),
            names: vec!["*.x.example".into()],
            min_version: "TLSv1.2".into(),
            fingerprints: vec!["ab".repeat(32)],
        }),
    };
    assert_eq!(pb::Delivery::from(&delivery), expected);
}
