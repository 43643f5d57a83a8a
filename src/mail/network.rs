//! Addresses and networks, each in one form: an IPv4-mapped IPv6 address is its IPv4 address.

mod ranges;
mod table;

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::quoted;

pub use ranges::NetworkRanges;
pub use table::NetworkTable;

/// A network of IPv4 or IPv6 addresses, its host bits zero.
///
/// A network inside `::ffff:0:0/96` is the IPv4 network that it maps.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Network(IpNet);

impl Network {
    /// Reads an address, or an address with a decimal prefix; tells whether host bits were set.
    pub fn parse(text: &str) -> Result<(Self, HostBits), NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(NetworkError(Fault::of_address(text)));
        };
        let length = match prefix {
            Some(prefix) => prefix_length(text, address, prefix)?,
            None => IpNet::from(address).max_prefix_len(),
        };
        let network = IpNet::new(address, length).map_err(|_| {
            let longest = IpNet::from(address).max_prefix_len();
            NetworkError(Fault::Long {
                text: quoted(text),
                longest,
            })
        })?;
        let network = unmapped(network).ok_or_else(|| {
            NetworkError(Fault::Mapped {
                text: quoted(text),
                length,
            })
        })?;
        let masked = network.trunc();
        let host_bits = if masked == network {
            HostBits::Clean
        } else {
            HostBits::Masked
        };
        Ok((Self(masked), host_bits))
    }

    /// The first address of the network.
    pub fn addr(&self) -> IpAddr {
        self.0.addr()
    }

    /// Whether `address` lies in the network; an IPv4-mapped one counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address of `other` lies in this network.
    pub fn includes(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the network is one of IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.addr().is_ipv4()
    }

    /// How many leading bits the addresses share: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl fmt::Display for Network {
    /// `203.0.113.0/24`; a single address without a prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Whether a network was written with bits set behind its prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostBits {
    /// All bits behind the prefix were zero.
    Clean,
    /// Some bit behind the prefix was set: `203.0.113.7/24`.
    Masked,
}

/// Reads the address of a host as a gateway saw it: IPv4-mapped becomes IPv4, and an IPv6 zone
/// (`fe80::1%eth0`, RFC 4007, section 11) is dropped.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressError> {
    let address = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address.parse().ok().map(IpAddr::V6),
        Some(_) => None,
        None => text.parse().ok(),
    };
    address
        .map(|address| address.to_canonical())
        .ok_or_else(|| AddressError { text: quoted(text) })
}

/// The text is no address of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressError {
    text: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not an IPv4 or IPv6 address, like `192.0.2.1` or `2001:db8::1`",
            self.text
        )
    }
}

impl Error for AddressError {}

/// Why a text is not a network, and what to write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkError(Fault);

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Address(text) => write!(
                f,
                "{text} is not an address or network: write `203.0.113.7`, `203.0.113.0/24` or \
                 `2001:db8::/32`"
            ),
            Fault::Long { text, longest } => {
                write!(
                    f,
                    "{text} has too long a prefix: it may be at most {longest}"
                )
            }
            Fault::Mapped { text, length } => write!(
                f,
                "{text} is an IPv4-mapped address with the prefix {length}, which is below 96: \
                 write the IPv4 network"
            ),
            Fault::Mask { text, network } => {
                write!(f, "{text} has a netmask: write `{network}`")
            }
            Fault::Prefix(text) => write!(
                f,
                "{text} has a bad prefix: write a decimal number behind the `/`, as in \
                 `203.0.113.0/24`"
            ),
            Fault::Range { text, networks } if networks.is_empty() => {
                write!(f, "{text} is a range: write the networks it is made of")
            }
            Fault::Range { text, networks } => {
                write!(f, "{text} is a range: write its networks, ")?;
                networks
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, network)| {
                        write!(f, "{}`{network}`", if index == 0 { "" } else { ", " })
                    })
            }
            Fault::Zone(text) => {
                write!(
                    f,
                    "{text} has a zone: leave out the `%` and what follows it"
                )
            }
        }
    }
}

impl Error for NetworkError {}

/// The faults of a network; texts are quoted.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Fault {
    Address(String),
    Long {
        text: String,
        longest: u8,
    },
    Mapped {
        text: String,
        length: u8,
    },
    Mask {
        text: String,
        network: Network,
    },
    Prefix(String),
    Range {
        text: String,
        networks: Vec<Network>,
    },
    Zone(String),
}

impl Fault {
    /// What is wrong with a text that does not begin with an address.
    fn of_address(text: &str) -> Self {
        if let Some(address) = text
            .split('/')
            .next()
            .and_then(|address| address.split_once('%'))
            && address.0.parse::<IpAddr>().is_ok()
        {
            return Self::Zone(quoted(text));
        }
        if let Some((first, last)) = text.split_once('-')
            && let Ok(first) = first.trim().parse()
        {
            return Self::Range {
                text: quoted(text),
                networks: networks_of(first, last.trim()),
            };
        }
        Self::Address(quoted(text))
    }
}

/// The number behind the `/` of `text`, not yet held against the length of `address`.
fn prefix_length(text: &str, address: IpAddr, prefix: &str) -> Result<u8, NetworkError> {
    if let Ok(mask) = prefix.parse::<IpAddr>()
        && let Ok(network) = IpNet::with_netmask(address, mask)
    {
        let network = Network(unmapped(network).unwrap_or(network).trunc());
        return Err(NetworkError(Fault::Mask {
            text: quoted(text),
            network,
        }));
    }
    let decimal = prefix.bytes().all(|octet| octet.is_ascii_digit());
    if !decimal || prefix.is_empty() || (prefix.starts_with('0') && prefix != "0") {
        return Err(NetworkError(Fault::Prefix(quoted(text))));
    }
    Ok(prefix.parse().unwrap_or(u8::MAX))
}

/// The IPv4 network where `network` is an IPv4-mapped one, else itself; none where its prefix
/// is too short to be mapped.
fn unmapped(network: IpNet) -> Option<IpNet> {
    match network {
        IpNet::V6(mapped) => match mapped.addr().to_ipv4_mapped() {
            Some(address) => {
                let length = mapped.prefix_len().checked_sub(MAPPED_PREFIX)?;
                IpNet::new(address.into(), length).ok()
            }
            None => Some(network),
        },
        IpNet::V4(_) => Some(network),
    }
}

/// The networks from `first` to `last`, an address or the last number of an IPv4 address; empty
/// where they are many, or it is not a range after all.
fn networks_of(first: IpAddr, last: &str) -> Vec<Network> {
    let last = match (first, last.parse::<u8>()) {
        (IpAddr::V4(first), Ok(last)) => {
            let [a, b, c, _] = first.octets();
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, last)))
        }
        _ => last.parse().ok(),
    };
    let networks: IpSubnets = match (first, last) {
        (IpAddr::V4(first), Some(IpAddr::V4(last))) => Ipv4Subnets::new(first, last, 0).into(),
        (IpAddr::V6(first), Some(IpAddr::V6(last))) => Ipv6Subnets::new(first, last, 0).into(),
        _ => return Vec::new(),
    };
    let networks: Vec<_> = networks.take(SHOWN_NETWORKS + 1).map(Network).collect();
    if networks.len() > SHOWN_NETWORKS {
        Vec::new()
    } else {
        networks
    }
}

/// The prefix of `::ffff:0:0/96`, in which IPv4 addresses are mapped.
const MAPPED_PREFIX: u8 = 96;

/// How many networks an error spells out in place of a range.
const SHOWN_NETWORKS: usize = 6;

#[cfg(test)]
mod tests;
