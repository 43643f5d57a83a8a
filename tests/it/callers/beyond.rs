//! Who asks from another address than this machine's own: explanations and tokens in plaintext.

use std::{
    env,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
};

use tonic::transport::{Channel, Endpoint};

use super::{certificates::Served, *};
use crate::running::field;

/// Set within a network of a test's own: its address.
const WITHIN: &str = "IT_ADDRESS";

/// Runs `body` with an address of this machine that is not loopback. Where it has none, the test
/// of this name runs once more in a network of its own that has one.
fn with_address(test: &str, body: impl FnOnce(IpAddr)) {
    let own = env::var(WITHIN).ok().map(|text| text.parse().unwrap());
    if let Some(address) = own.or_else(outward) {
        return body(address);
    }
    let script = format!(
        "ip link set lo up && ip address add \"${WITHIN}/32\" dev lo && \
         exec \"$0\" --exact \"$1\" --nocapture"
    );
    let within = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .arg(env::current_exe().unwrap())
        .arg(test)
        .env(WITHIN, "198.51.100.7")
        .output();
    let within = within.expect("this machine has loopback alone, and no `unshare`");
    assert!(
        within.status.success() && String::from_utf8_lossy(&within.stdout).contains("1 passed"),
        "this machine has loopback alone, and a network of its own failed: {within:?}"
    );
}

/// The address that this machine would send from to another one; nothing is sent.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A server with these callers that also listens at `address`, in plaintext; and where.
fn serve_beyond(address: IpAddr, callers: Option<&str>) -> (Running, SocketAddr) {
    let place = SocketAddr::new(address, 0).to_string();
    let allowed = "[server]\nallow_plaintext = true\n";
    let running = Running::serve_at(folder(callers), allowed, &[&place]);
    let beyond = listens(&running)[1];
    assert_eq!(beyond.ip(), address);
    (running, beyond)
}

/// Where a server listens.
fn listens(running: &Running) -> Vec<SocketAddr> {
    let started = running.logged(|event| field(event, "admin_listen").is_some());
    let listens = field(&started, "listen").unwrap().as_str().unwrap();
    let listens = listens.split(' ').map(|at| at.parse().unwrap());
    listens.collect()
}

async fn explain_inbound(client: &mut Client, authorization: &[&str]) -> Result<(), Status> {
    let asked = pb::ExplainInboundRequest {
        facts: Some(plaintext()),
        ..pb::ExplainInboundRequest::default()
    };
    let explained = client
        .explanations
        .explain_inbound(call(asked, authorization));
    explained.await.map(drop)
}

async fn explain_outbound(client: &mut Client, authorization: &[&str]) -> Result<(), Status> {
    let asked = pb::ExplainOutboundRequest {
        facts: Some(outbound("", "bob@contoso.com")),
        ..pb::ExplainOutboundRequest::default()
    };
    let explained = client
        .explanations
        .explain_outbound(call(asked, authorization));
    explained.await.map(drop)
}

#[test]
fn without_callers_explanations_are_for_this_machine() {
    with_address(
        "callers::beyond::without_callers_explanations_are_for_this_machine",
        |address| {
            let (running, beyond) = serve_beyond(address, None);
            block_on(async {
                let mut near = running.client().await;
                explain_inbound(&mut near, &[]).await.unwrap();
                explain_outbound(&mut near, &[]).await.unwrap();

                let mut far = Client::dial(&beyond.to_string()).await.unwrap();
                let local = (Code::PermissionDenied, "EXPLANATION_LOCAL".to_owned());
                // A token is nothing where there are no callers.
                let token = format!("Bearer {}", token("edge"));
                for authorization in [&[][..], &[&*token]] {
                    let told = explain_inbound(&mut far, authorization).await;
                    assert_eq!(refusal(told), local);
                    let told = explain_outbound(&mut far, authorization).await;
                    assert_eq!(refusal(told), local);
                }
                // Decisions are for everybody.
                let asked = far
                    .decisions
                    .check_inbound(inbound("", "bob@contoso.com"))
                    .await;
                assert_eq!(answered(asked.map(Response::into_inner)), "contoso");
            });
        },
    );
}

