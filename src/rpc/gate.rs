//! What every call passes before its message is looked at, whichever way it is answered.

use std::sync::Arc;

use hyper::HeaderMap;
use tonic::Request;

use super::{failure::Failure, peer::Peer};

/// Lets calls in.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {}

/// A call that was let in; dropped when it has been answered.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// Who asks.
    pub(super) peer: Arc<Peer>,
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
        Ok(Asking { peer })
    }
}

/// The call that `request` belongs to, which the gate let in.
pub(super) fn asking<T>(request: &Request<T>) -> Result<&Asking, Failure> {
    // Why internal: what has not passed the gate cannot come here.
    request.extensions().get().ok_or_else(Failure::internal)
}
