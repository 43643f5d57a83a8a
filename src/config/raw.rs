//! A connector set as it is written, with the place of every value; nothing is judged here but
//! keys, types, `version` and `[end]`.
//!
//! The comments on the fields are what editors show: the JSON Schema is made from them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    end,
    finding::Findings,
    foreign, rules, schema, syntax,
    table::{At, Field, Reader, Value, table},
};

/// Reads a connector set; whatever is wrong with its text, keys and types goes into `findings`.
///
/// The answer is none where the text is not TOML, or of another version than 1. Otherwise it holds
/// all that could be read, so that the rest can be judged in the same run.
pub fn read(text: &str, findings: &mut Findings) -> Option<RawSet> {
    let root = syntax::parse(text, findings)?;
    syntax::check_version(text, &root, findings)?;
    let set = Reader::read(text, &root, foreign::IN_SETS, findings);
    end::check(text, &root, findings);
    Some(set)
}

/// The JSON Schema of a connector set file, for editors.
pub fn schema() -> Schema {
    schema::of::<RawSet>("Postern connector set")
}

table! {
    /// The connectors of one organization: which partners its mail gateway has agreed what with.
    #[schemars(extend("allOf" = rules::set()))]
    pub struct RawSet {
        /// The version of this file's format.
        #[schemars(required, extend("const" = 1))]
        version: Option<At<i64>> = "version" => "version = 1";
        /// Of the whole set: `enforce`; `report` puts all connectors in report; `off` switches the
        /// set off. The weaker of it and a connector's own mode holds.
        #[schemars(extend("enum" = ["enforce", "report", "off"], "default" = "enforce"))]
        mode: Option<At<String>> = "mode" => "mode = \"report\"";
        /// Retires the set: calls that choose it are told that it does not exist, and then its
        /// file may be removed. It may keep `accepted_domains`, but no connectors.
        #[schemars(extend("default" = false))]
        retired: Option<At<bool>> = "retired" => "retired = true";
        /// The domains this organization receives mail for. They choose the set where a call names
        /// none. `*.contoso.com` is `contoso.com` and every domain below it.
        #[schemars(extend("items" = {"type": "string", "minLength": 1, "not": {"const": "*"}}))]
        accepted_domains: Option<At<Vec<At<String>>>> = "accepted_domains"
            => "accepted_domains = [\"contoso.com\"]";
        /// What partners must meet to send mail here.
        #[schemars(default)]
        inbound: Vec<At<RawInbound>> = "inbound";
        /// How mail is to be delivered to partners.
        #[schemars(default)]
        outbound: Vec<At<RawOutbound>> = "outbound";
        /// The last line of the file: a file without it was cut off, and is refused.
        #[schemars(required)]
        end: Option<At<RawEnd>> = "end";
    }
}

table! {
    /// What one partner must meet to send mail here.
    pub struct RawInbound {
        /// The name in answers, logs and metrics; unique among the inbound connectors.
        #[schemars(required, extend("minLength" = 1, "maxLength" = 64))]
        name: Option<At<String>> = "name" => "name = \"ContosoBank\"";
        /// A note for people: what was agreed, with whom.
        comment: Option<At<String>> = "comment" => "comment = \"Agreed with their postmaster\"";
        /// `enforce`; `report` only reports what the connector would change; `off`.
        #[schemars(extend("enum" = ["enforce", "report", "off"], "default" = "enforce"))]
        mode: Option<At<String>> = "mode" => "mode = \"report\"";
        /// How the partner is recognised: by exactly one of `sender_domains` and `client_ips`.
        #[schemars(required)]
        match_: Option<At<RawInboundMatch>> = "match";
        /// What the partner's mail must meet.
        #[schemars(required)]
        require: Option<At<RawInboundRequire>> = "require";
        /// What mail that does not meet it is answered.
        reply: Option<At<RawInboundReply>> = "reply";
    }
}

table! {
    /// How an inbound connector recognises its partner.
    #[schemars(extend("oneOf" = [{"required": ["sender_domains"]}, {"required": ["client_ips"]}]))]
    pub struct RawInboundMatch {
        /// The domains of the envelope sender: `contoso.com` alone, `*.contoso.com` with all below
        /// it, or `*` for everything.
        #[schemars(extend("minItems" = 1))]
        sender_domains: Option<At<Vec<At<String>>>> = "sender_domains"
            => "sender_domains = [\"contosobank.com\"]";
        /// The addresses and networks of the sending servers.
        #[schemars(extend("minItems" = 1))]
        client_ips: Option<At<Vec<At<String>>>> = "client_ips"
            => "client_ips = [\"203.0.113.0/24\"]";
        /// Only mail to these domains; without it, mail to any.
        #[schemars(extend("minItems" = 1))]
        recipient_domains: Option<At<Vec<At<String>>>> = "recipient_domains"
            => "recipient_domains = [\"contoso.com\"]";
    }
}