#[test]
fn a_token_in_plaintext_is_refused_whether_it_is_good_or_not() {
    with_address(
        "callers::beyond::a_token_in_plaintext_is_refused_whether_it_is_good_or_not",
        |address| {
            let edge = caller("edge", &["contoso"], "may = [\"check\", \"explain\"]");
            let (running, beyond) = serve_beyond(address, Some(&file(&[edge])));
            let [good, guess] = ["edge", "egde"].map(|name| format!("Bearer {}", token(name)));
            block_on(async {
                let mut near = running.client().await;
                let mut far = Client::dial(&beyond.to_string()).await.unwrap();
                let refused = (Code::Unauthenticated, "TOKEN_IN_PLAINTEXT".to_owned());
                let mut told = Vec::new();
                // Also once it was seen to be good, and over the same connection.
                for authorization in [&*good, &*guess, &*good] {
                    let asked = call(plaintext(), &[authorization]);
                    let checked = far.decisions.check_inbound(asked).await;
                    told.push(checked.unwrap_err());
                    let asked = call(outbound("", "bob@contoso.com"), &[authorization]);
                    told.push(far.decisions.check_outbound(asked).await.unwrap_err());
                    let asked = call(tokio_stream::iter([]), &[authorization]);
                    told.push(far.decisions.check_stream(asked).await.unwrap_err());
                    told.push(
                        explain_inbound(&mut far, &[authorization])
                            .await
                            .unwrap_err(),
                    );
                    told.push(
                        explain_outbound(&mut far, &[authorization])
                            .await
                            .unwrap_err(),
                    );
                    let own = check(&mut near, "edge", plaintext()).await;
                    assert_eq!(answered(own), "contoso");
                }
                for status in &told {
                    assert_eq!(whole(status), whole(&told[0]));
                }
                assert_eq!(refusal::<()>(Err(told.remove(0))), refused);
                let none = far.decisions.check_inbound(plaintext()).await;
                assert_eq!(refusal(none).1, "CALLER_UNKNOWN");
                explain_inbound(&mut near, &[&good]).await.unwrap();
            });
            let (_, metrics) = running.page("/metrics");
            let line = "postern_unauthenticated_calls_total{cause=\"plaintext\"} 15";
            assert!(metrics.contains(line), "{metrics}");
            // Nor is it kept anywhere.
            for event in running.events() {
                assert!(!event.to_string().contains("the-token-of"), "{event}");
            }
        },
    );
}

#[test]
fn a_token_is_taken_from_another_machine_over_tls() {
    with_address(
        "callers::beyond::a_token_is_taken_from_another_machine_over_tls",
        |address| {
            let edge = caller("edge", &["contoso"], "may = [\"check\", \"explain\"]");
            let place = SocketAddr::new(address, 0).to_string();
            let served = Served::at(&[edge], &[&place]);
            let beyond = listens(&served.running)[1];
            block_on(async {
                let good = format!("Bearer {}", token("edge"));
                let mut client = served.dial_at(beyond, None).await.unwrap();
                let asked = client.check_inbound(call(plaintext(), &[&good])).await;
                assert_eq!(answered(asked.map(Response::into_inner)), "contoso");
                let guess = client.check_inbound(by("egde", plaintext())).await;
                assert_eq!(refusal(guess).1, "CALLER_UNKNOWN");
            });
        },
    );
}

#[test]
fn health_is_open_from_everywhere() {
    with_address(
        "callers::beyond::health_is_open_from_everywhere",
        |address| {
            let edge = caller("edge", &["contoso"], "");
            let (_running, beyond) = serve_beyond(address, Some(&file(&[edge])));
            block_on(async {
                let channel: Channel = Endpoint::from_shared(format!("http://{beyond}"))
                    .unwrap()
                    .connect()
                    .await
                    .unwrap();
                assert_eq!(open::health(channel, &[]).await, Ok(()));
            });
        },
    );
}
