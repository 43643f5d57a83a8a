//! Networks in the order of their addresses, asked for the longest one that contains an address.

use std::net::IpAddr;

use super::NetworkTable;

/// A value for each of many networks, IPv4 and IPv6, found by address: what [`NetworkTable`]
/// comes to, in a form that is smaller and quicker to ask, and never changes.
#[derive(Clone, Debug)]
pub struct NetworkRanges<T> {
    ipv4: Ranges<u32, T>,
    ipv6: Ranges<u128, T>,
}

/// Ranges of addresses, each from its start to the next one's.
// INVARIANT (sorted): starts ascend, and there is a value for each.
#[derive(Clone, Debug)]
struct Ranges<A, T> {
    starts: Box<[A]>,
    /// The value of the longest network there; none between networks.
    values: Box<[Option<T>]>,
}

impl<T: Copy> NetworkRanges<T> {
    /// The networks of `table`, with their values.
    pub fn new(table: &NetworkTable<T>) -> Self {
        let mut ipv4 = Sweep::default();
        let mut ipv6 = Sweep::default();
        for (network, &value) in table.iter() {
            let prefix = u32::from(network.prefix_len());
            match network.addr() {
                IpAddr::V4(first) => {
                    let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
                    let first = first.to_bits();
                    ipv4.add(first, (first | hosts).checked_add(1), value);
                }
                IpAddr::V6(first) => {
                    let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
                    let first = first.to_bits();
                    ipv6.add(first, (first | hosts).checked_add(1), value);
                }
            }
        }
        Self {
            ipv4: ipv4.finish(),
            ipv6: ipv6.finish(),
        }
    }

    /// The value of the longest network that contains `address`; an IPv4-mapped one counts as IPv4.
    pub fn get_longest(&self, address: IpAddr) -> Option<T> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.ipv4.get(address.to_bits()),
            IpAddr::V6(address) => self.ipv6.get(address.to_bits()),
        }
    }
}

impl<T> Default for NetworkRanges<T> {
    fn default() -> Self {
        Self {
            ipv4: Ranges::default(),
            ipv6: Ranges::default(),
        }
    }
}

impl<A, T> Default for Ranges<A, T> {
    fn default() -> Self {
        Self {
            starts: Box::default(),
            values: Box::default(),
        }
    }
}

impl<A: Ord + Copy, T: Copy> Ranges<A, T> {
    fn get(&self, address: A) -> Option<T> {
        let after = self.starts.partition_point(|start| *start <= address);
        *self.values.get(after.checked_sub(1)?)?
    }
}

/// A way through networks in the order of their addresses, the shorter of two first.
#[derive(Debug)]
struct Sweep<A, T> {
    starts: Vec<A>,
    values: Vec<Option<T>>,
    /// The networks around the next one: where each ends, unless at the last address, and its value.
    around: Vec<(Option<A>, T)>,
}

impl<A, T> Default for Sweep<A, T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            values: Vec::new(),
            around: Vec::new(),
        }
    }
}

impl<A: Ord + Copy, T: Copy> Sweep<A, T> {
    /// The network from `first` to before `end`.
    fn add(&mut self, first: A, end: Option<A>, value: T) {
        self.close(|its_end| its_end <= first);
        self.begin(first, Some(value));
        self.around.push((end, value));
    }

    /// Leaves the networks whose end is `passed`.
    fn close(&mut self, passed: impl Fn(A) -> bool) {
        while let Some(&(Some(end), _)) = self.around.last()
            && passed(end)
        {
            self.around.pop();
            let value = self.around.last().map(|&(_, value)| value);
            self.begin(end, value);
        }
    }

    /// From `start` on it is `value`.
    fn begin(&mut self, start: A, value: Option<T>) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        self.starts.push(start);
        self.values.push(value);
    }

    fn finish(mut self) -> Ranges<A, T> {
        self.close(|_| true);
        Ranges {
            starts: self.starts.into_boxed_slice(),
            values: self.values.into_boxed_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Network, *};

    fn some_network() -> impl Strategy<Value = Network> {
        let ipv4 = (any::<u32>(), prop_oneof![0u8..=32, 28u8..=32])
            .prop_map(|(bits, length)| format!("{}/{length}", std::net::Ipv4Addr::from(bits)));
        // Why: near each other and at both ends, so that they contain and touch each other.
        let near = (0u32..64, 26u8..=32, any::<bool>()).prop_map(|(bits, length, high)| {
            let bits = if high { u32::MAX - bits } else { bits };
            format!("{}/{length}", std::net::Ipv4Addr::from(bits))
        });
        let ipv6 = (0u128..64, 120u8..=128, any::<bool>()).prop_map(|(bits, length, high)| {
            let bits = if high {
                u128::MAX - bits
            } else {
                1 << 100 | bits
            };
            format!("{}/{length}", std::net::Ipv6Addr::from(bits))
        });
        prop_oneof![ipv4, near.clone(), near, ipv6]
            .prop_map(|text| Network::parse(&text).unwrap().0)
    }

    proptest! {
        #[test]
        fn finds_what_the_table_finds(
            networks in prop::collection::vec(some_network(), 0..40),
            others in prop::collection::vec(some_network(), 0..10),
        ) {
            let mut table = NetworkTable::new();
            for (value, network) in networks.iter().enumerate() {
                table.insert(*network, value);
            }
            let ranges = NetworkRanges::new(&table);
            for network in networks.iter().chain(&others) {
                let neighbours = match network.addr() {
                    IpAddr::V4(first) => [0, 1, 2, 3, u32::MAX, u32::MAX - 1]
                        .map(|by| IpAddr::V4(first.to_bits().wrapping_add(by).into())),
                    IpAddr::V6(first) => [0, 1, 2, 3, u128::MAX, u128::MAX - 1]
                        .map(|by| IpAddr::V6(first.to_bits().wrapping_add(by).into())),
                };
                for address in neighbours {
                    let expected = table.get_longest(address).map(|(_, value)| *value);
                    prop_assert_eq!(ranges.get_longest(address), expected, "{}", address);
                }
            }
        }
    }
}