table! {
    /// What the mail of an inbound connector's partner must meet.
    #[schemars(extend("allOf" = rules::inbound_require()))]
    pub struct RawInboundRequire {
        /// `encrypt` demands TLS; `opportunistic` lifts what a more general connector demands.
        #[schemars(extend("enum" = ["opportunistic", "encrypt"]))]
        tls: Option<At<String>> = "tls" => "tls = \"encrypt\"";
        /// The lowest TLS version; implies `tls = "encrypt"`.
        #[schemars(extend("pattern" = TLS_VERSION, "examples" = ["TLSv1.2", "TLSv1.3"]))]
        tls_min_version: Option<At<String>> = "tls_min_version" => "tls_min_version = \"TLSv1.2\"";
        /// The names one of which a trusted client certificate must have; implies
        /// `tls = "encrypt"`. `*.contosobank.com` is `contosobank.com` and every name below it.
        #[schemars(extend("minItems" = 1))]
        certificate_names: Option<At<Vec<At<String>>>> = "certificate_names"
            => "certificate_names = [\"*.contosobank.com\"]";
        /// SHA-256 fingerprints of client certificates or of their public keys, one of which must
        /// match, trusted or not; implies `tls = "encrypt"`.
        #[schemars(extend(
            "minItems" = 1,
            "items" = {"type": "string", "pattern": FINGERPRINT},
        ))]
        certificate_fingerprints: Option<At<Vec<At<String>>>> = "certificate_fingerprints"
            => "certificate_fingerprints = [\"7D:D5:...\"]";
        /// The addresses and networks the mail may come from.
        #[schemars(extend("minItems" = 1))]
        client_ips: Option<At<Vec<At<String>>>> = "client_ips"
            => "client_ips = [\"203.0.113.0/24\"]";
        /// Whether the address and the certificate must both be right
        /// (`address-and-certificate`), or either (`address-or-certificate`); `unrestricted` lifts
        /// what a more general connector demands.
        #[schemars(extend(
            "enum" = ["address-and-certificate", "address-or-certificate", "unrestricted"],
        ))]
        origin: Option<At<String>> = "origin" => "origin = \"address-or-certificate\"";
    }
}

table! {
    /// What mail that an inbound connector refuses is answered.
    pub struct RawInboundReply {
        /// `reject` sends the mail back; `defer` lets the partner try again later.
        #[schemars(extend("enum" = ["reject", "defer"], "default" = "reject"))]
        action: Option<At<String>> = "action" => "action = \"defer\"";
        /// The text after the SMTP codes instead of the default one: 1 to 200 printable ASCII
        /// characters without braces.
        #[schemars(extend("pattern" = REPLY_TEXT))]
        text: Option<At<String>> = "text" => "text = \"mail from this domain must come over TLS\"";
    }
}

table! {
    /// How mail to one partner is to be delivered.
    #[schemars(extend("allOf" = rules::outbound()))]
    pub struct RawOutbound {
        /// The name in answers, logs and metrics; unique among the outbound connectors.
        #[schemars(required, extend("minLength" = 1, "maxLength" = 64))]
        name: Option<At<String>> = "name" => "name = \"ContosoBank out\"";
        /// A note for people: what was agreed, with whom.
        comment: Option<At<String>> = "comment" => "comment = \"Agreed with their postmaster\"";
        /// `enforce`; `report` only reports what the connector would change; `off`.
        #[schemars(extend("enum" = ["enforce", "report", "off"], "default" = "enforce"))]
        mode: Option<At<String>> = "mode" => "mode = \"report\"";
        /// `domains`: for the recipient domains of `[outbound.match]`; `rule`: only where a call
        /// names the connector.
        #[schemars(extend("enum" = ["domains", "rule"], "default" = "domains"))]
        scope: Option<At<String>> = "scope" => "scope = \"rule\"";
        /// Which mail it is for.
        match_: Option<At<RawOutboundMatch>> = "match";
        /// Where the mail goes; without it, by MX.
        route: Option<At<RawRoute>> = "route";
        /// What the partner's server must meet.
        require: Option<At<RawOutboundRequire>> = "require";
        /// What happens to mail that cannot be delivered so.
        reply: Option<At<RawOutboundReply>> = "reply";
    }
}

