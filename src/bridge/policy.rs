//! Postfix policy delegation, which Exim speaks by `${readsocket}`, too.
//!
//! Every recipient is asked about afresh, and nothing is kept but what one message's questions must
//! know of each other: an answer depends on the recipient, a question costs a fraction of a
//! millisecond, and an edit of the connectors holds from the next question on.

mod request;

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::request::State;
pub use self::request::{LONGEST, Request, end};
use super::{
    Desk,
    answer::{Outcome, Stage},
    facts::plain_text,
};
use crate::{
    config::settings::bridge::Policy,
    telemetry::bridge::{Answered, Closed, Protocol},
};

/// Answers what comes over `stream` until the peer leaves, has to be cut, or `drain` is cancelled
/// and no question is in hand.
pub(super) async fn converse<S>(
    mut stream: S,
    desk: &Desk,
    settings: &Policy,
    drain: &CancellationToken,
) -> Closed
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut message = Message::default();
    loop {
        // Why so little: hundreds of connections wait here.
        let mut octets = Vec::with_capacity(64);
        tokio::select! {
            biased;
            begun = timeout(desk.idle(), stream.read_buf(&mut octets)) => match begun {
                Ok(Ok(0) | Err(_)) => return Closed::Peer,
                Ok(Ok(_)) => {}
                Err(_) => return Closed::Idle,
            },
            () = drain.cancelled() => return Closed::Drained,
        }
        let rest = Box::pin(whole(&mut stream, &mut octets));
        let request = match timeout(desk.request_timeout(), rest).await {
            Ok(Ok(request)) => request,
            Ok(Err(closed)) => return closed,
            Err(_) => return Closed::Late,
        };
        let begin = Instant::now();
        let (action, answered) = Box::pin(message.answer(&request, desk, settings)).await;
        let answer = format!("action={action}\n\n");
        match timeout(desk.request_timeout(), stream.write_all(answer.as_bytes())).await {
            Ok(Ok(())) => desk.answered(Protocol::Policy, answered, begin.elapsed()),
            Ok(Err(_)) => return Closed::Peer,
            Err(_) => return Closed::Late,
        }
        if request.is_of_exim() {
            // It reads to the end of the connection.
            timeout(desk.request_timeout(), stream.shutdown())
                .await
                .ok();
            return Closed::Peer;
        }
    }
}

/// Reads the rest of the request that `octets` begin.
async fn whole<S>(stream: &mut S, octets: &mut Vec<u8>) -> Result<Request, Closed>
where
    S: AsyncRead + Send + Unpin,
{
    octets.reserve(USUAL);
    let mut seen = 0;
    let end = loop {
        if let Some(end) = end(octets, seen) {
            break end;
        }
        if octets.len() > LONGEST {
            return Err(Closed::TooLarge);
        }
        seen = octets.len();
        if !more(stream, octets).await? {
            return Err(Closed::Garbled);
        }
    };
    let request = Request::parse(octets.get(..end).unwrap_or_default());
    // Why nothing may follow: an MTA waits for its answer. What a peer put into its certificate or
    // its greeting could otherwise end a request early, and begin another one.
    let request = request
        .filter(|_| octets.len() == end)
        .ok_or(Closed::Garbled)?;
    if request.is_of_exim() && more(stream, octets).await? {
        return Err(Closed::Garbled);
    }
    Ok(request)
}

/// Reads more octets; false where the peer sends no more.
async fn more<S>(stream: &mut S, octets: &mut Vec<u8>) -> Result<bool, Closed>
where
    S: AsyncRead + Send + Unpin,
{
    match stream.read_buf(octets).await {
        Ok(count) => Ok(count > 0),
        Err(_) => Err(Closed::Peer),
    }
}

/// What the questions about one message must know of each other.
#[derive(Debug, Default)]
struct Message {
    /// Postfix's name for it; empty where it has none.
    instance: String,
    /// A recipient was asked about, and let pass.
    passed: bool,
    /// The connectors that it has a header of.
    named: Vec<String>,
}

impl Message {
    /// What Postfix is to do, and what that is counted as.
    async fn answer(
        &mut self,
        request: &Request,
        desk: &Desk,
        settings: &Policy,
    ) -> (String, Answered) {
        let instance = request.instance();
        if instance.is_empty() || instance != self.instance {
            *self = Self {
                instance: instance.to_owned(),
                ..Self::default()
            };
        }
        let at = request.state();
        let stage = match at {
            State::Session => {
                if !WARNED.swap(true, Relaxed) {
                    tracing::warn!(
                        "the MTA asks before MAIL, where neither the sender nor the TLS of the \
                         message is known: nothing is decided there. Ask in \
                         `smtpd_recipient_restrictions`"
                    );
                }
                return (DUNNO.to_owned(), Answered::Passed);
            }
            State::Mail => Stage::Early,
            State::Recipient => Stage::Recipient,
            State::Data | State::End => Stage::Late { asked: self.passed },
        };
        let question = request.question(settings.connector_set.as_deref());
        match desk.judge(question, stage).await {
            Outcome::Pass { connector } => {
                self.passed |= at == State::Recipient;
                let header = settings.header.as_deref().zip(connector);
                let action =
                    header.and_then(|(header, connector)| self.prepend(at, header, connector));
                (action.unwrap_or_else(|| DUNNO.to_owned()), Answered::Passed)
            }
            Outcome::Refuse(reply) => (reply.to_string(), Answered::Refused),
            Outcome::Defer(reply) => (reply.to_string(), Answered::Deferred),
        }
    }

    /// The header that names `connector`, where the message can have it and has none yet.
    fn prepend(&mut self, at: State, header: &str, connector: String) -> Option<String> {
        // Postfix takes none before the first recipient, and none once the message is there.
        let taken = matches!(at, State::Recipient | State::Data);
        if !taken || self.named.contains(&connector) {
            return None;
        }
        let action = format!("PREPEND {header}: {}", plain_text(&connector));
        self.named.push(connector);
        Some(action)
    }
}

/// Whether it was said that an MTA asks too early.
static WARNED: AtomicBool = AtomicBool::new(false);

/// Nothing stands against it here: go on with the next restriction.
const DUNNO: &str = "DUNNO";

/// How long requests are, as a rule.
const USUAL: usize = 2048;
