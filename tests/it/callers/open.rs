//! What is open to whom: health, reflection.

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use super::*;

async fn channel(running: &Running) -> Channel {
    let url = format!("http://{}", running.listen);
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

pub(super) async fn health(channel: Channel, authorization: &[&str]) -> Result<(), Code> {
    let asked = call(HealthCheckRequest::default(), authorization);
    let mut client = HealthClient::new(channel);
    let checked = client.check(asked).await.map(drop);
    let asked = call(HealthCheckRequest::default(), authorization);
    let watched = client.watch(asked).await.map(drop);
    assert_eq!(
        checked.as_ref().map_err(Status::code),
        watched.as_ref().map_err(Status::code)
    );
    checked.map_err(|status| status.code())
}

async fn reflection(channel: Channel, authorization: &[&str]) -> Result<(), Code> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = call(tokio_stream::once(request), authorization);
    let mut client = ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(asked).await;
    answers.map(drop).map_err(|status| status.code())
}

#[test]
fn health_is_open_or_for_callers_and_reflection_is_for_callers() {
    let file = file(&[caller("edge", &["contoso"], "calls_per_second = 1")]);
    let good = format!("Bearer {}", token("edge"));
    let guess = format!("Bearer {}", token("egde"));
    let refused = Err(Code::Unauthenticated);
    for (settings, open) in [
        ("", Ok(())),
        (
            "[callers]\nhealth = \"open\"\nfile = \"callers.toml\"\n",
            Ok(()),
        ),
        ("[callers]\nhealth = \"known\"\n", refused),
    ] {
        let running = serve_with(Some(&file), settings);
        block_on(async {
            let channel = channel(&running).await;
            assert_eq!(health(channel.clone(), &[]).await, open, "{settings}");
            assert_eq!(health(channel.clone(), &[&guess]).await, open, "{settings}");
            // Its limit is for questions: probes do not use it up.
            for _ in 0..5 {
                assert_eq!(
                    health(channel.clone(), &[&good]).await,
                    Ok(()),
                    "{settings}"
                );
            }
            assert_eq!(reflection(channel.clone(), &[]).await, refused);
            assert_eq!(reflection(channel.clone(), &[&guess]).await, refused);
            assert_eq!(reflection(channel, &[&good]).await, Ok(()));
        });
    }
    let running = serve_with(None, "[callers]\nhealth = \"known\"\n");
    block_on(async {
        let channel = channel(&running).await;
        assert_eq!(health(channel.clone(), &[]).await, Ok(()));
        assert_eq!(reflection(channel, &[]).await, Ok(()));
    });
}
