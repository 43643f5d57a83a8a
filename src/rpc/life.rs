//! When a connection ends from this side.

use std::time::Duration;

use tokio::time::Instant;

use super::{limits::Limits, line::Standing};
use crate::telemetry::Closed;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It goes on, and is to be looked at again then.
    Wait(Instant),
    /// It is to end: calls in flight finish.
    End(Closed),
    /// It is cut.
    Cut(Closed),
}

/// The life of a connection, as far as clocks go.
#[derive(Debug)]
pub(super) struct Life {
    limits: Limits,
    speaks_by: Instant,
    of_age: Option<Instant>,
    /// When it was last seen in use, and how many calls it had had then.
    used: (Instant, usize),
    /// It is to end.
    ending: bool,
    /// When it is cut then.
    cut: Option<Instant>,
}

impl Life {
    /// A life that begins at `now`; `chance` from 0 to 1 tells it from others that begin with it.
    pub(super) fn new(limits: Limits, now: Instant, chance: f64) -> Self {
        let of_age = limits.age.map(|age| now + age.mul_f64(0.9 + 0.2 * chance));
        Self {
            limits,
            speaks_by: now + limits.handshake_timeout,
            of_age,
            used: (now, 0),
            ending: false,
            cut: None,
        }
    }

    /// What becomes of it at `now`.
    pub(super) fn step(&mut self, now: Instant, standing: Standing) -> Step {
        if !standing.speaks && now >= self.speaks_by {
            return Step::Cut(Closed::HandshakeTimeout);
        }
        let begun_by = standing.coming.map(|at| at + self.limits.handshake_timeout);
        if begun_by.is_some_and(|by| now >= by) {
            return Step::Cut(Closed::HandshakeTimeout);
        }
        let taken_by = standing
            .stuck
            .map(|since| since + self.limits.message_timeout);
        if taken_by.is_some_and(|by| now >= by) {
            return Step::Cut(Closed::MessageTimeout);
        }
        if self.cut.is_some_and(|cut| now >= cut) {
            return Step::Cut(Closed::AgeGrace);
        }
        if standing.calls > 0 || standing.begun != self.used.1 {
            self.used = (now, standing.begun);
        }
        let idle = self.limits.idle.map(|idle| self.used.0 + idle);
        for (limit, why) in [(self.of_age, Closed::Age), (idle, Closed::Idle)] {
            if !self.ending && limit.is_some_and(|limit| now >= limit) {
                self.ends(Some(now));
                return Step::End(why);
            }
        }
        let speaks_by = (!standing.speaks).then_some(self.speaks_by);
        let ends = if self.ending {
            [self.cut, None]
        } else {
            // Why a quarter: a call between two looks counts from the second one on.
            let look = self.limits.idle.map(|idle| now + idle / 4);
            [self.of_age, idle.min(look)]
        };
        let look = Some(now + self.limits.message_timeout);
        let next = [speaks_by, begun_by, taken_by, look]
            .into_iter()
            .chain(ends)
            .flatten();
        Step::Wait(next.min().unwrap_or(now).max(now + SHORTEST))
    }

    /// It is to end, and is cut some time after `from`; none: somebody else cuts it.
    pub(super) fn ends(&mut self, from: Option<Instant>) {
        self.ending = true;
        self.cut = self.cut.or(from.map(|from| from + self.limits.age_grace));
    }
}

