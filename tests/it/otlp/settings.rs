//! What settings and variables say of where to send, and what is said where they are wrong.

use std::{fs, process::Output};

use tempfile::TempDir;
use tonic::transport::Identity;

use super::{
    AT_ONCE, gateway,
    receiver::{Receiver, attribute},
};
use crate::running::{Running, block_on, demands_tls, plaintext, postern};

fn ask(running: &Running) {
    block_on(async {
        let mut gateway = gateway(running).await;
        gateway.check_inbound(plaintext()).await.unwrap();
    });
}

#[test]
fn headers_and_resource_go_along() {
    let receiver = Receiver::new();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("headers");
    fs::write(&file, "# the token of ours\nauthorization: Bearer 4711\n\n").unwrap();
    let settings = format!(
        "[tracing]\nendpoint = \"{}\"\nheaders = {{ X-Tenant = \"mail\" }}\nheaders_file = {file:?}\n\
         resource = {{ \"deployment.environment.name\" = \"test\", \"service.name\" = \"x\" }}\n",
        receiver.endpoint()
    );
    let variables = [
        AT_ONCE[0],
        AT_ONCE[1],
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_RESOURCE_ATTRIBUTES", "host.name=mx1"),
    ];
    let running = Running::serve_told(&demands_tls("one"), &settings, &variables);
    ask(&running);
    receiver.spans(1);
    let kept = receiver.received();
    let header = |name: &str| kept.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("x-tenant"), "mail");
    assert_eq!(header("authorization"), "Bearer 4711");
    let told = |name: &str| attribute(&kept.resource, name).unwrap();
    assert_eq!(told("service.name"), "edge");
    assert_eq!(told("host.name"), "mx1");
    assert_eq!(told("deployment.environment.name"), "test");
    assert_eq!(told("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(told("service.instance.id").len(), 32);
    let log = format!("{:?}", running.events());
    assert!(!log.contains("4711"), "{log}");
}

#[test]
fn variables_are_enough_and_go_before_the_file() {
    let receiver = Receiver::new();
    let endpoint = receiver.endpoint();
    let variables = [
        AT_ONCE[0],
        AT_ONCE[1],
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=ma%20il"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
    ];
    for file in [
        "",
        "[tracing]\nendpoint = \"http://127.0.0.1:9\"\nheaders = { x-tenant = \"no\" }\nsample = 0.0\n",
    ] {
        let before = receiver.received().spans.len();
        let running = Running::serve_told(&demands_tls("one"), file, &variables);
        ask(&running);
        receiver.spans(before + 1);
        receiver.wait(|received| (!received.metrics.is_empty()).then_some(()));
        let headers = receiver.received().headers;
        assert_eq!(headers.get("x-tenant").unwrap(), "ma il");
    }
    let before = receiver.received().spans.len();
    let off = [
        variables[0],
        variables[1],
        variables[2],
        ("OTEL_SDK_DISABLED", "true"),
    ];
    let mut running = Running::serve_told(
        &demands_tls("one"),
        "[shutdown]\ndrain_delay = \"0s\"\n",
        &off,
    );
    ask(&running);
    running.signal("TERM");
    assert!(running.end().0.success());
    assert_eq!(receiver.received().spans.len(), before);
}

#[test]
fn the_collector_may_speak_tls() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]);
    let certificate = certificate.unwrap().self_signed(&key).unwrap();
    let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
    let receiver = Receiver::on("127.0.0.1:0".parse().unwrap(), Some(identity));
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, certificate.pem()).unwrap();
    let endpoint = format!("https://localhost:{}", receiver.address.port());
    let settings = format!("[tracing]\nendpoint = \"{endpoint}\"\nca = {ca:?}\n");
    let running = Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE);
    ask(&running);
    receiver.spans(1);

    // A certificate that nobody vouches for gets nothing.
    let settings = format!("[tracing]\nendpoint = \"{endpoint}\"\n");
    let running = Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE);
    ask(&running);
    let said = running.logged(|event| event.to_string().contains("spans cannot be sent"));
    assert!(said.to_string().contains("UnknownIssuer"), "{said}");
    assert_eq!(receiver.received().spans.len(), 1);
}

fn start(settings: &str, variables: &[(&str, &str)]) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("postern.toml");
    fs::write(&file, format!("version = 1\n{settings}")).unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    postern()
        .args(["serve", "--config"])
        .arg(file)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() {
    let settings = "[tracing]\nheaders = { authorization = \"Bearer geheim\" }\nsample = 7\n";
    let output = start(settings, &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("share-invalid") && said.contains("authorization"),
        "{said}"
    );
    assert!(!said.contains("geheim"), "{said}");

    let settings = "[tracing]\nendpoint = \"https://127.0.0.1:1\"\nca = \"missing.pem\"\n";
    let output = start(settings, &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("missing.pem") && said.contains("`ca` of the collector"),
        "{said}"
    );

    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_TRACES_SAMPLER", "xray"),
    ];
    let said = String::from_utf8(start("", &variables).stderr).unwrap();
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"] {
        assert!(
            said.contains(&format!("variable {name} is not used")),
            "{said}"
        );
    }
}
