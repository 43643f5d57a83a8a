//! Who may see what operators see.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::{Choice, ConstantTimeEq as _};

use super::text;
use crate::callers::{TokenHash, bearer};

/// The hashes of the tokens of which one is needed; none: nobody needs one.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard(Arc<[TokenHash]>);

impl Guard {
    /// Lets in who has one of `tokens`, where there are any.
    pub(super) fn new(tokens: &[TokenHash]) -> Self {
        Self(tokens.into())
    }

    /// It takes as long whichever token it is, and where it is none.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, second) = (values.next(), values.next());
        let token = value.and_then(|value| bearer(value.as_bytes()));
        let Some(token) = token.filter(|_| second.is_none()) else {
            return self.0.is_empty();
        };
        let hash = TokenHash::of(token);
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |known, own| known | own.ct_eq(&hash));
        self.0.is_empty() || known.into()
    }
}

/// Answers 401 to who is not let in.
pub(super) async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard.lets_in(request.headers()) {
        return next.run(request).await;
    }
    let answer = text(
        StatusCode::UNAUTHORIZED,
        "a token is needed: send the header `authorization: Bearer` with one whose hash is in \
         `token_sha256` of `[admin]` in the settings\n",
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
}
