//! The milter protocol, version 2 to 6, for Sendmail and Postfix: each recipient is asked about
//! when it is given, since a connector may be meant for some recipients only.
//!
//! Nothing is asked at MAIL: an answer without a recipient is either not final, or the one that
//! each recipient would get anyway.

mod facts;
mod frame;
mod macros;
mod negotiation;
mod session;

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tokio_util::sync::CancellationToken;

use self::frame::Frames;
pub use self::{
    frame::Frame,
    session::{Session, Step},
};
use super::{
    Desk,
    answer::{Outcome, Stage},
};
use crate::{
    config::settings::bridge::Milter,
    rpc::pb,
    telemetry::bridge::{Answered, Closed, Protocol},
};

/// Answers one MTA until it leaves, or has to be left.
pub(super) async fn converse<S>(
    stream: S,
    desk: &Desk,
    settings: &Milter,
    drain: &CancellationToken,
) -> Closed
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let Err(closed) = answer(stream, desk, settings, drain).await;
    closed
}

async fn answer<S>(
    stream: S,
    desk: &Desk,
    settings: &Milter,
    drain: &CancellationToken,
) -> Result<Infallible, Closed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut frames = Frames::new(stream);
    let set = settings.connector_set.as_deref();
    let mut session = Session::new(set, settings.header.as_deref());
    let bound = desk.request_timeout();
    loop {
        wait(&mut frames, desk.idle(), &session, drain).await?;
        let frame = in_time(bound, frames.next()).await?;
        let octets = match session.hear(frame) {
            Step::Ask(question) => session.decided(decide(desk, *question).await),
            Step::End(closed) => return Err(closed),
            Step::Say(octets) => octets,
            Step::Silent => continue,
        };
        in_time(bound, frames.say(&octets)).await?;
    }
}

/// Waits until the MTA says something. While the bridge drains, a message that has begun may
/// still come to its end, since an MTA that is left in the middle of one defers it.
async fn wait<S: AsyncRead + AsyncWrite + Unpin>(
    frames: &mut Frames<S>,
    idle: Duration,
    session: &Session,
    drain: &CancellationToken,
) -> Result<(), Closed> {
    let drained = async {
        if session.is_in_message() {
            return std::future::pending().await;
        }
        drain.cancelled().await;
        time::sleep(BETWEEN_MESSAGES).await;
    };
    tokio::select! {
        begins = frames.begins() => begins,
        () = drained => Err(Closed::Drained),
        () = time::sleep(idle) => Err(Closed::Idle),
    }
}

async fn in_time<T>(
    bound: Duration,
    work: impl Future<Output = Result<T, Closed>>,
) -> Result<T, Closed> {
    time::timeout(bound, work)
        .await
        .unwrap_or(Err(Closed::Late))
}

async fn decide(desk: &Desk, question: pb::CheckInboundRequest) -> Outcome {
    let began = Instant::now();
    // Why boxed: most connections wait for their clients, and need no room for a question.
    let outcome = Box::pin(desk.judge(question, Stage::Recipient)).await;
    let answered = match &outcome {
        Outcome::Defer(_) => Answered::Deferred,
        Outcome::Pass { .. } => Answered::Passed,
        Outcome::Refuse(_) => Answered::Refused,
    };
    desk.answered(Protocol::Milter, answered, began.elapsed());
    outcome
}

/// How long a draining bridge waits for the next message of a session, whose client is slower
/// than the MTA: between two messages nothing is lost, but what follows would be deferred.
const BETWEEN_MESSAGES: Duration = Duration::from_secs(1);
