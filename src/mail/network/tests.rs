use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

fn network(text: &str) -> Network {
    Network::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .0
}

fn address(text: &str) -> IpAddr {
    parse_address(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn reads_networks() {
    for (text, canonical, host_bits) in [
        ("203.0.113.7", "203.0.113.7", HostBits::Clean),
        ("203.0.113.7/32", "203.0.113.7", HostBits::Clean),
        ("203.0.113.0/24", "203.0.113.0/24", HostBits::Clean),
        ("203.0.113.7/24", "203.0.113.0/24", HostBits::Masked),
        ("0.0.0.0/0", "0.0.0.0/0", HostBits::Clean),
        ("1.2.3.4/0", "0.0.0.0/0", HostBits::Masked),
        ("2001:DB8:7::/48", "2001:db8:7::/48", HostBits::Clean),
        ("2001:db8:7::1/48", "2001:db8:7::/48", HostBits::Masked),
        ("2001:db8::1", "2001:db8::1", HostBits::Clean),
        ("::/0", "::/0", HostBits::Clean),
        ("::ffff:203.0.113.7", "203.0.113.7", HostBits::Clean),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24", HostBits::Clean),
        ("::ffff:cb00:7107/120", "203.0.113.0/24", HostBits::Masked),
        ("::ffff:0:0/96", "0.0.0.0/0", HostBits::Clean),
        // Not mapped: the deprecated IPv4-compatible form, and a wider network.
        ("::203.0.113.7", "::cb00:7107", HostBits::Clean),
        ("::/64", "::/64", HostBits::Clean),
    ] {
        let (network, bits) = Network::parse(text).unwrap();
        assert_eq!(
            (network.to_string().as_str(), bits),
            (canonical, host_bits),
            "{text}"
        );
        assert_eq!(Network::parse(canonical), Ok((network, HostBits::Clean)));
    }
    let network = network("::ffff:203.0.113.7/120");
    assert_eq!((network.prefix_len(), network.is_ipv4()), (24, true));
    assert_eq!(network.addr(), address("203.0.113.0"));
}

#[test]
fn says_what_to_write() {
    let neither = "is not an address or network: write `203.0.113.7`, `203.0.113.0/24` or \
                   `2001:db8::/32`";
    let prefix = "has a bad prefix: write a decimal number behind the `/`, as in `203.0.113.0/24`";
    let mapped = "is an IPv4-mapped address with the prefix 95, which is below 96: write the IPv4 \
                  network";
    let zone = "has a zone: leave out the `%` and what follows it";
    let range = "is a range: write the networks it is made of";
    for (text, message) in [
        ("", neither),
        ("mail.contoso.com", neither),
        ("10.0.0/8", neither),
        ("010.0.0.1", neither),
        (" 10.0.0.1", neither),
        ("[2001:db8::1]", neither),
        ("10.0.0.0 /8", neither),
        ("10.0.0.0/", prefix),
        ("10.0.0.0/+8", prefix),
        ("10.0.0.0/08", prefix),
        ("10.0.0.0/8/8", prefix),
        ("10.0.0.0/ 8", prefix),
        ("10.0.0.0/0x8", prefix),
        ("10.0.0.0/٨", prefix),
        ("10.0.0.0/255.0.255.0", prefix),
        ("fe80::/64%eth0", prefix),
        ("10.0.0.0/33", "has too long a prefix: it may be at most 32"),
        (
            "10.0.0.0/9999",
            "has too long a prefix: it may be at most 32",
        ),
        ("::/129", "has too long a prefix: it may be at most 128"),
        (
            "::ffff:10.0.0.0/129",
            "has too long a prefix: it may be at most 128",
        ),
        ("::ffff:10.0.0.0/95", mapped),
        ("::ffff:0:0/95", mapped),
        ("fe80::1%eth0", zone),
        ("fe80::%1/64", zone),
        ("10.1.0.7/255.255.0.0", "has a netmask: write `10.1.0.0/16`"),
        (
            "10.1.0.7/255.255.255.255",
            "has a netmask: write `10.1.0.7`",
        ),
        (
            "192.0.2.0-192.0.2.255",
            "is a range: write its networks, `192.0.2.0/24`",
        ),
        (
            "192.0.2.1 - 192.0.2.4",
            "is a range: write its networks, `192.0.2.1`, `192.0.2.2/31`, `192.0.2.4`",
        ),
        (
            "192.0.2.4-7",
            "is a range: write its networks, `192.0.2.4/30`",
        ),
        (
            "2001:db8::-2001:db8::ff",
            "is a range: write its networks, `2001:db8::/120`",
        ),
        (
            "0.0.0.0-255.255.255.255",
            "is a range: write its networks, `0.0.0.0/0`",
        ),
        ("192.0.2.1-192.9.2.254", range),
        ("192.0.2.9-192.0.2.1", range),
        ("192.0.2.9-x", range),
        ("192.0.2.9-::1", range),
    ] {
        let error = Network::parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("`{text}` {message}"));
    }
}

#[test]
fn reads_addresses() {
    for (text, canonical) in [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%25eth0%x", "fe80::1"),
        ("::192.0.2.1", "::c000:201"),
    ] {
        assert_eq!(address(text).to_string(), canonical, "{text}");
    }
    for text in [
        "",
        " ",
        "unknown",
        "192.0.2.1 ",
        "192.0.2.1%eth0",
        "fe80::1%",
        "[::1]",
        "192.0.2.1:25",
        "192.0.2.1/32",
        "192.0.2",
        "192.0.2.01",
        "IPv6:::1",
        "1::2::3",
        "3221225985",
    ] {
        assert!(parse_address(text).is_err(), "{text}");
    }
    assert_eq!(
        parse_address("unknown").unwrap_err().to_string(),
        "`unknown` is not an IPv4 or IPv6 address, like `192.0.2.1` or `2001:db8::1`"
    );
}

#[test]
fn contains_and_includes() {
    for (text, contained, expected) in [
        ("203.0.113.0/24", "203.0.113.255", true),
        ("203.0.113.0/24", "203.0.114.0", false),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "203.0.113.1", false),
        ("::/0", "2001:db8::1", true),
    ] {
        assert_eq!(
            network(text).contains(address(contained)),
            expected,
            "{text} {contained}"
        );
        assert_eq!(
            network(text).includes(&network(contained)),
            expected,
            "{text} {contained}"
        );
    }
    let mapped = Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0xcb00, 0x7101]);
    assert!(network("203.0.113.0/24").contains(mapped.into()));
    assert!(!network("::/0").contains(mapped.into()));
    assert!(network("10.0.0.0/8").includes(&network("10.0.0.0/8")));
    assert!(!network("10.0.0.0/9").includes(&network("10.0.0.0/8")));
}

