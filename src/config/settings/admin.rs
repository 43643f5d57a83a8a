//! `[admin]`: where operators look, and who may.

use super::{
    super::{
        finding::{Finding, Findings},
        listen::{Endpoint, Listen},
        table::{At, table},
    },
    Settings, callers, set,
};

table! {
    /// Health, status and metrics over HTTP.
    pub struct RawAdmin {
        /// The address and port to listen on.
        #[schemars(extend("default" = "127.0.0.1:9464"))]
        listen: Option<At<String>> = "listen" => "listen = \"127.0.0.1:9464\"";
        /// Let other machines look in plaintext; nothing else is spoken there.
        #[schemars(extend("default" = false))]
        allow_plaintext: Option<At<bool>> = "allow_plaintext" => "allow_plaintext = true";
        /// The SHA-256 of the tokens of which one is needed for all but /livez and /readyz.
        #[schemars(extend(
            "minItems" = 1,
            "items" = {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"},
        ))]
        token_sha256: Option<At<Vec<At<String>>>> = "token_sha256"
            => "token_sha256 = [\"<64 hex digits>\"]";
    }
}

/// Puts what `raw` says into `settings`, all but where to listen, which is read already.
pub(super) fn check(raw: &RawAdmin, settings: &mut Settings, findings: &mut Findings) {
    let allow = raw.allow_plaintext.as_ref().map(|allow| allow.value);
    set(&mut settings.admin_allow_plaintext, allow);
    let exposed = settings.exposed_admin();
    if let Some(finding) = exposed.and_then(|at| plaintext(&at, raw)) {
        findings.push(finding);
    }
    settings.admin_tokens = callers::tokens(raw.token_sha256.as_ref(), findings);
}

/// What is to be said where other machines could look in plaintext at `exposed`.
fn plaintext(exposed: &Endpoint, raw: &RawAdmin) -> Option<Finding> {
    let At { value, span } = raw.listen.as_ref()?;
    // Why: what cannot be read has findings of its own.
    value.parse::<Listen>().ok()?;
    if raw.unread.has("allow_plaintext") {
        return None;
    }
    let message = format!("`{exposed}` would show operators' pages to other machines in plaintext");
    let finding = Finding::error("plaintext-exposed", span.clone(), message);
    Some(finding.help(
        "listen on loopback, behind something that speaks TLS, or write `allow_plaintext = true` in \
         `[admin]` where nobody else is on the way",
    ))
}
