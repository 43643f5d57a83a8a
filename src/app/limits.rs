//! The limits of the settings as the gRPC edge has them, and the open files that they need.

use crate::{config::settings, rpc::limits::Limits};

impl From<&settings::Limits> for Limits {
    fn from(settings: &settings::Limits) -> Self {
        let settings::Limits {
            message_octets,
            calls,
            calls_per_connection,
            streams_per_connection,
            connections,
            partial_octets,
            lag,
            message_timeout,
            handshake_timeout,
            idle,
            age,
            age_grace,
            keepalive_interval,
            keepalive_timeout,
            ping_interval,
        } = *settings;
        Self {
            message_octets,
            calls,
            calls_per_connection,
            streams_per_connection,
            connections,
            partial_octets,
            lag,
            message_timeout,
            handshake_timeout,
            idle,
            age,
            age_grace,
            keepalive_interval,
            keepalive_timeout,
            ping_interval,
        }
    }
}

/// Lets this process have so many connections open, and says so where the system does not allow it.
pub(super) fn open_enough(connections: usize) {
    if let Some(files) = allow_files(connections.saturating_add(OTHER_FILES)) {
        tracing::warn!(
            files,
            "the system allows fewer open files than `connections` in `[server.limits]` needs: raise \
             the limit of open files (LimitNOFILE= for systemd), or lower `connections`"
        );
    }
}

/// Lets this process have so many files open, as far as the system allows; the answer is how many
/// it may have where that is less.
#[cfg(target_os = "linux")]
fn allow_files(wanted: usize) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if enough(current) {
        return None;
    }
    // Why raised: many systems give a process 1,024, and leave it to the process to ask for more.
    let more = maximum.map_or(wanted, |most| most.min(wanted));
    let raised = Rlimit {
        current: Some(more),
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(more),
        Err(_) => current,
    };
    now.filter(|_| !enough(now))
}

#[cfg(not(target_os = "linux"))]
fn allow_files(_: usize) -> Option<u64> {
    None
}

/// How many files a process has open beside its connections.
const OTHER_FILES: usize = 512;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn files_are_allowed_as_far_as_the_system_does() {
        let before = getrlimit(Resource::Nofile);
        assert_eq!(allow_files(1), None);
        let most = before.maximum.unwrap_or(u64::MAX);
        if let Some(too_many) = most.checked_add(1) {
            let too_many = usize::try_from(too_many).unwrap();
            assert_eq!(allow_files(too_many), Some(most));
            assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
        }
    }
}
