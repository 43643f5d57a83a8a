//! Moments, as the log writes them and as people name them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A moment, to the microsecond.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment(i64);

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// The moment that RFC 3339 text in UTC names.
    pub(super) fn parse(text: &str) -> Option<Self> {
        humantime::parse_rfc3339(text).ok().map(Self::of)
    }

    /// The moment this long after.
    pub(super) fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(micros(length)))
    }

    /// The moment this long before.
    pub(super) fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(micros(length)))
    }

    /// Whole seconds since 1970.
    pub(super) fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The moment this many seconds after 1970.
    pub(super) fn at_second(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole days from `earlier` until this moment; below zero where it is past.
    pub(super) fn days_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(DAY)
    }

    fn of(time: SystemTime) -> Self {
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        })
    }
}

/// RFC 3339 to the second, in UTC.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Why: humantime fails to show a moment before 1970 or after 9999.
        let seconds = u64::try_from(self.seconds()).unwrap_or(0).min(LAST_SECOND);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        humantime::format_rfc3339_seconds(time).fmt(f)
    }
}

/// A moment as somebody names it: itself, or how long ago it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum When {
    /// This long ago.
    Ago(Duration),
    /// Then.
    At(Moment),
}

impl When {
    /// The moment that is meant at `now`.
    pub(super) fn at(self, now: Moment) -> Moment {
        match self {
            Self::Ago(length) => now.before(length),
            Self::At(moment) => moment,
        }
    }

    /// What a flag says: `2h`, `2026-11-23`, `2026-11-23T19:30`, `2026-11-23T19:30:51Z`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(length) = humantime::parse_duration(text) {
            return Ok(Self::Ago(length));
        }
        let whole = match text.len() {
            10 => format!("{text}T00:00:00"),
            16 => format!("{text}:00"),
            _ => text.to_owned(),
        };
        match humantime::parse_rfc3339_weak(&whole) {
            Ok(time) => Ok(Self::At(Moment::of(time))),
            Err(_) => Err(
                "write a time in UTC, like `2026-11-23` or `2026-11-23T19:30:51Z`, or how long \
                 ago, like `30m`, `2h` or `7d`"
                    .into(),
            ),
        }
    }
}

/// A length of time, as a flag has it.
pub(super) fn length(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "write a length of time with its unit, like `30s`, `10m` or `14d`".into())
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

const DAY: i64 = 86_400 * 1_000_000;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let moment = Moment::parse("2026-11-23T19:30:51.123456Z").unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T19:30:51Z");
        assert_eq!(Moment::parse("2026-11-23 19:30"), None);
        assert_eq!(Moment(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Moment(-1).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn people_name_moments_as_they_like() {
        let now = Moment::parse("2026-11-23T12:00:00Z").unwrap();
        let at = |text: &str| When::parse(text).map(|when| when.at(now).to_string());
        for (text, moment) in [
            ("2h", "2026-11-23T10:00:00Z"),
            ("1d 1h", "2026-11-22T11:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T08:15", "2026-11-20T08:15:00Z"),
            ("2026-11-20 08:15:30", "2026-11-20T08:15:30Z"),
            ("2026-11-20T08:15:30.5Z", "2026-11-20T08:15:30Z"),
        ] {
            assert_eq!(at(text).unwrap(), moment, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "12:00"] {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_whole_and_go_below_zero() {
        let now = Moment::parse("2026-11-23T12:00:00Z").unwrap();
        let days = |length| now.after(Duration::from_hours(length)).days_since(now);
        assert_eq!((days(0), days(23), days(24), days(49)), (0, 0, 1, 2));
        assert_eq!(now.before(Duration::from_hours(1)).days_since(now), -1);
    }
}
