//! Messages that have not come whole: how much of them is held, and for how long.
//!
//! What a peer sends of a message is kept until the rest has come. All connections together may
//! have so many octets kept (`partial_octets`); a call beyond that is turned away, and what was kept
//! for it is let go. Nearly all messages come whole, and are never seen here.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::{failure::Failure, line::Line, wire::PREFIX};
use crate::telemetry::Limit;

/// The body of a request, whose messages may come in parts.
#[derive(Debug)]
pub(super) struct Partial<B> {
    body: B,
    line: Arc<Line>,
    messages: Messages,
    /// What is held of a message counts.
    counts: bool,
    held: usize,
    /// When a message that has begun must have come; none where none has.
    late: Option<Pin<Box<Sleep>>>,
}

impl<B> Partial<B> {
    /// A body of a call that came over `line`; of those about health little is held, and never
    /// counted: no limit of others' calls concerns them.
    pub(super) fn new(body: B, line: Arc<Line>, health: bool) -> Self {
        let most = if health {
            HEALTH_OCTETS
        } else {
            line.bounds().limits().message_octets
        };
        Self {
            body,
            line,
            messages: Messages::of_at_most(most),
            counts: !health,
            held: 0,
            late: None,
        }
    }

    /// Takes note of octets that came.
    fn came(&mut self, octets: &[u8]) -> Result<(), Status> {
        let Some(begun) = self.messages.pass(octets) else {
            return Err(Status::out_of_range(TOO_LARGE));
        };
        if self.messages.ended() {
            self.late = None;
        }
        if !self.counts {
            return Ok(());
        }
        let (load, most) = (
            self.line.bounds().load(),
            self.line.bounds().limits().partial_octets,
        );
        let more = begun.saturating_sub(self.held);
        if more > 0 && !load.partial_octets.enter_many(more, most) {
            self.let_go();
            return Err(self.line.bounds().turned_away(Limit::PartialOctets));
        }
        load.partial_octets
            .leave_many(self.held.saturating_sub(begun));
        self.held = begun;
        Ok(())
    }

    /// Nothing is held any more.
    fn let_go(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.line.bounds().load().partial_octets.leave_many(held);
    }

    /// Whether a message that has begun has not come in its time.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if !self.messages.has_begun() {
            return false;
        }
        let within = self.line.bounds().limits().message_timeout;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(within)));
        late.as_mut().poll(context).is_ready()
    }
}

impl<B> Drop for Partial<B> {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl<B> Body for Partial<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let fault = frame.data_ref().and_then(|octets| this.came(octets).err());
                Poll::Ready(Some(fault.map_or(Ok(frame), |fault| Err(fault.into()))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.is_late(context) => {
                this.let_go();
                let late = Status::from(Failure::message_late());
                Poll::Ready(Some(Err(late.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Finds where messages begin and end in octets that come in any parts.
#[derive(Debug)]
struct Messages {
    most: usize,
    prefix: [u8; PREFIX],
    /// How many octets have come of a message that has not ended, its prefix included.
    begun: usize,
    /// How many it lacks, once its prefix is there.
    lacks: usize,
    /// One has ended among the octets that came last.
    ended: bool,
}

impl Messages {
    /// Messages of at most so many octets.
    fn of_at_most(most: usize) -> Self {
        Self {
            most,
            prefix: [0; PREFIX],
            begun: 0,
            lacks: 0,
            ended: false,
        }
    }

    /// Sees these octets go by: how many have come of a message that has not ended; none where one
    /// says that it is too large.
    fn pass(&mut self, mut octets: &[u8]) -> Option<usize> {
        self.ended = false;
        while !octets.is_empty() {
            if self.begun < PREFIX {
                let (part, rest) = octets.split_at((PREFIX - self.begun).min(octets.len()));
                for (to, octet) in self.prefix.iter_mut().skip(self.begun).zip(part) {
                    *to = *octet;
                }
                self.begun += part.len();
                octets = rest;
                if self.begun < PREFIX {
                    break;
                }
                let [_, length @ ..] = self.prefix;
                self.lacks = u32::from_be_bytes(length) as usize;
                if self.lacks > self.most {
                    return None;
                }
            }
            let (part, rest) = octets.split_at(self.lacks.min(octets.len()));
            self.lacks -= part.len();
            self.begun += part.len();
            octets = rest;
            if self.lacks == 0 {
                self.begun = 0;
                self.ended = true;
            }
        }
        Some(self.begun)
    }

    /// Whether a message has begun and not ended.
    fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// Whether one has ended among the octets that came last.
    fn ended(&self) -> bool {
        self.ended
    }
}

/// More than a question about health has: the name of a service.
const HEALTH_OCTETS: usize = 1024;

const TOO_LARGE: &str = "the message is larger than `message_octets` of `[server.limits]`";

#[cfg(test)]
mod tests {
    use super::*;

    fn message(octets: usize) -> Vec<u8> {
        let length = u32::try_from(octets).unwrap().to_be_bytes();
        [&[0], &length[..], &vec![7; octets]].concat()
    }

    #[test]
    fn messages_are_found_however_octets_come() {
        let sizes = [0, 1, 300, 70_000, 0, 5];
        let all = sizes.map(message).concat();
        for part in [1, 3, 5, 6, 99, all.len()] {
            let (mut messages, mut at, mut ends) = (Messages::of_at_most(70_000), 0, Vec::new());
            let mut whole = 0;
            for size in sizes {
                whole += PREFIX + size;
                ends.push(whole);
            }
            for octets in all.chunks(part) {
                at += octets.len();
                let before = ends.iter().rfind(|end| **end <= at).unwrap_or(&0);
                assert_eq!(messages.pass(octets), Some(at - before), "{part} {at}");
                assert_eq!(messages.has_begun(), at > *before);
            }
        }
    }

    #[test]
    fn what_is_too_large_is_known_by_its_prefix() {
        let mut messages = Messages::of_at_most(10);
        assert_eq!(messages.pass(&message(10)), Some(0));
        assert_eq!(messages.pass(&message(11)[..4]), Some(4));
        assert_eq!(messages.pass(&message(11)[4..5]), None);
    }
}
