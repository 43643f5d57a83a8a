//! A server of the same contract that answers without deciding: what the transport alone costs.

use std::{error::Error, io::Write as _, net::SocketAddr, pin::Pin};

use postern::rpc::pb::{
    self, check_stream_request::Question, check_stream_response::Answer,
    policy_decision_service_server::PolicyDecisionService,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// What a server that does not decide is told when it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many octets its answer to `CheckInbound` has.
    pub inbound: usize,
    /// How many octets its answer to `CheckOutbound` has.
    pub outbound: usize,
}

impl Options {
    /// Reads `--listen ADDRESS --inbound OCTETS --outbound OCTETS`, each of which may be left out.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            inbound: 160,
            outbound: 160,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("`{name}` needs a value; {USAGE}"))?;
            match name.as_str() {
                "--listen" => options.listen = value.parse()?,
                "--inbound" => options.inbound = value.parse()?,
                "--outbound" => options.outbound = value.parse()?,
                _ => return Err(format!("`{name}` is unknown; {USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// Listens, and prints the address on standard output.
    pub async fn listener(self) -> Result<TcpListener, Box<dyn Error>> {
        let listener = TcpListener::bind(self.listen).await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        Ok(listener)
    }

    /// The service.
    pub fn service(self) -> Noop {
        Noop {
            inbound: inbound(self.inbound),
            outbound: outbound(self.outbound),
        }
    }
}

const USAGE: &str = "usage: [--listen ADDRESS] [--inbound OCTETS] [--outbound OCTETS]";

/// Answers every question with the same ACCEPT.
#[derive(Clone, Debug)]
pub struct Noop {
    inbound: pb::CheckInboundResponse,
    outbound: pb::CheckOutboundResponse,
}

impl Noop {
    fn in_stream(&self, request: &pb::CheckStreamRequest) -> pb::CheckStreamResponse {
        let answer = request.question.as_ref().map(|question| match question {
            Question::Inbound(_) => Answer::Inbound(self.inbound.clone()),
            Question::Outbound(_) => Answer::Outbound(self.outbound.clone()),
        });
        pb::CheckStreamResponse {
            id: request.id,
            answer,
        }
    }
}

#[tonic::async_trait]
impl PolicyDecisionService for Noop {
    type CheckStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::CheckStreamResponse, Status>> + Send>>;

    async fn check_inbound(
        &self,
        _: Request<pb::CheckInboundRequest>,
    ) -> Result<Response<pb::CheckInboundResponse>, Status> {
        Ok(Response::new(self.inbound.clone()))
    }

    async fn check_outbound(
        &self,
        _: Request<pb::CheckOutboundRequest>,
    ) -> Result<Response<pb::CheckOutboundResponse>, Status> {
        Ok(Response::new(self.outbound.clone()))
    }

    async fn check_stream(
        &self,
        request: Request<Streaming<pb::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        let noop = self.clone();
        let answers = request
            .into_inner()
            .map(move |question| question.map(|question| noop.in_stream(&question)));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// An ACCEPT of so many octets, or as near to it as it can be.
fn inbound(octets: usize) -> pb::CheckInboundResponse {
    let mut answer = pb::CheckInboundResponse {
        verdict: pb::Verdict::Accept.into(),
        connector: Some(connector(pb::MatchedBy::SenderDomain, "contosobank.com")),
        also_matched: Some(connector(pb::MatchedBy::ClientIp, "203.0.113.0/24")),
        revision: Some(revision()),
        ..pb::CheckInboundResponse::default()
    };
    if answer.encoded_len() > octets {
        answer.also_matched = None;
    }
    if answer.encoded_len() > octets {
        answer.connector = None;
    }
    while answer.encoded_len() < octets {
        let Some(connector) = &mut answer.connector else {
            break;
        };
        connector.name.push('x');
    }
    answer
}

/// The same for mail that goes out.
fn outbound(octets: usize) -> pb::CheckOutboundResponse {
    let mut answer = pb::CheckOutboundResponse {
        verdict: pb::Verdict::Accept.into(),
        connector: Some(connector(pb::MatchedBy::RecipientDomain, "contosobank.com")),
        revision: Some(revision()),
        ..pb::CheckOutboundResponse::default()
    };
    if answer.encoded_len() > octets {
        answer.connector = None;
    }
    while answer.encoded_len() < octets {
        let Some(connector) = &mut answer.connector else {
            break;
        };
        connector.name.push('x');
    }
    answer
}

fn connector(by: pb::MatchedBy, value: &str) -> pb::MatchedConnector {
    pb::MatchedConnector {
        name: "Contoso-Bank-00042".to_owned(),
        matched_by: by.into(),
        matched_value: value.to_owned(),
    }
}

fn revision() -> pb::SetRevision {
    pb::SetRevision {
        connector_set: "generated".to_owned(),
        digest: "62383619f3005bfb".to_owned(),
        selected_by: pb::SelectedBy::AcceptedDomain.into(),
        stale: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_size_that_is_asked_for() {
        for octets in [130, 160, 161, 200, 255, 300, 900] {
            assert!(inbound(octets).encoded_len().abs_diff(octets) <= 1);
            assert!(outbound(octets).encoded_len().abs_diff(octets) <= 1);
        }
        assert!(inbound(60).encoded_len() <= 60);
    }

    #[test]
    fn reads_its_options() {
        let read = |line: &str| Options::read(line.split(' ').map(str::to_owned));
        let options = read("--listen 127.0.0.1:7 --inbound 99").unwrap();
        assert_eq!((options.listen.port(), options.inbound), (7, 99));
        assert!(read("--listen").is_err());
        assert!(read("--other 1").is_err());
    }
}
