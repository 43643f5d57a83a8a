//! The signals that stop the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From now on SIGHUP does not end the process, whether anybody listens for it or not; within a
/// runtime.
pub(super) fn outlive_hangup() -> io::Result<()> {
    signal(SignalKind::hangup()).map(drop)
}

/// SIGTERM and SIGINT, each as often as it comes.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(super) fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one, and says which it is.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_hangup_is_outlived() {
        outlive_hangup().unwrap();
        let hangup = Command::new("sh").args(["-c", "kill -HUP $PPID"]).status();
        assert!(hangup.unwrap().success());
    }
}
