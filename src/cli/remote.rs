//! Questions to a running service.

use std::{future::Future, time::Duration};

use tonic::{Request, Response, Status};

use super::refused::Refused;
use crate::rpc::{Failure, client::Client, pb};

/// What the service at `server` explains about a sending server.
pub(crate) fn explain_inbound(
    server: &str,
    question: pb::ExplainInboundRequest,
) -> Result<pb::ExplainInboundResponse, Refused> {
    asked(server, async |mut client| {
        client.explanations.explain_inbound(timed(question)).await
    })
}

/// What the service at `server` explains about a next hop.
pub(crate) fn explain_outbound(
    server: &str,
    question: pb::ExplainOutboundRequest,
) -> Result<pb::ExplainOutboundResponse, Refused> {
    asked(server, async |mut client| {
        client.explanations.explain_outbound(timed(question)).await
    })
}

fn asked<T>(
    server: &str,
    ask: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
) -> Result<T, Refused> {
    waiting(async {
        let client = Client::dial(server).await?;
        let answer = ask(client).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| Failure::from(&status).into())
    })
}

fn waiting<T>(work: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        let message = format!("no runtime for the call: {error}");
        Refused::from(Failure::from(&Status::unavailable(message)))
    })?;
    runtime.block_on(work)
}

fn timed<T>(question: T) -> Request<T> {
    let mut request = Request::new(question);
    request.set_timeout(TIMEOUT);
    request
}

const TIMEOUT: Duration = Duration::from_secs(10);
