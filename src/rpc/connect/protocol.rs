//! What the headers of the Connect protocol say of a call.

use std::time::Duration;

use hyper::{HeaderMap, header::CONTENT_ENCODING};

use crate::rpc::failure::Failure;

/// Refuses a version of the protocol that is not spoken here; none is taken for the first.
pub(super) fn version(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("connect-protocol-version") {
        Some(version) if version.as_bytes() != b"1" => Err(Failure::protocol_invalid(
            "`Connect-Protocol-Version` is not 1: leave the header out, or write 1",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a message that is compressed.
pub(super) fn uncompressed(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Failure::encoding_unknown())
        }
        Some(_) | None => Ok(()),
    }
}

/// How long the caller waits for its answer.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = headers.get("connect-timeout-ms") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let digits = text.len() <= MOST_DIGITS && text.bytes().all(|octet| octet.is_ascii_digit());
    let milliseconds = text.parse().ok().filter(|_| digits);
    milliseconds
        .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
        .ok_or_else(|| {
            Failure::protocol_invalid(
                "`Connect-Timeout-Ms` is no number of milliseconds: write up to ten digits",
            )
        })
}

const MOST_DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn what_headers_say() {
        let none = HeaderMap::new();
        assert!(version(&none).is_ok() && uncompressed(&none).is_ok());
        assert_eq!(timeout(&none), Ok(None));
        assert!(version(&headers("connect-protocol-version", "1")).is_ok());
        assert!(version(&headers("connect-protocol-version", "2")).is_err());
        assert!(uncompressed(&headers("content-encoding", "Identity")).is_ok());
        assert!(uncompressed(&headers("content-encoding", "gzip")).is_err());
        for (text, length) in [("0", 0), ("250", 250), ("9999999999", 9_999_999_999)] {
            let length = Duration::from_millis(length);
            let headers = headers("connect-timeout-ms", text);
            assert_eq!(timeout(&headers), Ok(Some(length)));
        }
        for text in ["", "+1", "-1", "1s", "1.5", "99999999990"] {
            assert!(
                timeout(&headers("connect-timeout-ms", text)).is_err(),
                "{text}"
            );
        }
    }
}