table! {
    /// Which mail an outbound connector is for.
    pub struct RawOutboundMatch {
        /// The domains of the recipient: `contoso.com` alone, `*.contoso.com` with all below it, or
        /// `*` for everything.
        #[schemars(extend("minItems" = 1))]
        recipient_domains: Option<At<Vec<At<String>>>> = "recipient_domains"
            => "recipient_domains = [\"contosobank.com\"]";
    }
}

table! {
    /// Where the mail of an outbound connector goes.
    pub struct RawRoute {
        /// The servers to deliver to: names or addresses, with `:port` where it is not 25, and
        /// IPv6 addresses in brackets then.
        #[schemars(required, extend("minItems" = 1))]
        smart_hosts: Option<At<Vec<At<String>>>> = "smart_hosts"
            => "smart_hosts = [\"mail.contosobank.com\"]";
    }
}

table! {
    /// What the server of an outbound connector's partner must meet.
    #[schemars(extend("allOf" = rules::outbound_require()))]
    pub struct RawOutboundRequire {
        /// `opportunistic`: TLS where it is offered; `encrypt`: always; `trusted`: with a
        /// certificate of a trusted authority; `domain`: with one of `certificate_names` or
        /// `certificate_fingerprints`.
        #[schemars(extend("enum" = ["opportunistic", "encrypt", "trusted", "domain"]))]
        tls: Option<At<String>> = "tls" => "tls = \"encrypt\"";
        /// The names one of which the server's trusted certificate must have; with
        /// `tls = "domain"`.
        #[schemars(extend("minItems" = 1))]
        certificate_names: Option<At<Vec<At<String>>>> = "certificate_names"
            => "certificate_names = [\"*.contosobank.com\"]";
        /// SHA-256 fingerprints of server certificates or of their public keys, one of which must
        /// match, trusted or not; with `tls = "encrypt"` or `tls = "domain"`.
        #[schemars(extend(
            "minItems" = 1,
            "items" = {"type": "string", "pattern": FINGERPRINT},
        ))]
        certificate_fingerprints: Option<At<Vec<At<String>>>> = "certificate_fingerprints"
            => "certificate_fingerprints = [\"7D:D5:...\"]";
        /// The lowest TLS version; implies at least `tls = "encrypt"`.
        #[schemars(extend("pattern" = TLS_VERSION, "examples" = ["TLSv1.2", "TLSv1.3"]))]
        tls_min_version: Option<At<String>> = "tls_min_version" => "tls_min_version = \"TLSv1.2\"";
    }
}

table! {
    /// What happens to mail that an outbound connector does not let through.
    pub struct RawOutboundReply {
        /// `defer` keeps the mail in the queue; `reject` sends it back to its sender.
        #[schemars(extend("enum" = ["defer", "reject"], "default" = "defer"))]
        action: Option<At<String>> = "action" => "action = \"reject\"";
        /// The text after the SMTP codes instead of the default one: 1 to 200 printable ASCII
        /// characters without braces.
        #[schemars(extend("pattern" = REPLY_TEXT))]
        text: Option<At<String>> = "text" => "text = \"the partner must offer TLS\"";
    }
}

/// The last line of the file, `[end]`; what stands in it is a finding of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawEnd;

impl JsonSchema for RawEnd {
    fn schema_name() -> Cow<'static, str> {
        "RawEnd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": false})
    }
}

impl Value for RawEnd {
    const FIELDS: Option<&'static [Field]> = Some(&[]);

    fn take(
        _: &Spanned<DeValue<'_>>,
        _: &'static Field,
        _: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        (Some(Self), true)
    }
}

// As the reader of versions takes them, in any case.
const TLS_VERSION: &str = "^([Ss][Ss][Ll][Vv]3|([Tt][Ll][Ss][Vv]?)?[ _]?1([._][0-3])?)$";
const FINGERPRINT: &str = "^:*([0-9A-Fa-f]:*){64}$";
const REPLY_TEXT: &str = "^[ -z|~]{1,200}$";

#[cfg(test)]
mod tests;
