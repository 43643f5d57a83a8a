//! A set of addresses, made of networks.

use std::net::IpAddr;

use super::Network;

/// The addresses of many networks, asked whether one is among them.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    // INVARIANT (disjoint): ranges are sorted, and none overlaps or touches the next.
    ipv4: Box<[(u32, u32)]>,
    ipv6: Box<[(u128, u128)]>,
}

impl AddressSet {
    /// True where `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.ipv4, address.to_bits()),
            IpAddr::V6(address) => within(&self.ipv6, address.to_bits()),
        }
    }
}

impl FromIterator<Network> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.addr(), network.prefix_len()) {
                (IpAddr::V4(address), prefix) => {
                    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    ipv4.push((address.to_bits(), address.to_bits() | hosts));
                }
                (IpAddr::V6(address), prefix) => {
                    let hosts = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    ipv6.push((address.to_bits(), address.to_bits() | hosts));
                }
            }
        }
        Self {
            ipv4: disjoint(ipv4),
            ipv6: disjoint(ipv6),
        }
    }
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= address);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|&(_, last)| address <= last)
}

/// Networks never overlap in part, so that one that begins inside another ends there.
fn disjoint<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
    ranges.dedup_by(|next, kept| next.0 <= kept.1);
    ranges.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_its_networks_hold() {
        let networks = [
            "203.0.113.0/24",
            "203.0.113.7",
            "10.0.0.0/8",
            "2001:db8::/32",
            "::ffff:192.0.2.1",
        ];
        let set: AddressSet = networks
            .iter()
            .map(|text| Network::parse(text).unwrap().0)
            .collect();
        for (address, expected) in [
            ("203.0.113.0", true),
            ("203.0.113.255", true),
            ("203.0.114.0", false),
            ("203.0.112.255", false),
            ("::ffff:203.0.113.9", true),
            ("10.255.255.255", true),
            ("9.255.255.255", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(
                set.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        for (all, address) in [("0.0.0.0/0", "255.255.255.255"), ("::/0", "ffff::")] {
            let set: AddressSet = [Network::parse(all).unwrap().0].into_iter().collect();
            assert!(set.contains(address.parse().unwrap()));
        }
        assert!(!AddressSet::default().contains("192.0.2.1".parse().unwrap()));
    }
}
