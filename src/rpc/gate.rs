//! What every call passes before its message is looked at, whichever way it is answered.

use std::{sync::Arc, time::Instant};

use hyper::{HeaderMap, Uri};
use opentelemetry::trace::TraceId;
use tonic::{Code, Request};

use super::{
    decisions::{CHECK_INBOUND, CHECK_OUTBOUND, CHECK_STREAM},
    failure::{Failure, code_name},
    known,
    peer::{Origin, Peer},
};
use crate::{
    callers::{Caller, Place, TokenHash},
    live::{Access, Standing},
    policy::Scope,
    telemetry::{CallSpan, Ends, From, Limit, Metrics, Rpc, Seldom, Traces, Unauthenticated},
};

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The callers.
    pub access: Arc<Access>,
    /// Whether only callers may ask about health, where there are any.
    pub health_for_callers: bool,
}

/// Lets calls in.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    admission: Admission,
    metrics: Metrics,
    traces: Traces,
    clock: Clock,
    warned: Arc<Seldom>,
    /// How many calls a caller may have in flight, where nothing is said of it.
    share: usize,
}

/// A call that was let in; dropped when it has been answered.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// Who asks.
    pub(super) peer: Arc<Peer>,
    /// As whom it is known; none where no callers are configured.
    pub(super) caller: Option<Arc<Caller>>,
    /// By which callers.
    version: u64,
    /// With which token; of streams alone, which are looked at again.
    token: Option<TokenHash>,
    /// Its span; none where it is not traced.
    pub(super) span: Option<Arc<CallSpan>>,
    /// Its place among the calls of its caller, until its answer has been taken.
    pub(super) place: Option<Arc<Place>>,
}

impl Asking {
    /// A call of `peer` where everybody may ask.
    #[cfg(test)]
    pub(super) fn anybody(peer: Peer) -> Self {
        Self {
            peer: Arc::new(peer),
            caller: None,
            version: 0,
            token: None,
            span: None,
            place: None,
        }
    }

    /// The name of who asks, in metrics, logs and traces.
    pub(super) fn caller_name(&self) -> Option<&str> {
        self.caller.as_deref().map(Caller::name)
    }

    /// The sets that it may ask; none where there are no callers, and so no bounds.
    pub(super) fn scope(&self) -> Option<&Scope> {
        self.caller.as_deref().map(Caller::scope)
    }

    /// The trace that it is a part of.
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.span.as_deref().map(CallSpan::trace_id)
    }

    /// Runs `work` as a part of the call.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.span {
            None => work(),
            Some(span) => span.within(work),
        }
    }
}

impl Gate {
    /// Lets in by `admission`, and counts in `metrics` who is not.
    pub(super) fn new(admission: Admission, metrics: Metrics) -> Self {
        Self {
            admission,
            metrics,
            traces: Traces::off(),
            clock: Clock::default(),
            warned: Arc::default(),
            share: usize::MAX,
        }
    }

    /// The same, where all may have so many `calls` in flight: one caller may have half of them.
    pub(super) fn sharing(self, calls: usize) -> Self {
        let share = (calls / 2).max(1);
        Self { share, ..self }
    }

    /// The same, which begins the spans of the calls that `traces` takes.
    pub(super) fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Lets the call of `uri` in that `peer` begins with `headers`, or says why not.
    pub(super) fn admit(
        &self,
        uri: &Uri,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
    ) -> Result<Asking, Failure> {
        let span = |headers: &HeaderMap| {
            let rpc = || Rpc::at(uri.path());
            self.traces.begin(rpc, headers, || ends(uri, peer))
        };
        match self.let_in(uri.path(), peer, headers) {
            Ok(asking) => {
                let span = span(headers);
                if let (Some(span), Some(caller)) = (&span, asking.caller_name()) {
                    span.asked_by(caller);
                }
                Ok(Asking { span, ..asking })
            }
            Err(failure) => {
                // Why: a stranger's word is not taken for what is to be traced.
                if let Some(span) = span(&HeaderMap::new()) {
                    span.finish(code_name(failure.code()));
                }
                Err(failure)
            }
        }
    }

    /// Leaves the span of a call that `limit` turned away, where it is traced.
    pub(super) fn turned_away(
        &self,
        uri: &Uri,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
        limit: Limit,
    ) {
        if self.traces.are_off() {
            return;
        }
        let caller = || {
            self.admission.access.with(|standing| {
                let callers = standing.callers.as_ref();
                let known = |callers| peer.known.caller(standing, callers, peer, headers);
                callers.map(|callers| known(callers)).transpose()
            })
        };
        // Why: as in `admit`; and who it is matters to few of these calls.
        let stranger = headers.contains_key("traceparent") && caller().is_err();
        let none = HeaderMap::new();
        let said = if stranger { &none } else { headers };
        let rpc = || Rpc::at(uri.path());
        if let Some(span) = self.traces.begin(rpc, said, || ends(uri, peer)) {
            if let Ok(Some(caller)) = caller() {
                span.asked_by(caller.name());
            }
            span.turned_away(limit);
            span.finish(code_name(Code::Unavailable));
        }
    }