#[test]
fn a_table_finds_the_longest() {
    let mut table = NetworkTable::new();
    assert!(table.is_empty());
    for text in [
        "10.1.0.0/16",
        "::/0",
        "10.0.0.0/8",
        "10.1.2.3",
        "2001:db8::/32",
        "0.0.0.0/0",
    ] {
        assert_eq!(table.insert(network(text), text), None);
    }
    assert_eq!(
        table.insert(network("10.9.9.9/8"), "ten"),
        Some("10.0.0.0/8")
    );
    assert_eq!(table.len(), 6);
    for (text, expected) in [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("10.1.2.4", "10.1.0.0/16"),
        ("10.2.0.0", "ten"),
        ("11.0.0.0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::/32"),
        ("2001:db9::1", "::/0"),
    ] {
        assert_eq!(
            table.get_longest(address(text)).unwrap().1,
            &expected,
            "{text}"
        );
    }
    assert_eq!(table.get(&network("10.1.0.0/16")), Some(&"10.1.0.0/16"));
    assert_eq!(table.get(&network("10.1.0.0/17")), None);
    *table.get_mut(&network("::/0")).unwrap() = "six";
    let covering = |text| {
        table
            .covering(network(text))
            .map(|(_, value)| *value)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        covering("10.1.2.3"),
        ["10.1.2.3", "10.1.0.0/16", "ten", "0.0.0.0/0"]
    );
    assert_eq!(covering("10.1.0.0/15"), ["ten", "0.0.0.0/0"]);
    assert_eq!(covering("2001:db8::/31"), ["six"]);
    assert_eq!(
        table
            .iter()
            .map(|(network, _)| network.to_string())
            .collect::<Vec<_>>(),
        [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "::/0",
            "2001:db8::/32"
        ]
    );
}

prop_compose! {
    /// Networks of both families that nest a lot.
    fn nested()(six: bool, bits in 0_u8..16, length in 0_u8..=5) -> Network {
        let octet = bits << 4;
        network(&if six {
            format!("{octet:x}00::/{length}")
        } else {
            format!("{octet}.0.0.0/{length}")
        })
    }
}

proptest! {
    #[test]
    fn reading_is_total_and_canonical(
        text in "[0-9a-f:.]{0,9}(/[0-9]{0,3})?|\\PC{0,12}|[0-9:.%/-]{0,20}"
    ) {
        if let Ok((network, _)) = Network::parse(&text) {
            prop_assert_eq!(Network::parse(&network.to_string()), Ok((network, HostBits::Clean)));
        }
        if let Ok(address) = parse_address(&text) {
            prop_assert_eq!(parse_address(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn a_table_answers_as_a_list_would(
        networks in prop::collection::vec(nested(), 0..12),
        asked in nested(),
    ) {
        let mut table = NetworkTable::default();
        for (index, network) in networks.iter().enumerate() {
            table.insert(*network, index);
        }
        let mut list = networks.clone();
        list.sort_unstable();
        list.dedup();
        prop_assert_eq!(table.iter().map(|(network, _)| network).collect::<Vec<_>>(), list.clone());

        let longest = list.iter().filter(|network| network.contains(asked.addr()))
            .max_by_key(|network| network.prefix_len());
        let found = table.get_longest(asked.addr()).map(|(network, _)| network);
        prop_assert_eq!(found, longest.copied());

        list.retain(|network| network.includes(&asked));
        list.sort_unstable_by_key(|network| std::cmp::Reverse(network.prefix_len()));
        let found: Vec<_> = table.covering(asked).map(|(network, _)| network).collect();
        prop_assert_eq!(found, list);
        for (network, index) in table.iter() {
            prop_assert_eq!(networks.iter().rposition(|other| *other == network), Some(*index));
        }
    }
}
