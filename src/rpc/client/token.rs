//! The token that shows a server who asks.

use std::fmt;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// A bearer token; it is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(MetadataValue<Ascii>);

impl Token {
    /// The token that `text` is, without the blanks and line breaks around it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let whole = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
        let mut value: MetadataValue<Ascii> = Some(text)
            .filter(|_| whole)
            .and_then(|text| format!("Bearer {text}").parse().ok())
            .ok_or(TokenError(()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The text is no token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a token is one word of letters, digits and signs")]
pub struct TokenError(());

/// Sends a token with each call, where there is one.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<Token>);

impl Bearer {
    /// Sends `token`.
    pub(super) fn new(token: Option<&Token>) -> Self {
        Self(token.cloned())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Token(value)) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let token = Token::new(" t0ken-_~+/=\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
        let request = Bearer::new(Some(&token)).call(Request::new(())).unwrap();
        let sent = request.metadata().get("authorization").unwrap();
        assert_eq!(sent, "Bearer t0ken-_~+/=");
        assert!(!format!("{request:?}").contains("t0ken"));
        let request = Bearer::default().call(Request::new(())).unwrap();
        assert!(request.metadata().is_empty());
        for text in ["", " \n", "two words", "tökén", "a\u{7f}"] {
            assert!(Token::new(text).is_err(), "{text:?}");
        }
    }
}
