//! What runs the calls of a connection: a call whose answer is not taken is given up.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::line::Line;
use crate::telemetry::Limit;

/// Runs the calls of one connection.
#[derive(Clone, Debug)]
pub(super) struct Tasks(pub(super) Arc<Line>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let line = &self.0;
        // Why asked here: the transport hands each call over right after it was let in, and what
        // it hands over no longer says which one it is.
        if line.last_call_lasts() {
            return TokioExecutor::new().execute(call);
        }
        // A question may take this long to come, and its answer as long again to be taken.
        let most = line.bounds().limits().message_timeout * 2;
        let bounds = line.bounds().clone();
        TokioExecutor::new().execute(async move {
            let mut call = pin!(call);
            // Why not at once: nearly all are answered here, without a timer.
            let done = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
            if !done && timeout(most, call).await.is_err() {
                bounds.shed(Limit::MessageTimeout);
            }
        });
    }
}
