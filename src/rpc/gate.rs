//! What every call passes before its message is looked at, whichever way it is answered.

use std::sync::Arc;

use hyper::HeaderMap;
use tonic::Request;

use super::{failure::Failure, peer::Peer};
use crate::callers::Caller;

/// Lets calls in.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {}

/// A call that was let in; dropped when it has been answered.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// Who asks.
    pub(super) peer: Arc<Peer>,
    /// As whom it is known; none where no callers are configured.
    pub(super) caller: Option<Arc<Caller>>,
}

impl Asking {
    /// The name of who asks, in metrics, logs and traces.
    pub(super) fn caller_name(&self) -> Option<&str> {
        self.caller.as_deref().map(Caller::name)
    }
}

impl Gate {
    /// Lets the call of `path` in that `peer` begins with `headers`, or says why not.
    pub(super) fn admit(
        &self,
        _path: &str,
        peer: &Arc<Peer>,
        _headers: &HeaderMap,
    ) -> Result<Asking, Failure> {
        let peer = Arc::clone(peer);
        Ok(Asking { peer, caller: None })
    }
}

/// The call that `request` belongs to, which the gate let in.
pub(super) fn asking<T>(request: &Request<T>) -> Result<&Asking, Failure> {
    // Why internal: what has not passed the gate cannot come here.
    request.extensions().get().ok_or_else(Failure::internal)
}
