//! As whom the calls of a connection are known: found out once, and anew when the callers change.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use subtle::ConstantTimeEq as _;

use super::peer::Peer;
use crate::{
    callers::{Caller, Callers, Certified, TokenHash, bearer},
    live::Standing,
    telemetry::Unauthenticated,
};

/// What was found out about the last good call of a connection.
#[derive(Debug, Default)]
pub(super) struct Known(ArcSwapOption<Seen>);

#[derive(Debug)]
struct Seen {
    /// By which callers.
    version: u64,
    /// What the call bore.
    authorization: Option<HeaderValue>,
    caller: Arc<Caller>,
}

impl Known {
    /// Who asks over the connection of `peer` with `headers`, by the callers of `standing`.
    ///
    /// Nothing is kept of who is not known: a guess must not cost the good ones what is kept of
    /// them.
    pub(super) fn caller(
        &self,
        standing: &Standing,
        callers: &Callers,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<Arc<Caller>, Unauthenticated> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (values.next(), values.next());
        if let Some(seen) = &*self.0.load()
            && seen.version == standing.version
            && second.is_none()
            && same(seen.authorization.as_ref(), first)
        {
            return Ok(Arc::clone(&seen.caller));
        }
        let token = token(peer, headers)?;
        let caller = identify(callers, peer, token.as_ref())?;
        let mut authorization = first.cloned();
        if let Some(value) = &mut authorization {
            // Never shown, wherever a peer is.
            value.set_sensitive(true);
        }
        self.0.store(Some(Arc::new(Seen {
            version: standing.version,
            authorization,
            caller: Arc::clone(&caller),
        })));
        Ok(caller)
    }
}

/// The hash of the token that a call bears with `headers`; none where it bears none.
pub(super) fn token(
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Option<TokenHash>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Why before it is looked at: whoever listens has it now, and must not learn whether it is good.
    if !peer.is_private() {
        return Err(Unauthenticated::Plaintext);
    }
    if values.next().is_some() {
        return Err(Unauthenticated::Malformed);
    }
    let token = bearer(value.as_bytes()).ok_or(Unauthenticated::Malformed)?;
    Ok(Some(TokenHash::of(token)))
}

/// Who has the certificate of `peer` and this token. Each of them alone is enough; a token that is
/// nobody's is an error even beside a good certificate, and so are two callers.
pub(super) fn identify(
    callers: &Callers,
    peer: &Peer,
    token: Option<&TokenHash>,
) -> Result<Arc<Caller>, Unauthenticated> {
    let certified = match &peer.certificate {
        Some(certificate) => callers.certified(&certificate.dns_names, &certificate.uris),
        None => Certified::Nobody,
    };
    let by_token = match token {
        Some(token) => Some(callers.with_token(token).ok_or(Unauthenticated::Unknown)?),
        None => None,
    };
    match (certified, by_token) {
        (Certified::Several, _) => Err(Unauthenticated::Contradiction),
        (Certified::One(one), Some(other)) if !Arc::ptr_eq(one, other) => {
            Err(Unauthenticated::Contradiction)
        }
        (Certified::One(caller), _) | (Certified::Nobody, Some(caller)) => Ok(Arc::clone(caller)),
        (Certified::Nobody, None) if peer.certificate.is_some() => Err(Unauthenticated::Unknown),
        (Certified::Nobody, None) => Err(Unauthenticated::Missing),
    }
}