    fn let_in(&self, path: &str, peer: &Arc<Peer>, headers: &HeaderMap) -> Result<Asking, Failure> {
        self.admission.access.with(|standing| {
            let Some(callers) = &standing.callers else {
                return open(path, peer, headers, standing);
            };
            let kind = Kind::of(path);
            let asking = |caller, token| Asking {
                peer: Arc::clone(peer),
                caller,
                version: standing.version,
                token,
                span: None,
                place: None,
            };
            if kind == Kind::Health && !self.admission.health_for_callers {
                return Ok(asking(None, None));
            }
            let caller = peer.known.caller(standing, callers, peer, headers);
            let caller = caller.map_err(|why| self.refuse(peer, why))?;
            let token = match kind {
                Kind::Stream => known::token(peer, headers).ok().flatten(),
                _ => None,
            };
            let asking = asking(Some(caller), token);
            let place = self
                .permit(kind, &asking)
                .inspect_err(|failure| self.answered(&asking, code_name(failure.code())))?;
            Ok(Asking { place, ..asking })
        })
    }

    /// Looks again at a call that goes on, where the callers have changed since it was let in: it
    /// may not be let in any more.
    pub(super) fn still(&self, asking: &mut Asking) -> Result<(), Failure> {
        self.admission.access.with(|standing| {
            if standing.version == asking.version {
                return Ok(());
            }
            let Some(callers) = &standing.callers else {
                return Ok(());
            };
            let caller = known::identify(callers, &asking.peer, asking.token.as_ref());
            let caller = caller.map_err(|why| self.refuse(&asking.peer, why))?;
            asking.caller = Some(caller);
            asking.version = standing.version;
            may(Kind::Stream, asking)
        })
    }

    /// Takes one question from what the caller may ask in a second.
    pub(super) fn spend(&self, asking: &Asking) -> Result<(), Failure> {
        let allowance = asking.caller.as_deref().and_then(Caller::allowance);
        allowance.map_or(Ok(()), |allowance| {
            let taken = allowance.take(self.clock.now());
            taken.map_err(|spent| Failure::caller_limit(spent.again_in))
        })
    }

    /// Counts a question that was answered with this gRPC status code, by who asked.
    pub(super) fn answered(&self, asking: &Asking, code: &'static str) {
        if let Some(caller) = asking.caller_name() {
            self.metrics.asked(caller, code);
        }
    }

    /// Whether a known caller may make a call of this kind, now; its place among those in flight.
    ///
    /// Each question of a stream counts, and so does its beginning, which costs as much.
    fn permit(&self, kind: Kind, asking: &Asking) -> Result<Option<Arc<Place>>, Failure> {
        may(kind, asking)?;
        let Some(caller) = asking.caller.as_deref().filter(|_| kind != Kind::Health) else {
            return Ok(None);
        };
        let place = caller.place(self.share).ok_or_else(Failure::caller_calls)?;
        self.spend(asking)?;
        Ok(Some(Arc::new(place)))
    }

    /// What who is not known is told; the log hears of it once in a second.
    fn refuse(&self, peer: &Peer, why: Unauthenticated) -> Failure {
        self.metrics.unauthenticated(why);
        if let Some(unsaid) = self.warned.next() {
            let address = match peer.origin {
                Origin::Network(address) => address.map(|address| address.to_string()),
                Origin::Unix => Some("unix".to_owned()),
            };
            tracing::warn!(
                peer = address,
                cause = why.as_str(),
                more_before = (unsaid > 0).then_some(unsaid),
                "a call was refused: it is not known who asks"
            );
        }
        Failure::unauthenticated(why)
    }
}

#[cfg(test)]
impl Default for Gate {
    fn default() -> Self {
        let admission = Admission {
            access: Arc::default(),
            health_for_callers: false,
        };
        Self::new(admission, Metrics::new())
    }
}

/// Whether a caller may make calls of this kind at all.
fn may(kind: Kind, asking: &Asking) -> Result<(), Failure> {
    let Some(rights) = asking.caller.as_deref().map(Caller::may) else {
        return Ok(());
    };
    match kind {
        Kind::Check | Kind::Stream if !rights.check => Err(Failure::right_missing()),
        Kind::Explain if !rights.explain => Err(Failure::right_missing()),
        Kind::Check | Kind::Explain | Kind::Stream | Kind::Health | Kind::Other => Ok(()),
    }
}

