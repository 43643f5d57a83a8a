use super::*;
use crate::{
    rpc::{failure::Failure, limits::Limits},
    telemetry::Metrics,
};

const CHECK: &str = "/postern.v1.PolicyDecisionService/CheckInbound";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn bounds(connections: usize) -> Bounds {
    let second = Duration::from_secs(1);
    let limits = Limits {
        message_octets: 1024,
        calls: 3,
        calls_per_connection: 10,
        streams_per_connection: 1,
        connections,
        partial_octets: 1024,
        lag: Some(second),
        message_timeout: second,
        handshake_timeout: second,
        idle: None,
        age: None,
        age_grace: second,
        keepalive_interval: None,
        keepalive_timeout: second,
        ping_interval: None,
    };
    Bounds::new(limits, Metrics::new())
}

fn open(bounds: &Bounds) -> Option<Arc<Line>> {
    Line::open(bounds, Arc::new(Lag::new(None)), &CancellationToken::new())
}

/// What is said to a call that is turned away.
fn refusal(refused: Result<Permit, (Limit, HeaderMap)>) -> String {
    let (_, headers) = refused.unwrap_err();
    assert!(headers.contains_key("grpc-retry-pushback-ms"));
    let status = tonic::Status::from_header_map(&headers).unwrap();
    Failure::from(&status).to_string()
}

/// What is to be said where `limit` is reached.
fn overloaded(limit: Limit) -> String {
    Failure::overloaded(limit).to_string()
}

#[tokio::test]
async fn calls_are_counted_over_all_connections() {
    let bounds = bounds(10);
    let (one, two) = (open(&bounds).unwrap(), open(&bounds).unwrap());
    let held = [one.admit(CHECK), one.admit(CHECK), two.admit(CHECK)].map(Result::unwrap);
    assert_eq!(refusal(two.admit(CHECK)), overloaded(Limit::Calls));
    let health = [WATCH; HEALTH_CALLS].map(|path| two.admit(path).unwrap());
    let refused = two.admit(WATCH);
    assert_eq!(refusal(refused), overloaded(Limit::StreamsPerConnection));
    let elsewhere = one.admit(WATCH).unwrap();
    assert_eq!(two.standing().calls, 1 + HEALTH_CALLS);
    assert_eq!(bounds.load().calls.now(), 3);
    drop((held, health, elsewhere));
    assert_eq!(bounds.load().calls.now(), 0);
    assert_eq!((one.standing().calls, two.standing().calls), (0, 0));
    assert_eq!(
        (one.standing().begun, two.standing().begun),
        (3, 1 + HEALTH_CALLS)
    );
    one.admit(CHECK).unwrap();
}

#[tokio::test]
async fn a_connection_has_so_many_streams() {
    let bounds = bounds(10);
    let (one, two) = (open(&bounds).unwrap(), open(&bounds).unwrap());
    let held = one.admit(CHECK_STREAM).unwrap();
    assert!(one.last_call_lasts());
    let refused = one.admit(CHECK_STREAM);
    assert_eq!(refusal(refused), overloaded(Limit::StreamsPerConnection));
    let refused = one.admit(REFLECT);
    assert_eq!(refusal(refused), overloaded(Limit::StreamsPerConnection));
    two.admit(REFLECT).unwrap();
    two.admit(CHECK_STREAM).unwrap();
    one.admit(CHECK).unwrap();
    assert!(!one.last_call_lasts());
    assert_eq!(bounds.load().calls.now(), 1);
    drop(held);
    one.admit(CHECK_STREAM).unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_may_ask_for_health() {
    let bounds = bounds(1);
    let regular = open(&bounds).unwrap();
    let late = open(&bounds).unwrap();
    assert_eq!(regular.lifetime().age, None);
    assert_eq!(late.lifetime().age, Some(RESERVE_AGE));
    assert_eq!(late.lifetime().idle, Some(Duration::from_secs(1)));
    let health = late.admit(WATCH).unwrap();
    assert!(!late.ending().is_cancelled());
    assert_eq!(refusal(late.admit(CHECK)), overloaded(Limit::Connections));
    assert!(late.ending().is_cancelled());
    regular.admit(CHECK).unwrap();
    let mut others: Vec<_> = (1..RESERVE).map(|_| open(&bounds).unwrap()).collect();
    assert!(open(&bounds).is_none());
    assert_eq!(bounds.load().connections.now(), 1 + RESERVE);
    // Once there is room, one that is still there may ask like any other.
    let patient = others.pop().unwrap();
    drop((regular, late, health, others));
    assert_eq!(bounds.load().connections.now(), 1);
    patient.admit(CHECK).unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_known_since_when_a_peer_takes_nothing() {
    let line = open(&bounds(1)).unwrap();
    assert_eq!(line.standing().stuck, None);
    tokio::time::advance(Duration::from_secs(3)).await;
    line.takes(false);
    tokio::time::advance(Duration::from_secs(3)).await;
    line.takes(false);
    let since = line.began() + Duration::from_secs(3);
    assert_eq!(line.standing().stuck, Some(since));
    line.takes(true);
    assert_eq!(line.standing().stuck, None);
    assert!(!line.standing().speaks);
    line.speaks();
    assert!(line.standing().speaks);
}
