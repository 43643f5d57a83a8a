//! The trace that a call belongs to, as its caller says by the W3C Trace Context.

use hyper::{HeaderMap, header::HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The caller's span; none where it does not say, or says it malformed.
///
/// Nothing is allocated but for a `tracestate`, which is read for what is sampled only.
pub(super) fn of(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(&PARENT).iter();
    let (Some(text), None) = (given.next(), given.next()) else {
        return None;
    };
    let (trace_id, span_id, flags) = read(text.as_bytes())?;
    let state = if flags.is_sampled() {
        state(headers)
    } else {
        TraceState::NONE
    };
    let context = SpanContext::new(trace_id, span_id, flags, true, state);
    context.is_valid().then_some(context)
}

/// `00-<32 hex digits>-<16>-<2>`; a later version may have more behind it.
fn read(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (head, more) = text.split_first_chunk::<55>()?;
    let [a, b, b'-', rest @ ..] = head.as_slice() else {
        return None;
    };
    match ([*a, *b], more) {
        ([b'0', b'0'], []) => {}
        ([b'0', b'0'] | [b'f', b'f'], _) => return None,
        (_, [] | [b'-', ..]) => {}
        (_, _) => return None,
    }
    hex::<1>(&[*a, *b])?;
    let (trace, rest) = rest.split_first_chunk::<32>()?;
    let (span, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
    let [flags] = hex::<1>(rest.strip_prefix(b"-")?)?;
    let sampled = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let (trace, span) = (hex::<16>(trace)?, hex::<8>(span)?);
    Some((
        TraceId::from_bytes(trace),
        SpanId::from_bytes(span),
        sampled,
    ))
}

/// So many octets in small hex digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *octet = digit(high)? << 4 | digit(low)?;
    }
    Some(octets)
}

/// What other systems keep in the trace; nothing where it is malformed, and all of it then.
fn state(headers: &HeaderMap) -> TraceState {
    let mut given = headers.get_all(&STATE).iter();
    let Some(first) = given.next().and_then(|text| text.to_str().ok()) else {
        return TraceState::NONE;
    };
    let mut joined = first.to_owned();
    for more in given {
        let Ok(more) = more.to_str() else {
            return TraceState::NONE;
        };
        joined.push(',');
        joined.push_str(more);
    }
    if joined.len() > LONGEST_STATE {
        return TraceState::NONE;
    }
    joined.parse().unwrap_or(TraceState::NONE)
}

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Twice what everybody has to carry on.
const LONGEST_STATE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_parent_is_read() {
        for (version, flags, more, sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            ("00", "03", "", true),
            ("00", "fe", "", false),
            ("cc", "01", "", true),
            ("cc", "01", "-what-comes", true),
        ] {
            let text = format!("{version}-{TRACE}-{SPAN}-{flags}{more}");
            let parent = of(&headers(&[("traceparent", &text)])).unwrap();
            assert_eq!(parent.trace_id().to_string(), TRACE);
            assert_eq!(parent.span_id().to_string(), SPAN);
            assert_eq!(parent.is_sampled(), sampled, "{text}");
            assert!(parent.is_remote());
        }
    }

    #[test]
    fn a_malformed_parent_is_none() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(of(&headers(&[])), None);
        assert_eq!(
            of(&headers(&[("traceparent", &good), ("traceparent", &good)])),
            None
        );
        for text in [
            String::new(),
            good.to_uppercase(),
            format!("{good}-x"),
            format!("{good}0"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01x"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            good.chars().take(54).collect(),
        ] {
            assert_eq!(of(&headers(&[("traceparent", &text)])), None, "{text}");
        }
    }

    #[test]
    fn the_state_goes_along_where_it_is_sampled() {
        let of_state = |flags: &str, states: &[&str]| {
            let parent = format!("00-{TRACE}-{SPAN}-{flags}");
            let mut pairs = vec![("traceparent", &*parent)];
            pairs.extend(states.iter().map(|state| ("tracestate", *state)));
            of(&headers(&pairs)).unwrap().trace_state().header()
        };
        assert_eq!(of_state("01", &["a=1", "b=2,c=3"]), "a=1,b=2,c=3");
        assert_eq!(of_state("00", &["a=1"]), "");
        assert_eq!(of_state("01", &["not one"]), "");
        assert_eq!(of_state("01", &[&format!("a={}", "x".repeat(1_100))]), "");
    }
}
