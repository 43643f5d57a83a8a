//! Which connectors sent mail to which smart host.
//!
//! Postfix asks for the TLS of a smart host by its name and port alone, without the domain that is
//! on its way there. So what the map `transport` answered is kept: a domain of each connector, by
//! which the map `tls` asks anew what that connector demands.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;

/// The smart hosts that were handed out since the process began.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    of: ArcSwap<Routes>,
}

/// By `[host]:port`: a domain of each connector.
type Routes = BTreeMap<String, BTreeMap<String, String>>;

impl Hosts {
    /// Keeps that `connector` sends mail to `domain` through `host`; false where there are too many.
    pub(super) fn keep(&self, host: &str, connector: &str, domain: &str) -> bool {
        let routes = self.of.load();
        // Why any domain of a connector will do: it says what the connector demands now.
        if routes
            .get(host)
            .is_some_and(|domains| domains.contains_key(connector))
        {
            return true;
        }
        if routes.values().map(BTreeMap::len).sum::<usize>() >= MOST {
            return false;
        }
        self.of.rcu(|routes| {
            let mut routes = Routes::clone(routes);
            let domains = routes.entry(host.to_owned()).or_default();
            domains.insert(connector.to_owned(), domain.to_owned());
            routes
        });
        true
    }

    /// The connectors that send mail through `host`, each with a domain.
    pub(super) fn through(&self, host: &str) -> Vec<(String, String)> {
        let routes = self.of.load();
        let domains = routes.get(host).into_iter().flatten();
        domains
            .map(|(connector, domain)| (connector.clone(), domain.clone()))
            .collect()
    }

    /// Forgets a domain that `connector` no longer sends through `host`.
    pub(super) fn forget(&self, host: &str, connector: &str) {
        self.of.rcu(|routes| {
            let mut routes = Arc::unwrap_or_clone(Arc::clone(routes));
            if let Some(domains) = routes.get_mut(host) {
                domains.remove(connector);
            }
            routes.retain(|_, domains| !domains.is_empty());
            routes
        });
    }
}

/// How many are kept; each is a few hundred octets.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smart_host_has_the_connectors_that_were_routed_there() {
        let hosts = Hosts::default();
        assert!(hosts.keep("[a]:25", "One", "one.test"));
        assert!(hosts.keep("[a]:25", "One", "other.test"));
        assert!(hosts.keep("[a]:25", "Two", "two.test"));
        assert!(hosts.keep("[a]:26", "Two", "two.test"));
        let pair = |connector: &str, domain: &str| (connector.to_owned(), domain.to_owned());
        assert_eq!(
            hosts.through("[a]:25"),
            [pair("One", "one.test"), pair("Two", "two.test")]
        );
        hosts.forget("[a]:25", "One");
        assert_eq!(hosts.through("[a]:25"), [pair("Two", "two.test")]);
        assert!(hosts.keep("[a]:25", "One", "other.test"));
        assert_eq!(hosts.through("[a]:25")[0], pair("One", "other.test"));
        assert_eq!(hosts.through("[b]:25"), []);
    }

    #[test]
    fn they_are_bounded() {
        let hosts = Hosts::default();
        // Why at once: each one that is kept makes a new table.
        let domains = (0..MOST)
            .map(|at| (at.to_string(), "a.test".to_owned()))
            .collect();
        hosts
            .of
            .store(Arc::new(Routes::from([("[a]:25".to_owned(), domains)])));
        assert!(!hosts.keep("[b]:25", "One", "one.test"));
        assert!(hosts.keep("[a]:25", "7", "one.test"));
        assert_eq!(hosts.through("[b]:25"), []);
    }
}
