//! What the JSON Schemas say about keys that go together; `check` is what counts.

use serde_json::{Value, json};

/// A retired set has no connectors.
pub(crate) fn set() -> Value {
    let none = json!({"maxItems": 0});
    let then = json!({"properties": {"inbound": none, "outbound": none}});
    json!([{"if": written("retired", &json!(true)), "then": then}])
}

/// The demands of an inbound connector do not contradict each other.
pub(crate) fn inbound_require() -> Value {
    let either = written("origin", &json!("address-or-certificate"));
    let lifted = written("tls", &json!("opportunistic"));
    let lifted_alone = json!({"allOf": [lifted, {"not": either}]});
    let demands = [MINIMUM, "tls", ADDRESSES, NAMES, PINS];
    json!([
        {"if": either, "then": {"allOf": [any_of(&[ADDRESSES]), any_of(&[NAMES, PINS])]}},
        {
            "if": written("origin", &json!("unrestricted")),
            "then": {"not": any_of(&[ADDRESSES, NAMES, PINS])},
            "else": any_of(&demands),
        },
        {"if": lifted, "then": {"not": any_of(&[MINIMUM])}},
        {"if": lifted_alone, "then": {"not": any_of(&[NAMES, PINS])}},
    ])
}

/// An outbound connector says which mail it is for, and changes something.
pub(crate) fn outbound() -> Value {
    let demands = json!({"properties": {"require": {"minProperties": 1}}, "required": ["require"]});
    json!([
        {
            "if": written("scope", &json!("rule")),
            "then": {"not": {"properties": {"match": any_of(&["recipient_domains"])}, "required": ["match"]}},
            "else": {"properties": {"match": any_of(&["recipient_domains"])}, "required": ["match"]},
        },
        {"anyOf": [{"required": ["route"]}, demands]},
    ])
}

/// The demands of an outbound connector go with its level.
pub(crate) fn outbound_require() -> Value {
    let level = |level: &str| written("tls", &json!(level));
    json!([
        {"if": any_of(&[NAMES]), "then": level("domain")},
        {
            "if": any_of(&[PINS]),
            "then": {"anyOf": [
                level("domain"),
                level("encrypt"),
                {"allOf": [any_of(&[MINIMUM]), {"not": any_of(&["tls"])}]},
            ]},
        },
        {"if": level("domain"), "then": any_of(&[NAMES, PINS])},
        {"if": level("opportunistic"), "then": {"not": any_of(&[MINIMUM])}},
    ])
}

/// True of tables in which `key` is written with this value.
fn written(key: &str, value: &Value) -> Value {
    json!({"properties": {key: {"const": value}}, "required": [key]})
}

/// True of tables in which one of `keys` is written.
fn any_of(keys: &[&str]) -> Value {
    match keys {
        [only] => json!({"required": [only]}),
        _ => {
            json!({"anyOf": keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()})
        }
    }
}

const ADDRESSES: &str = "client_ips";
const MINIMUM: &str = "tls_min_version";
const NAMES: &str = "certificate_names";
const PINS: &str = "certificate_fingerprints";
