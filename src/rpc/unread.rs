//! What a call was answered without: octets of its message that are still under way are taken in.
//!
//! Why: h2 resets a stream whose message is dropped, remembers about fifty such streams, and takes
//! what comes late on any other for a fault of its peer, whose connection it cuts after a thousand.
//! The peer of a call that is refused by its headers alone has done nothing wrong.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    rt::Executor as _,
};
use hyper_util::rt::TokioExecutor;
use tokio::{runtime::Handle, time::timeout};

/// The message of a call; dropped before its end, it is read to its end all the same, within bounds.
#[derive(Debug)]
pub(super) struct Unread(Option<Incoming>);

impl From<Incoming> for Unread {
    fn from(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        // No runtime: its core has ended, and the connection with it.
        let (Some(rest), Ok(_)) = (rest, Handle::try_current()) else {
            return;
        };
        TokioExecutor::new().execute(timeout(WITHIN, async {
            let mut rest = Limited::new(rest, OCTETS);
            while let Some(Ok(_)) = rest.frame().await {}
        }));
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.0.as_ref().map(Body::size_hint);
        hint.unwrap_or(SizeHint::with_exact(0))
    }
}

/// How long an answered peer may go on, and with how many octets, before its stream is reset: it
/// learns of the answer at once, and has little under way by then.
const WITHIN: Duration = Duration::from_secs(1);
const OCTETS: usize = 64 * 1024;
