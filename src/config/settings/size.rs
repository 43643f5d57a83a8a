//! Numbers of octets, as people write them.

use super::super::{
    finding::{Finding, Findings},
    table::At,
    words::shown,
};

/// The number of octets that `raw` says, which must be at least `least`.
pub(super) fn size(
    raw: Option<&At<String>>,
    key: &str,
    least: u64,
    findings: &mut Findings,
) -> Option<u64> {
    let At { value, span } = raw?;
    let (message, help) = match octets(value) {
        Some(octets) if octets >= least => return Some(octets),
        Some(_) => (
            format!("`{key}` is less than {} KiB", least >> 10),
            "write more, in KiB, MiB or GiB".to_owned(),
        ),
        None => (
            format!("`{}` is not a size", shown(value)),
            match value.trim().parse::<u64>() {
                Ok(number) => format!("add a unit: `{number} MiB`, `{number} KiB`"),
                Err(_) => "write a number and a unit, like `16 MiB`".to_owned(),
            },
        ),
    };
    findings.push(Finding::error("size-invalid", span.clone(), message).help(help));
    None
}

/// A whole number of KiB, MiB or GiB, with or without a blank before the unit.
fn octets(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(octets("64KiB"), Some(65_536));
        assert_eq!(octets(" 16 MiB "), Some(16 << 20));
        assert_eq!(octets("1 GiB"), Some(1 << 30));
        for wrong in [
            "",
            "MiB",
            "16",
            "16 MB",
            "-1 MiB",
            "1.5 MiB",
            "99999999999999999999 KiB",
            "18446744073709551615 GiB",
        ] {
            assert_eq!(octets(wrong), None, "{wrong}");
        }
    }
}
