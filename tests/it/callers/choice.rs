//! Which of its sets answers a caller that names none; and that all others are none, to the octet.

use bytes::Bytes;
use postern::rpc::pb::{check_stream_request::Question, check_stream_response::Answer};
use prost::Message;
use tokio_stream::StreamExt as _;

use super::*;
use crate::running::PATIENCE;

const DENIED: &str = "CONNECTOR_SET_DENIED";

/// The sets of a caller, the domain that mail is for, and the set that answers.
type Case<'a> = (&'a str, &'a str, Result<&'a str, ()>);

#[test]
fn accepted_domains_then_the_default_then_the_only_one() {
    // `gone` may be asked, and is not there.
    let callers = [
        ("with-default", &["adatum", "contoso"][..]),
        ("without-default", &["contoso", "fabrikam"]),
        ("one", &["contoso"]),
        ("one-and-gone", &["fabrikam", "gone"]),
        ("gone", &["gone"]),
        ("default-alone", &["adatum"]),
        ("all", &["*"]),
    ];
    let may = "may = [\"check\", \"explain\"]";
    let callers: Vec<_> = callers
        .iter()
        .map(|(name, sets)| caller(name, sets, may))
        .collect();
    let settings = "[connectors]\ndefault_set = \"adatum\"\n";
    let running = serve_with(Some(&file(&callers)), settings);
    let cases: [Case<'_>; 20] = [
        // Its accepted domains come first, before the default.
        ("with-default", "contoso", Ok("contoso")),
        ("with-default", "adatum", Ok("adatum")),
        // The default is one of its own: another's domain is as nobody's.
        ("with-default", "fabrikam", Ok("adatum")),
        ("with-default", "nowhere", Ok("adatum")),
        // The default is another's: it is none.
        ("without-default", "fabrikam", Ok("fabrikam")),
        ("without-default", "adatum", Err(())),
        ("without-default", "nowhere", Err(())),
        // Its only one, whatever the domain.
        ("one", "contoso", Ok("contoso")),
        ("one", "adatum", Ok("contoso")),
        ("one", "nowhere", Ok("contoso")),
        ("one-and-gone", "contoso", Ok("fabrikam")),
        ("one-and-gone", "nowhere", Ok("fabrikam")),
        ("gone", "adatum", Err(())),
        ("gone", "nowhere", Err(())),
        ("default-alone", "adatum", Ok("adatum")),
        ("default-alone", "nowhere", Ok("adatum")),
        ("all", "contoso", Ok("contoso")),
        ("all", "fabrikam", Ok("fabrikam")),
        ("all", "adatum", Ok("adatum")),
        ("all", "nowhere", Ok("adatum")),
    ];
    block_on(async {
        let mut client = running.client().await;
        for (caller, domain, expected) in cases {
            let seen = chosen(&mut client, caller, &format!("bob@{domain}.com")).await;
            let expected = expected.map_err(|()| (Code::PermissionDenied, DENIED.to_owned()));
            let expected = expected.map(str::to_owned);
            for (way, seen) in seen {
                assert_eq!(seen, expected, "{way}: {caller} {domain}");
            }
        }
    });
}

/// The set that answers mail of one's own `address`, by every way to ask.
async fn chosen(
    client: &mut Client,
    caller: &str,
    address: &str,
) -> Vec<(&'static str, Result<String, (Code, String)>)> {
    fn told(answer: Result<Option<pb::SetRevision>, Status>) -> Result<String, (Code, String)> {
        match answer {
            Ok(revision) => Ok(revision.unwrap().connector_set),
            Err(status) => Err(refusal::<()>(Err(status))),
        }
    }
    let Client {
        decisions,
        explanations,
        ..
    } = client;
    let (to_us, from_us) = (inbound("", address), outbound("", address));
    let checked = decisions.check_inbound(by(caller, to_us.clone())).await;
    let sent = decisions.check_outbound(by(caller, from_us.clone())).await;
    let question = pb::ExplainInboundRequest {
        facts: Some(to_us.clone()),
        ..pb::ExplainInboundRequest::default()
    };
    let explained = explanations.explain_inbound(by(caller, question)).await;
    let question = pb::ExplainOutboundRequest {
        facts: Some(from_us.clone()),
        ..pb::ExplainOutboundRequest::default()
    };
    let explained_sent = explanations.explain_outbound(by(caller, question)).await;
    let questions = [Question::Inbound(to_us), Question::Outbound(from_us)];
    let questions = questions.map(|question| pb::CheckStreamRequest {
        id: 1,
        question: Some(question),
    });
    let stream = by(caller, tokio_stream::iter(questions));
    let stream = decisions.check_stream(stream).await.unwrap().into_inner();
    let streamed: Vec<_> = stream.collect().await;
    let mut all = vec![
        (
            "CheckInbound",
            told(checked.map(|it| it.into_inner().revision)),
        ),
        (
            "CheckOutbound",
            told(sent.map(|it| it.into_inner().revision)),
        ),
        ("ExplainInbound", {
            told(explained.map(|it| it.into_inner().decision.unwrap().revision))
        }),
        ("ExplainOutbound", {
            told(explained_sent.map(|it| it.into_inner().decision.unwrap().revision))
        }),
    ];
    for answer in streamed {
        all.push((
            "CheckStream",
            match answer.unwrap().answer.unwrap() {
                Answer::Inbound(answer) => told(Ok(answer.revision)),
                Answer::Outbound(answer) => told(Ok(answer.revision)),
                Answer::Failure(failure) => {
                    assert_eq!(failure.code, i32::from(Code::PermissionDenied));
                    Err((Code::PermissionDenied, DENIED.to_owned()))
                }
            },
        ));
    }
    assert_eq!(all.len(), 6);
    all
}

