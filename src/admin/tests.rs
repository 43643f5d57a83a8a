use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use tower::ServiceExt as _;

use super::*;
use crate::{
    config,
    live::{Fault, Snapshot, Status},
    policy::{Catalog, Entry},
};

const CONTOSO: &str = r#"version = 1
accepted_domains = ["contoso.com", "*.contoso.net"]
[[inbound]]
name = "ContosoBank"
match.sender_domains = ["contosobank.com"]
require.tls = "encrypt"
[[inbound]]
name = "Filter"
mode = "report"
match.sender_domains = ["*"]
require.client_ips = ["192.0.2.0/24"]
[[outbound]]
name = "ContosoBank out"
mode = "off"
match.recipient_domains = ["contosobank.com"]
require.tls = "encrypt"
[end]
"#;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn admin() -> Admin {
    let set = config::load_str("contoso", CONTOSO).set.unwrap();
    let mut entry = Entry::new(set);
    entry.stale = true;
    let fault = |place: &str| Fault {
        place: place.into(),
        code: "key-unknown".into(),
        message: "unknown key `tsl`".into(),
        since: at(7),
    };
    let status = BTreeMap::from([
        (
            "contoso".to_owned(),
            Status {
                loaded_at: Some(at(0)),
                fault: Some(fault("contoso.toml:7:1")),
            },
        ),
        (
            "new".to_owned(),
            Status {
                loaded_at: None,
                fault: Some(fault("new.toml:1:1")),
            },
        ),
    ]);
    let catalog = Catalog::new(vec![entry], None);
    let live = Live::new(Snapshot {
        catalog,
        status,
        directory_fault: None,
    });
    Admin::new(Arc::new(live), Metrics::new(), Ready::default(), at(1))
}

/// Status, content type and text of the answer to a GET of `path`.
async fn get(admin: &Admin, path: &str, accept: &str) -> (u16, String, String) {
    let request = Request::get(path)
        .header(header::ACCEPT, accept)
        .body(Body::empty())
        .unwrap();
    let response = admin.clone().router().oneshot(request).await.unwrap();
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn ready_is_what_the_process_says() {
    let admin = admin();
    assert_eq!(get(&admin, "/livez", "").await.0, 200);
    assert_eq!(get(&admin, "/readyz", "").await.0, 503);
    admin.ready.set(true);
    assert_eq!(get(&admin, "/readyz", "").await.0, 200);
    admin.ready.set(false);
    assert_eq!(get(&admin, "/readyz", "").await.0, 503);
    assert_eq!(get(&admin, "/livez", "").await.0, 200);
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let (status, _, page) = get(&admin(), "/healthz", "").await;
    assert_eq!(status, 404);
    assert!(page.starts_with("there is no /healthz here\n") && page.ends_with(INDEX));
    let (status, kind, page) = get(&admin(), "/", "").await;
    assert_eq!(
        (status, kind.as_str(), page.as_str()),
        (200, "text/plain; charset=utf-8", INDEX)
    );
}

#[tokio::test]
async fn status_says_what_is_in_force() {
    let (status, kind, page) = get(&admin(), "/status", "").await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    insta::assert_snapshot!(page);
}

#[tokio::test]
async fn metrics_come_in_the_format_asked_for() {
    let admin = admin();
    let (_, kind, page) = get(&admin, "/metrics", "*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.contains("\n# TYPE postern_rpc_requests_total counter\n"));
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let (_, kind, page) = get(&admin, "/metrics", accept).await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(page.contains("\n# TYPE postern_rpc_requests counter\n") && page.ends_with("# EOF\n"));
}