/// Whether a call bears what the one before did, without telling how much of it.
fn same(one: Option<&HeaderValue>, other: Option<&HeaderValue>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.as_bytes().ct_eq(other.as_bytes()).into(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        callers::{Rights, Ways},
        policy::Scope,
        rpc::peer::{Origin, PeerCertificate},
    };

    const A: &str = "token-of-a-0123456789";
    const B: &str = "token-of-b-0123456789";

    fn standing(version: u64, names: [&str; 2]) -> Standing {
        let caller = |name: &str, token: &str| {
            let ways = Ways {
                certificate_names: vec![format!("{name}.example")],
                certificate_uris: Vec::new(),
                tokens: vec![TokenHash::of(token.as_bytes())],
            };
            let caller = Caller::new(name, Scope::All, Rights::default(), None);
            (caller, ways)
        };
        let [a, b] = names;
        let callers = Callers::new([caller(a, A), caller(b, B)]);
        Standing {
            version,
            callers: Some(Arc::new(callers)),
            ..Standing::default()
        }
    }

    fn peer(names: &[&str]) -> Peer {
        let mut peer = Peer::plaintext(Origin::Unix);
        if !names.is_empty() {
            peer.certificate = Some(PeerCertificate {
                der: Vec::new(),
                dns_names: names.iter().map(|&name| name.to_owned()).collect(),
                uris: Vec::new(),
            });
        }
        peer
    }

    fn asks(
        known: &Known,
        standing: &Standing,
        peer: &Peer,
        values: &[&str],
    ) -> Result<String, Unauthenticated> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let callers = standing.callers.as_ref().unwrap();
        let caller = known.caller(standing, callers, peer, &headers)?;
        Ok(caller.name().to_owned())
    }

    /// The names of a certificate, what a call bears, and who asks.
    type Case<'a> = (
        &'a [&'a str],
        &'a [&'a str],
        Result<&'a str, Unauthenticated>,
    );

    #[test]
    fn certificate_and_token_say_who_asks() {
        let standing = standing(1, ["a", "b"]);
        let (of_a, of_b) = (format!("Bearer {A}"), format!("Bearer {B}"));
        let guess = of_a.replace('9', "8");
        let cases: [Case<'_>; 15] = [
            (&[], &[], Err(Unauthenticated::Missing)),
            (&[], &[&of_a], Ok("a")),
            (&[], &[&guess], Err(Unauthenticated::Unknown)),
            (&[], &[A], Err(Unauthenticated::Malformed)),
            (&[], &["Basic YTpi"], Err(Unauthenticated::Malformed)),
            (&[], &[&of_a, &of_b], Err(Unauthenticated::Malformed)),
            (&[], &[&of_a, &of_a], Err(Unauthenticated::Malformed)),
            (&["a.example"], &[], Ok("a")),
            (&["a.example"], &[&of_a], Ok("a")),
            (
                &["a.example"],
                &[&of_b],
                Err(Unauthenticated::Contradiction),
            ),
            (&["a.example"], &[&guess], Err(Unauthenticated::Unknown)),
            (
                &["a.example", "b.example"],
                &[],
                Err(Unauthenticated::Contradiction),
            ),
            (
                &["a.example", "b.example"],
                &[&of_a],
                Err(Unauthenticated::Contradiction),
            ),
            (&["c.example"], &[], Err(Unauthenticated::Unknown)),
            (&["c.example"], &[&of_b], Ok("b")),
        ];
        // Each by itself, and one after the other over one connection: what is kept changes nothing.
        for (names, values, expected) in cases {
            let peer = peer(names);
            let expected = expected.map(str::to_owned);
            for first in [&[][..], &[&*of_a], &[&*of_b]] {
                let known = Known::default();
                asks(&known, &standing, &peer, first).ok();
                assert_eq!(
                    asks(&known, &standing, &peer, values),
                    expected,
                    "{names:?} {values:?}"
                );
                assert_eq!(
                    asks(&known, &standing, &peer, values),
                    expected,
                    "{names:?} {values:?}"
                );
            }
        }
    }

    #[test]
    fn a_save_is_known_to_the_next_call() {
        let (known, peer) = (Known::default(), peer(&[]));
        let of_a = format!("Bearer {A}");
        let asks = |standing: &Standing| asks(&known, standing, &peer, &[&of_a]);
        assert_eq!(asks(&standing(1, ["a", "b"])), Ok("a".to_owned()));
        assert_eq!(asks(&standing(2, ["c", "b"])), Ok("c".to_owned()));
        let nobody = Standing {
            version: 3,
            callers: Some(Arc::default()),
            ..Standing::default()
        };
        assert_eq!(asks(&nobody), Err(Unauthenticated::Unknown));
    }

    #[test]
    fn a_token_that_others_can_read_is_not_taken() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {A}").parse().unwrap());
        let far = |encrypted| {
            let mut peer = Peer::plaintext(Origin::Network("192.0.2.1:1".parse().ok()));
            peer.encrypted = encrypted;
            token(&peer, &headers)
        };
        assert_eq!(far(false), Err(Unauthenticated::Plaintext));
        assert_eq!(far(true), Ok(Some(TokenHash::of(A.as_bytes()))));
    }
}
