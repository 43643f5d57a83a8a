//! Tokens that are guessed, over and over.

use std::time::Instant;

use super::*;
use crate::running::{field, get};

#[test]
fn guesses_are_all_refused_counted_and_said_seldom() {
    const GUESSES: usize = 2_000;
    let running = serve(&[
        caller("edge", &["contoso"], ""),
        caller("desk", &["adatum"], ""),
    ]);
    let begin = Instant::now();
    let good = token("edge");
    block_on(async {
        let mut client = running.client().await;
        let mut told = None;
        for at in 0..GUESSES {
            // Near misses: one character is another, at every place; then some that are far off.
            let mut guess = good.clone().into_bytes();
            if at < guess.len() {
                guess[at] ^= 1;
            } else {
                guess = format!("{at:0>43}").into_bytes();
            }
            let guess = format!("Bearer {}", String::from_utf8(guess).unwrap());
            let asked = call(plaintext(), &[&guess]);
            let status = client.decisions.check_inbound(asked).await.unwrap_err();
            let whole = whole(&status);
            assert_eq!(told.get_or_insert(whole.clone()), &whole);
            if at % 100 == 0 {
                // The one that is known is, over the same connection.
                let own = check(&mut client, "edge", plaintext()).await;
                assert_eq!(answered(own), "contoso");
            }
        }
    });
    let took = begin.elapsed();
    let (_, metrics) = running.page("/metrics");
    for line in [
        "postern_unauthenticated_calls_total{cause=\"unknown\"} 2000",
        "postern_caller_calls_total{caller=\"edge\",grpc_code=\"OK\"} 20",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let refused = |event: &serde_json::Value| {
        field(event, "message")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|message| message.starts_with("a call was refused"))
    };
    let said = running.events().into_iter().filter(refused).count();
    let most = usize::try_from(took.as_secs()).unwrap() + 2;
    assert!((1..=most).contains(&said), "{said} lines in {took:?}");
    assert!(!metrics.contains("caller=\"desk\""), "{metrics}");
}

#[test]
fn guesses_of_an_operators_token_are_refused_counted_and_said_seldom() {
    let hash = TokenHash::of(token("operator").as_bytes());
    let settings = format!("[admin]\ntoken_sha256 = [\"{hash}\"]\n");
    let running = serve_with(None, &settings);
    let begin = Instant::now();
    for _ in 0..50 {
        assert_eq!(get(running.admin, "/status").0, 401);
    }
    assert_eq!(get(running.admin, "/readyz").0, 200);
    let took = begin.elapsed();
    let refused = |event: &serde_json::Value| {
        field(event, "message").is_some_and(|message| {
            message == "an operator was refused: a token is needed"
                && field(event, "peer")
                    .is_some_and(|peer| peer.as_str().unwrap().starts_with("127.0.0.1:"))
        })
    };
    running.logged(refused);
    let said = running.events().into_iter().filter(refused).count();
    let most = usize::try_from(took.as_secs()).unwrap() + 2;
    assert!((1..=most).contains(&said), "{said} lines in {took:?}");
    let bearer = format!("authorization: Bearer {}\r\n", token("operator"));
    let metrics = admin::page(&running, "/metrics", &bearer);
    assert!(
        metrics.contains("postern_admin_refused_total 50"),
        "{metrics}"
    );
}
