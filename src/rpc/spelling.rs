//! How serde writes generated messages so that they are proto3 JSON, with the field names of the
//! contract. `build.rs` says which fields need it; the tests hold it equal to [`super::json`].

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost_types::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::pb;

/// What is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

macro_rules! named {
    ($($name:ident: $kind:ident;)*) => {$(
        /// The name of the value, or its number where the contract has none.
        pub(super) fn $name<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
            match pb::$kind::try_from(*number) {
                Ok(kind) => to.serialize_str(kind.as_str_name()),
                Err(_) => to.serialize_i32(*number),
            }
        }
    )*};
}

named! {
    matched_by: MatchedBy;
    reason: Reason;
    selected_by: SelectedBy;
    tls_level: TlsLevel;
    trust: CertificateTrust;
    verdict: Verdict;
}

/// Octets as base64.
pub(super) fn octets<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&BASE64_STANDARD.encode(octets))
}

/// A time as RFC 3339 has it.
#[expect(clippy::ref_option, reason = "serde gives the field as it is")]
pub(super) fn time<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

impl Serialize for pb::Delivery {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use pb::delivery::Route;

        let fields = usize::from(self.route.is_some()) + usize::from(self.tls.is_some());
        let mut delivery = to.serialize_struct("Delivery", fields)?;
        match &self.route {
            Some(Route::Mx(mx)) => delivery.serialize_field("mx", mx)?,
            Some(Route::SmartHosts(hosts)) => delivery.serialize_field("smart_hosts", hosts)?,
            None => {}
        }
        if let Some(tls) = &self.tls {
            delivery.serialize_field("tls", tls)?;
        }
        delivery.end()
    }
}

#[cfg(test)]
mod tests;
