//! The protocol milter.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::{config::settings::bridge::Milter, telemetry::bridge::Closed};

/// Answers what comes over `stream` until the peer leaves, has to be cut, or `drain` is cancelled.
pub(super) async fn converse<S>(
    mut stream: S,
    _desk: &Desk,
    _settings: &Milter,
    _drain: &CancellationToken,
) -> Closed
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    stream.shutdown().await.ok();
    Closed::Garbled
}
