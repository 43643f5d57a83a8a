//! Who may see what operators see.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    serve::IncomingStream,
};
use subtle::{Choice, ConstantTimeEq as _};

use super::{bounded::Bounded, text};
use crate::{
    callers::{TokenHash, bearer},
    telemetry::{Metrics, Seldom},
};

/// Looks for a token where one is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// The hashes of the tokens of which one is needed; none: nobody needs one.
    tokens: Arc<[TokenHash]>,
    metrics: Metrics,
    told: Arc<Seldom>,
}

/// Who is at the other end of an operator's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Visitor {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Guard {
    /// Lets in who has one of `tokens`, where there are any, and counts in `metrics` who has not.
    pub(super) fn new(tokens: &[TokenHash], metrics: Metrics) -> Self {
        if !tokens.is_empty() {
            metrics.show_admin_refused();
        }
        Self {
            tokens: tokens.into(),
            metrics,
            told: Arc::default(),
        }
    }

    /// Counts one that is not let in; the log hears of it once in a second.
    fn refuse(&self, visitor: Option<&ConnectInfo<Visitor>>) {
        self.metrics.admin_refused();
        if let Some(unsaid) = self.told.next() {
            tracing::warn!(
                peer = visitor.map(|ConnectInfo(Visitor(address))| address.to_string()),
                more_before = (unsaid > 0).then_some(unsaid),
                "an operator was refused: a token is needed"
            );
        }
    }

    /// It takes as long whichever token it is, and where it is none.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, second) = (values.next(), values.next());
        let token = value.and_then(|value| bearer(value.as_bytes()));
        let Some(token) = token.filter(|_| second.is_none()) else {
            return self.tokens.is_empty();
        };
        let hash = TokenHash::of(token);
        let known = self
            .tokens
            .iter()
            .fold(Choice::from(0), |known, own| known | own.ct_eq(&hash));
        self.tokens.is_empty() || known.into()
    }
}

/// Answers 401 to who is not let in.
pub(super) async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard.lets_in(request.headers()) {
        return next.run(request).await;
    }
    guard.refuse(request.extensions().get());
    let answer = text(
        StatusCode::UNAUTHORIZED,
        "a token is needed: send the header `authorization: Bearer` with one whose hash is in \
         `token_sha256` of `[admin]` in the settings\n",
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
}
