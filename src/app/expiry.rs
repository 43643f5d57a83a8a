//! Says in the log when the certificate in force is about to expire, and when it has.

use std::{
    convert::Infallible,
    future,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch::Receiver,
    time::{error::Elapsed, timeout},
};

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Term {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// What is to be said of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// It does not hold yet.
    Early,
    /// Nothing.
    Good,
    /// The last tenth of its life has begun.
    Late,
    /// It has expired.
    Over,
}

/// Says how it is with the newest of `terms` whenever that becomes another: nobody saves a file
/// when a certificate expires.
pub(super) async fn say(mut terms: Receiver<Term>) -> Infallible {
    let mut said = None;
    loop {
        let term = *terms.borrow_and_update();
        let now = SystemTime::now();
        let stage = term.stage(now);
        if said != Some((term, stage)) {
            term.tell(stage);
            said = Some((term, stage));
        }
        let changed: Result<_, Elapsed> = timeout(term.wait(now), terms.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            // Nothing is renewed any more: the process ends.
            return future::pending().await;
        }
    }
}

impl Term {
    fn stage(self, now: SystemTime) -> Stage {
        match now {
            _ if now < self.not_before => Stage::Early,
            _ if now < self.late() => Stage::Good,
            _ if now < self.not_after => Stage::Late,
            _ => Stage::Over,
        }
    }

    /// How long nothing becomes another. Not longer than a while, since the clock may be set.
    fn wait(self, now: SystemTime) -> Duration {
        let ahead = [self.not_before, self.late(), self.not_after].into_iter();
        let ahead = ahead.filter_map(|at| at.duration_since(now).ok());
        let next = ahead.filter(|wait| !wait.is_zero()).min();
        next.map_or(LONGEST, |next| next.min(LONGEST))
    }

    fn late(self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before);
        self.not_after - life.unwrap_or_default() / 10
    }

    fn tell(self, stage: Stage) {
        let shown = humantime::format_rfc3339_seconds;
        let until = shown(self.not_after);
        match stage {
            Stage::Early => {
                let from = shown(self.not_before);
                tracing::warn!(%from, "the certificate does not hold yet");
            }
            Stage::Good => {}
            Stage::Late => tracing::warn!(%until, "the certificate expires soon"),
            Stage::Over => tracing::error!(
                %until,
                "the certificate has expired, and clients will refuse it: renew it, nothing need be \
                 started anew"
            ),
        }
    }
}

const LONGEST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_has_its_stages() {
        let term = Term {
            not_before: at(1_000),
            not_after: at(2_000),
        };
        for (now, stage, wait) in [
            (0, Stage::Early, 60),
            (990, Stage::Early, 10),
            (1_000, Stage::Good, 60),
            (1_899, Stage::Good, 1),
            (1_900, Stage::Late, 60),
            (1_995, Stage::Late, 5),
            (2_000, Stage::Over, 60),
            (9_000, Stage::Over, 60),
        ] {
            assert_eq!(term.stage(at(now)), stage, "{now}");
            assert_eq!(term.wait(at(now)), Duration::from_secs(wait), "{now}");
        }
        // One that ends before it begins has no life to be late in.
        let none = Term {
            not_before: at(2_000),
            not_after: at(1_000),
        };
        assert_eq!(none.stage(at(1_500)), Stage::Early);
    }
}
