//! The file of callers as it is written, with the place of every value.

use schemars::Schema;

use crate::config::{
    end,
    finding::Findings,
    raw::RawEnd,
    schema, syntax,
    table::{At, Reader, table},
};

/// Reads a file of callers; whatever is wrong with its text, keys and types goes into `findings`.
pub(crate) fn read(text: &str, findings: &mut Findings) -> Option<RawCallers> {
    let root = syntax::parse(text, findings)?;
    syntax::check_version(text, &root, findings)?;
    let callers = Reader::read(text, &root, &[], findings);
    end::check(text, &root, findings);
    Some(callers)
}

/// The JSON Schema of a file of callers, for editors.
pub fn schema() -> Schema {
    schema::of::<RawCallers>("Postern callers")
}

table! {
    /// Who may ask a Postern service, and what.
    pub struct RawCallers {
        /// The version of this file's format.
        #[schemars(required, extend("const" = 1))]
        version: Option<At<i64>> = "version" => "version = 1";
        /// Who may ask; everybody else is refused.
        #[schemars(extend("minItems" = 1))]
        callers: Vec<At<RawCaller>> = "callers";
        /// The last line of the file: a file without it was cut off, and is refused.
        #[schemars(required)]
        end: Option<At<RawEnd>> = "end";
    }
}

table! {
    /// A gateway, or a fleet of them, that may ask. One of the three lists by which it is known is
    /// enough.
    #[schemars(extend("anyOf" = [
        {"required": ["certificate_names"]},
        {"required": ["certificate_uris"]},
        {"required": ["token_sha256"]},
    ]))]
    pub struct RawCaller {
        /// The name in logs, metrics and traces; unique in the file.
        #[schemars(required, extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        name: Option<At<String>> = "name" => "name = \"contoso-edge\"";
        /// Known by a verified client certificate with one of these dNSNames, whole.
        #[schemars(extend("minItems" = 1, "items" = {"type": "string", "pattern": "^[^*]+$"}))]
        certificate_names: Option<At<Vec<At<String>>>> = "certificate_names"
            => "certificate_names = [\"mx1.contoso.com\"]";
        /// Known by a verified client certificate with one of these URIs, whole: SPIFFE ids, say.
        #[schemars(extend(
            "minItems" = 1,
            "items" = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:[!-)+-~]+$"},
        ))]
        certificate_uris: Option<At<Vec<At<String>>>> = "certificate_uris"
            => "certificate_uris = [\"spiffe://contoso.com/ns/mail/sa/gateway\"]";
        /// Known by a token with one of these SHA-256; `postern token` makes both.
        #[schemars(extend(
            "minItems" = 1,
            "items" = {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"},
        ))]
        token_sha256: Option<At<Vec<At<String>>>> = "token_sha256"
            => "token_sha256 = [\"<64 hex digits>\"]";
        /// The connector sets that it may ask; `["*"]` for every one.
        #[schemars(required, extend(
            "minItems" = 1,
            "if" = {"contains": {"const": "*"}},
            "then" = {"maxItems": 1},
            "items" = {"type": "string", "pattern": "^([*]|[a-z0-9][a-z0-9._-]{0,62})$"},
        ))]
        sets: Option<At<Vec<At<String>>>> = "sets" => "sets = [\"contoso\"]";
        /// `check`: it may ask for decisions; `explain`: for how they come about.
        #[schemars(extend(
            "minItems" = 1,
            "default" = ["check"],
            "items" = {"type": "string", "enum": ["check", "explain"]},
        ))]
        may: Option<At<Vec<At<String>>>> = "may" => "may = [\"check\", \"explain\"]";
        /// How many questions it may ask in a second; without it, as many as it likes.
        #[schemars(extend("minimum" = 1, "maximum" = 1_000_000))]
        calls_per_second: Option<At<i64>> = "calls_per_second" => "calls_per_second = 2000";
        /// How many calls it may have in flight, streams included; without it, half of `calls` in
        /// `[server.limits]`.
        #[schemars(extend("minimum" = 1, "maximum" = 10_000_000))]
        calls: Option<At<i64>> = "calls" => "calls = 500";
    }
}
