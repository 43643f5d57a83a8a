//! The answers of a `CheckStream`.
//!
//! They are pulled: a question is read when the transport takes another answer, and decided at
//! once. The transport takes none while the peer's HTTP/2 window is full, so that a peer that does
//! not read its answers is not read either. At most [`BATCH`] answers are given before they must
//! be taken: no more questions of a stream are ever in work.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::Bytes;
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, Streaming};

use super::{
    failure::{Failure, code_name},
    gate::Asking,
    service::Policy,
};
use crate::telemetry::Call;

/// The answers to the questions of one stream.
pub(super) struct Answers {
    policy: Policy,
    asking: Asking,
    questions: Streaming<Bytes>,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The caller's; none: it waits for ever.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Counts the stream as one call; none once it has ended.
    call: Option<Call>,
    /// How many answers were given since the transport last had to take them.
    given: usize,
}

impl Answers {
    /// Answers `questions` of the call `asking` until they end, the connection is to end, or
    /// `within` has passed.
    pub(super) fn new(
        policy: Policy,
        asking: Asking,
        questions: Streaming<Bytes>,
        ending: CancellationToken,
        within: Option<Duration>,
    ) -> Self {
        let call = policy.stream();
        Self {
            policy,
            asking,
            questions,
            ending: Box::pin(ending.cancelled_owned()),
            deadline: within.map(sleep).map(Box::pin),
            call: Some(call),
            given: 0,
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(call) = self.call.take() {
            call.finish(code_name(code));
            if let Some(span) = &self.asking.span {
                span.finish(code_name(code));
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> Status {
        self.end(failure.code());
        failure.into()
    }
}

impl Stream for Answers {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.call.is_none() {
            return Poll::Ready(None);
        }
        // Why first: every question that was read has been answered, and no more are read.
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Some(Err(self.fail(Failure::deadline_exceeded()))));
        }
        if self.ending.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.fail(Failure::draining()))));
        }
        if self.given == BATCH {
            self.given = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match Pin::new(&mut self.questions).poll_next(context) {
            Poll::Pending => {
                self.given = 0;
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.end(Code::Ok);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(question))) => {
                self.given += 1;
                let Self { policy, asking, .. } = &mut *self;
                let still = policy.still(asking);
                let answer = still.and_then(|()| policy.check_in_stream(asking, &question));
                Poll::Ready(Some(answer.map_err(|failure| self.fail(failure))))
            }
            Poll::Ready(Some(Err(status))) => {
                Poll::Ready(Some(Err(self.fail(Failure::of_transport(&status)))))
            }
        }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers")
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

/// How many questions of a stream may be in work.
const BATCH: usize = 256;

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::{Wake, Waker},
    };

    use prost::Message as _;
    use tonic::codec::Codec as _;

    use super::*;
    use crate::{
        live::{Live, Snapshot},
        policy::Catalog,
        rpc::{
            decisions::Octets,
            gate::Gate,
            pb,
            peer::{Origin, Peer},
        },
        telemetry::Metrics,
    };

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A stream whose questions, all of one id and without a body, have come already.
    fn answers(questions: usize) -> Answers {
        let empty = Snapshot {
            catalog: Catalog::new(Vec::new(), None),
            status: BTreeMap::new(),
            directory_fault: None,
        };
        let live = Arc::new(Live::new(empty));
        let policy = Policy::new(live, Gate::default(), Metrics::new());
        let frames = "\0\0\0\0\x02\x08\x07".repeat(questions);
        let questions = Streaming::new_request(Octets.decoder(), frames, None, None);
        let origin = Origin::Network(None);
        let asking = Asking::anybody(Peer::plaintext(origin));
        let ending = CancellationToken::new();
        Answers::new(policy, asking, questions, ending, None)
    }

    #[test]
    fn lets_the_transport_take_each_batch() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut answers = answers(BATCH + 1);
        for _ in 0..BATCH {
            match Pin::new(&mut answers).poll_next(&mut context) {
                Poll::Ready(Some(Ok(answer))) => {
                    assert_eq!(pb::CheckStreamResponse::decode(answer).unwrap().id, 7);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(!woken.0.load(Ordering::Relaxed));
        assert!(Pin::new(&mut answers).poll_next(&mut context).is_pending());
        assert!(woken.0.load(Ordering::Relaxed));
        let last = Pin::new(&mut answers).poll_next(&mut context);
        assert!(matches!(last, Poll::Ready(Some(Ok(_)))), "{last:?}");
        let end = Pin::new(&mut answers).poll_next(&mut context);
        assert!(matches!(end, Poll::Ready(None)), "{end:?}");
    }
}