/// All that a peer gets for a call, as it comes.
#[derive(Debug, PartialEq)]
struct Octets {
    status: http::StatusCode,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

/// A caller's connection, on which calls are made octet by octet.
struct Line {
    sender: h2::client::SendRequest<Bytes>,
    caller: &'static str,
    _driver: tokio::task::JoinSet<Result<(), h2::Error>>,
}

impl Line {
    async fn dial(running: &Running, caller: &'static str) -> Self {
        let tcp = tokio::net::TcpStream::connect(running.listen).await;
        let (sender, connection) = h2::client::handshake(tcp.unwrap()).await.unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        Self {
            sender,
            caller,
            _driver: driver,
        }
    }

    async fn ask(&mut self, method: &str, message: &impl Message) -> Octets {
        let request = http::Request::post(format!("http://postern/postern.v1.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", token(self.caller)))
            .body(())
            .unwrap();
        self.sender = self.sender.clone().ready().await.unwrap();
        let (answer, mut body) = self.sender.send_request(request, false).unwrap();
        let message = message.encode_to_vec();
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        body.send_data(framed.into(), true).unwrap();
        let whole = async {
            let (head, mut body) = answer.await.unwrap().into_parts();
            let mut octets = Vec::new();
            while let Some(part) = body.data().await {
                let part = part.unwrap();
                body.flow_control().release_capacity(part.len()).unwrap();
                octets.extend(part);
            }
            let trailers = body.trailers().await.unwrap().unwrap_or_default();
            Octets {
                status: head.status,
                headers: fields(&head.headers),
                body: octets,
                trailers: fields(&trailers),
            }
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap()
    }
}

/// All but the time of day.
fn fields(map: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let fields = map.iter().filter(|(name, _)| *name != http::header::DATE);
    fields
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

#[test]
fn a_set_that_is_anothers_is_one_that_is_not_there_octet_for_octet() {
    let may = "may = [\"check\", \"explain\"]";
    let running = serve(&[caller("two", &["contoso", "adatum"], may)]);
    block_on(async {
        let mut line = Line::dial(&running, "two").await;
        // A message of this length takes the general way.
        for helo in ["mx.contosobank.com".to_owned(), "x".repeat(40_000)] {
            for (name, other) in [("fabrikam", "nowhere!"), ("", "")] {
                let mut seen: Vec<(&str, Octets)> = Vec::new();
                for name in [name, other] {
                    // By name, whatever the recipient; and by the domain, naming none.
                    let domains = if name.is_empty() {
                        ["fabrikam.com", "nowhere1.com"]
                    } else {
                        ["contoso.com", "fabrikam.com"]
                    };
                    for domain in domains {
                        let address = format!("bob@{domain}");
                        let to_us = pb::CheckInboundRequest {
                            helo: helo.clone(),
                            ..inbound(name, &address)
                        };
                        let decisions = "PolicyDecisionService";
                        let explanations = "PolicyExplanationService";
                        let method = format!("{decisions}/CheckInbound");
                        seen.push(("CheckInbound", line.ask(&method, &to_us).await));
                        let method = format!("{explanations}/ExplainInbound");
                        let question = pb::ExplainInboundRequest {
                            facts: Some(to_us),
                            connectors: vec!["fabrikam's own".into()],
                        };
                        seen.push(("ExplainInbound", line.ask(&method, &question).await));
                        let from_us = outbound(name, &address);
                        let method = format!("{decisions}/CheckOutbound");
                        seen.push(("CheckOutbound", line.ask(&method, &from_us).await));
                        let method = format!("{explanations}/ExplainOutbound");
                        let question = pb::ExplainOutboundRequest {
                            facts: Some(from_us),
                            connectors: vec!["fabrikam's route".into()],
                        };
                        seen.push(("ExplainOutbound", line.ask(&method, &question).await));
                    }
                }
                assert_eq!(seen.len(), 16);
                let (_, first) = &seen[0];
                let said = format!("{first:?}");
                assert!(
                    first.body.is_empty() && said.contains("grpc-status"),
                    "{said}"
                );
                for (way, octets) in &seen {
                    assert_eq!(octets, first, "{way}");
                }
            }
        }
    });
}
