//! The spans of calls that a limit turned away.

use postern::callers::TokenHash;
use postern::rpc::pb;
use tonic::{Code, Request};

use super::receiver::Receiver;
use super::{AT_ONCE, PARENT, Span, StatusCode, TRACE, attribute, gateway, hex, in_trace};
use crate::running::{Running, block_on, demands_tls, plaintext};

const TOKEN: &str = "geheimnis-4711-geheimnis-4711";

/// Whom everything below is asked by.
fn known<T>(mut request: Request<T>) -> Request<T> {
    let token = format!("Bearer {TOKEN}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

/// A server for one call at a time, and for these callers.
fn serve(receiver: &Receiver, callers: &str) -> Running {
    let endpoint = receiver.endpoint();
    let settings =
        format!("{callers}[tracing]\nendpoint = \"{endpoint}\"\n[server.limits]\ncalls = 1\n");
    Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE)
}

/// Asks while a stream takes the only place.
fn turned_away(running: &Running, questions: Vec<Request<pb::CheckInboundRequest>>) {
    block_on(async {
        let mut gateway = gateway(running).await;
        let stream = known(Request::new(tokio_stream::pending()));
        let held = gateway.check_stream(stream).await.unwrap();
        for question in questions {
            let refused = gateway.check_inbound(question).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        }
        drop(held);
    });
}

fn assert_turned_away(span: &Span) {
    let told = |name: &str| attribute(&span.attributes, name);
    assert_eq!(span.name, "postern.v1.PolicyDecisionService/CheckInbound");
    assert_eq!(told("rpc.response.status_code").unwrap(), "UNAVAILABLE");
    assert_eq!(told("error.type").unwrap(), "UNAVAILABLE");
    assert_eq!(told("postern.limit").unwrap(), "calls");
    assert_eq!(told("network.peer.address").unwrap(), "127.0.0.1");
    assert_eq!(told("postern.verdict"), None);
    assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
}

#[test]
fn a_call_that_is_turned_away_has_its_span() {
    let receiver = Receiver::new();
    let running = serve(&receiver, "");
    let unsampled = in_trace(plaintext(), "00");
    turned_away(
        &running,
        vec![
            unsampled,
            in_trace(plaintext(), "01"),
            Request::new(plaintext()),
        ],
    );
    // The stream's own comes last.
    let spans = receiver.spans(3);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    for span in &spans[..2] {
        assert_turned_away(span);
    }
    assert_eq!(
        (hex(&spans[0].trace_id), hex(&spans[0].parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    assert!(spans[1].parent_span_id.is_empty());
}

#[test]
fn a_stranger_that_is_turned_away_does_not_say_what_is_traced() {
    let receiver = Receiver::new();
    let folder = tempfile::TempDir::new().unwrap();
    let callers = folder.path().join("callers.toml");
    let hash = TokenHash::of(TOKEN.as_bytes());
    let text = format!(
        "version = 1\n[[callers]]\nname = \"contoso-edge\"\ntoken_sha256 = [\"{hash}\"]\n\
         sets = [\"*\"]\n[end]\n"
    );
    std::fs::write(&callers, text).unwrap();
    let running = serve(&receiver, &format!("[callers]\nfile = {callers:?}\n"));
    let stranger = in_trace(plaintext(), "01");
    turned_away(&running, vec![stranger, known(in_trace(plaintext(), "01"))]);
    let spans = receiver.spans(3);
    for span in &spans[..2] {
        assert_turned_away(span);
    }
    let of = |span: &Span| {
        (
            hex(&span.parent_span_id),
            attribute(&span.attributes, "postern.caller"),
        )
    };
    assert_eq!(of(&spans[0]), (String::new(), None));
    assert_eq!(of(&spans[1]), (PARENT.into(), Some("contoso-edge".into())));
}
