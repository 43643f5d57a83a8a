use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;

/// An authority and a certificate of it, in PEM and in DER.
struct Made {
    ca: String,
    certificate: String,
    key: String,
    der: Vec<u8>,
}

fn made(change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut params = CertificateParams::new(vec!["Fabrikam CA".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = ["postern.contoso.com", "192.0.2.7"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &ca).unwrap();
    Made {
        ca: ca.pem(),
        certificate: leaf.pem(),
        key: key.serialize_pem(),
        der: leaf.der().to_vec(),
    }
}

type Octets = io::Result<Vec<u8>>;

fn material(certificate: &Octets, key: &Octets, ca: Option<&Octets>) -> Result<Material, Unusable> {
    let pem = |path, octets| Pem {
        path: Path::new(path),
        octets,
    };
    let sources = Sources {
        certificate: pem("tls.crt", certificate),
        key: pem("tls.key", key),
        client_ca: ca.map(|ca| (pem("ca.crt", ca), true)),
        only_1_3: false,
    };
    Material::new(&sources, SystemTime::now())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands for a file that was read"
)]
fn text(text: &str) -> Octets {
    Ok(text.as_bytes().to_vec())
}

#[test]
fn a_pair_that_belongs_together_is_taken() {
    let made = made(|_| {});
    let chain = made.certificate.clone() + &made.ca;
    let taken = material(&text(&chain), &text(&made.key), Some(&text(&made.ca))).unwrap();
    assert_eq!(taken.names, ["postern.contoso.com", "192.0.2.7"]);
    assert!(taken.not_before < SystemTime::now() && SystemTime::now() < taken.not_after);
    assert_eq!(taken.config.alpn_protocols, [b"h2".to_vec()]);
    assert_eq!(taken.config.max_early_data_size, 0);
    let both = text(&format!(
        "# both in one file\n{}{}",
        made.key, made.certificate
    ));
    material(&both, &both, None).unwrap();
}

#[test]
fn what_is_wrong_is_told_with_the_file_and_the_remedy() {
    let (one, other) = (made(|_| {}), made(|_| {}));
    let old = made(|params| params.not_after = date_time_ymd(2001, 2, 3));
    let (certificate, key, ca) = (text(&one.certificate), text(&one.key), text(&one.ca));
    let empty = text("");
    let gone = || Err(ErrorKind::NotFound.into());
    let encrypted =
        text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let short = text("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n");
    let cut = text(one.certificate.split_at(300).0);
    let disordered = text(&(one.ca.clone() + &one.certificate));
    let cases = [
        (&gone(), &key, None),
        (&certificate, &Err(ErrorKind::PermissionDenied.into()), None),
        (&empty, &key, None),
        (&certificate, &empty, None),
        (&key, &certificate, None),
        (&Ok(one.der.clone()), &key, None),
        (&cut, &key, None),
        (&certificate, &encrypted, None),
        (&certificate, &short, None),
        (&certificate, &text(&other.key), None),
        (&disordered, &key, None),
        (&text(&old.certificate), &text(&old.key), None),
        (&certificate, &key, Some(&empty)),
        (&certificate, &key, Some(&gone())),
        (&certificate, &key, Some(&Ok(one.der.clone()))),
        (&certificate, &key, Some(&short)),
    ];
    let told: Vec<_> = cases
        .into_iter()
        .map(|(certificate, key, ca)| {
            let unusable = material(certificate, key, ca).unwrap_err();
            format!("{} [{}] {unusable}\n", unusable.place, unusable.code)
        })
        .collect();
    insta::assert_snapshot!(told.concat());
    material(&certificate, &key, Some(&ca)).unwrap();
}

#[test]
fn what_begins_to_hold_later_is_taken() {
    let made = made(|params| {
        params.not_before = date_time_ymd(2099, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
    });
    let taken = material(&text(&made.certificate), &text(&made.key), None).unwrap();
    assert!(taken.not_before > SystemTime::now());
}
