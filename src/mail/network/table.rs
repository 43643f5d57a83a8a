//! A table of networks, asked for the longest one that contains an address.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;

use super::Network;

/// A value for each of many networks, IPv4 and IPv6, found by address.
#[derive(Clone, Debug)]
pub struct NetworkTable<T>(JointPrefixMap<IpNet, T>);

impl<T> NetworkTable<T> {
    /// A table without networks.
    pub fn new() -> Self {
        Self(JointPrefixMap::new())
    }

    /// Gives `network` this value, and returns the one that it had.
    pub fn insert(&mut self, network: Network, value: T) -> Option<T> {
        self.0.insert(network.0, value)
    }

    /// The value of exactly this network.
    pub fn get(&self, network: &Network) -> Option<&T> {
        self.0.get(&network.0)
    }

    /// The value of exactly this network, to be changed.
    pub fn get_mut(&mut self, network: &Network) -> Option<&mut T> {
        self.0.get_mut(&network.0)
    }

    /// The longest network that contains `address`; an IPv4-mapped one counts as IPv4.
    pub fn get_longest(&self, address: IpAddr) -> Option<(Network, &T)> {
        let (network, value) = self.0.get_lpm(&address.to_canonical().into())?;
        Some((Network(network), value))
    }

    /// Every network that includes `network`, itself too, the longest first.
    pub fn covering(&self, network: Network) -> impl Iterator<Item = (Network, &T)> {
        let shortest_first: Vec<_> = self.0.cover(&network.0).collect();
        shortest_first
            .into_iter()
            .rev()
            .map(|(network, value)| (Network(network), value))
    }

    /// The value of the longest network that includes `network` and more.
    pub fn parent(&self, network: Network) -> Option<&T> {
        self.0.cover_values(&network.0.supernet()?).last()
    }

    /// Whether some network lies inside `network`, or is it.
    pub fn any_within(&self, network: Network) -> bool {
        self.0.children(&network.0).next().is_some()
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every network with its value, IPv4 before IPv6, by address and the shorter first.
    pub fn iter(&self) -> impl Iterator<Item = (Network, &T)> {
        self.0
            .iter()
            .map(|(network, value)| (Network(network), value))
    }
}

impl<T> Default for NetworkTable<T> {
    fn default() -> Self {
        Self::new()
    }
}