const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        message_octets: 0,
        calls: 0,
        calls_per_connection: 0,
        streams_per_connection: 0,
        connections: 0,
        partial_octets: 0,
        lag: None,
        message_timeout: seconds(10),
        handshake_timeout: seconds(5),
        idle: Some(seconds(100)),
        age: Some(seconds(1000)),
        age_grace: seconds(30),
        keepalive_interval: None,
        keepalive_timeout: seconds(1),
        ping_interval: None,
    };

    const SPEAKS: Standing = Standing {
        speaks: true,
        calls: 0,
        begun: 0,
        stuck: None,
        coming: None,
    };

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_does_not_speak_is_cut() {
        let now = Instant::now();
        let mut life = Life::new(LIMITS, now, 0.5);
        let silent = Standing {
            speaks: false,
            ..SPEAKS
        };
        assert_eq!(life.step(now, silent), Step::Wait(now + seconds(5)));
        let late = now + seconds(5);
        assert_eq!(life.step(late, silent), Step::Cut(Closed::HandshakeTimeout));
        assert_eq!(life.step(late, SPEAKS), Step::Wait(late + seconds(10)));
    }

    #[test]
    fn who_begins_a_call_and_does_not_go_on_is_cut() {
        let now = Instant::now();
        let at = |after| now + seconds(after);
        let mut life = Life::new(LIMITS, now, 0.5);
        let begins = Standing {
            coming: Some(at(7)),
            ..SPEAKS
        };
        assert_eq!(life.step(at(8), begins), Step::Wait(at(12)));
        let late = life.step(at(12), begins);
        assert_eq!(late, Step::Cut(Closed::HandshakeTimeout));
    }

    #[test]
    fn who_takes_nothing_is_cut() {
        let now = Instant::now();
        let mut life = Life::new(LIMITS, now, 0.5);
        let stuck = Standing {
            stuck: Some(now + seconds(1)),
            ..SPEAKS
        };
        let at = |after| now + seconds(after);
        assert_eq!(life.step(at(2), stuck), Step::Wait(at(11)));
        assert_eq!(life.step(at(11), stuck), Step::Cut(Closed::MessageTimeout));
    }

    #[test]
    fn what_has_no_call_ends_and_what_has_one_does_not() {
        let now = Instant::now();
        let at = |after| now + seconds(after);
        let with = |calls, begun| Standing {
            calls,
            begun,
            ..SPEAKS
        };
        let mut life = Life::new(LIMITS, now, 0.5);
        assert_eq!(life.step(at(100), with(0, 0)), Step::End(Closed::Idle));
        let mut life = Life::new(LIMITS, now, 0.5);
        // One that is open, one that came and went, and then none.
        assert_eq!(life.step(at(100), with(1, 1)), Step::Wait(at(110)));
        assert_eq!(life.step(at(199), with(0, 2)), Step::Wait(at(209)));
        assert_eq!(life.step(at(298), with(0, 2)), Step::Wait(at(299)));
        assert_eq!(life.step(at(299), with(0, 2)), Step::End(Closed::Idle));
        assert_eq!(life.step(at(300), with(0, 2)), Step::Wait(at(310)));
        assert_eq!(life.step(at(329), with(0, 2)), Step::Cut(Closed::AgeGrace));
    }

    #[test]
    fn what_is_of_age_ends_in_use_and_not_all_at_once() {
        let now = Instant::now();
        let at = |after| now + seconds(after);
        let busy = Standing {
            calls: 1,
            begun: 1,
            ..SPEAKS
        };
        for (chance, of_age) in [(0.0, 900), (0.5, 1000), (1.0, 1100)] {
            let mut life = Life::new(LIMITS, now, chance);
            assert_eq!(life.step(at(of_age - 1), busy), Step::Wait(at(of_age)));
            assert_eq!(life.step(at(of_age), busy), Step::End(Closed::Age));
            assert_eq!(life.step(at(of_age + 1), busy), Step::Wait(at(of_age + 11)));
            assert_eq!(
                life.step(at(of_age + 30), busy),
                Step::Cut(Closed::AgeGrace)
            );
        }
    }

    #[test]
    fn what_drains_is_left_to_who_drains_it() {
        let now = Instant::now();
        let mut life = Life::new(LIMITS, now, 0.5);
        life.ends(None);
        for after in [1_000, 10_000, 100_000] {
            let now = now + seconds(after);
            assert_eq!(life.step(now, SPEAKS), Step::Wait(now + seconds(10)));
        }
    }

    #[test]
    fn without_limits_nothing_ends() {
        let now = Instant::now();
        let limits = Limits {
            idle: None,
            age: None,
            ..LIMITS
        };
        let mut life = Life::new(limits, now, 0.5);
        let later = now + seconds(1_000_000);
        assert_eq!(life.step(later, SPEAKS), Step::Wait(later + seconds(10)));
    }
}