/// Lets in where everybody may ask: for explanations, everybody on this machine.
fn open(
    path: &str,
    peer: &Arc<Peer>,
    headers: &HeaderMap,
    standing: &Standing,
) -> Result<Asking, Failure> {
    if !peer.is_local() && Kind::of(path) == Kind::Explain {
        return Err(Failure::explanation_local());
    }
    // Why: where callers come while a stream is open, it may go on by the token that it began with.
    let token = match path {
        CHECK_STREAM => known::token(peer, headers).ok().flatten(),
        _ => None,
    };
    Ok(Asking {
        peer: Arc::clone(peer),
        caller: None,
        version: standing.version,
        token,
        span: None,
        place: None,
    })
}

/// The two ends of a call, as a trace says them.
fn ends<'a>(uri: &'a Uri, peer: &Peer) -> Ends<'a> {
    Ends {
        peer: match peer.origin {
            Origin::Network(address) => From::Tcp(address),
            Origin::Unix => From::Unix,
        },
        // Why not the whole authority: what stands before an `@` in it is nobody's business.
        server: uri.host().map(|host| (host, uri.port_u16())),
    }
}

/// What a call is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Check,
    Explain,
    Health,
    Other,
    Stream,
}

impl Kind {
    fn of(path: &str) -> Self {
        match path {
            CHECK_INBOUND | CHECK_OUTBOUND => Self::Check,
            CHECK_STREAM => Self::Stream,
            _ if path.starts_with(EXPLANATIONS) => Self::Explain,
            _ if path.starts_with(HEALTH) => Self::Health,
            _ => Self::Other,
        }
    }
}

/// Time as a number, from a moment that is the same for all clones.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    /// In nanoseconds.
    fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

/// The call that `request` belongs to, which the gate let in.
pub(super) fn asking<T>(request: &Request<T>) -> Result<&Asking, Failure> {
    // Why internal: what has not passed the gate cannot come here.
    request.extensions().get().ok_or_else(Failure::internal)
}

const EXPLANATIONS: &str = "/postern.v1.PolicyExplanationService/";
const HEALTH: &str = "/grpc.health.v1.Health/";

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderValue};

    use super::*;
    use crate::callers::{Callers, Rights, Ways};

    const EXPLAIN: &str = "/postern.v1.PolicyExplanationService/ExplainInbound";

    fn far() -> Arc<Peer> {
        let address = "192.0.2.1:1".parse().ok();
        Arc::new(Peer::plaintext(Origin::Network(address)))
    }

    /// What a peer is told that calls `path` with this token.
    fn told(gate: &Gate, path: &str, peer: &Arc<Peer>, token: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = format!("Bearer {token}");
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        }
        let admitted = gate.admit(&path.parse().unwrap(), peer, &headers);
        admitted.map_or_else(|failure| failure.reason().to_owned(), |_| "OK".to_owned())
    }

    #[test]
    fn without_callers_explanations_are_for_this_machine() {
        let gate = Gate::default();
        let near = Arc::new(Peer::plaintext(Origin::Unix));
        assert_eq!(told(&gate, EXPLAIN, &near, None), "OK");
        assert_eq!(told(&gate, EXPLAIN, &far(), None), "EXPLANATION_LOCAL");
        // A token is nothing where there are no callers.
        let token = Some("a-token-that-others-can-read");
        assert_eq!(told(&gate, EXPLAIN, &far(), token), "EXPLANATION_LOCAL");
        for path in [
            CHECK_INBOUND,
            CHECK_OUTBOUND,
            CHECK_STREAM,
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(told(&gate, path, &far(), token), "OK");
        }
    }

    #[test]
    fn a_token_in_plaintext_is_refused_whether_it_is_good_or_not() {
        let token = "a-token-that-others-can-read";
        let ways = Ways {
            tokens: vec![TokenHash::of(token.as_bytes())],
            ..Ways::default()
        };
        let may = Rights {
            check: true,
            explain: true,
        };
        let caller = Caller::new("edge", Scope::All, may, None);
        let gate = Gate::default();
        gate.admission.access.replace(Standing {
            version: 1,
            callers: Some(Arc::new(Callers::new([(caller, ways)]))),
            ..Standing::default()
        });
        let near = Arc::new(Peer::plaintext(Origin::Unix));
        let other = token.replace("read", "guess");
        for path in [CHECK_INBOUND, CHECK_STREAM, EXPLAIN] {
            assert_eq!(told(&gate, path, &near, Some(token)), "OK");
            assert_eq!(told(&gate, path, &near, Some(&other)), "CALLER_UNKNOWN");
            assert_eq!(told(&gate, path, &far(), Some(token)), "TOKEN_IN_PLAINTEXT");
            assert_eq!(
                told(&gate, path, &far(), Some(&other)),
                "TOKEN_IN_PLAINTEXT"
            );
            assert_eq!(told(&gate, path, &far(), None), "CALLER_UNKNOWN");
        }
    }
}
