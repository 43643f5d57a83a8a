//! Cedar, with a policy for each pattern of each connector, as one writes policies there;
//! `peers/microsoft` has some that were written by hand.
//!
//! What Cedar does not have, and how it is got round:
//! - A verdict is Allow or Deny: no DEFER, and no CONDITIONAL where a recipient is not known yet.
//!   The policies that deny tell the connectors, and not which demand it was: that would take a
//!   policy for each demand, which is slower.
//! - No policy is more specific than another: each excepts the senders that have a demand of their
//!   own, which is worked out when the text is made.
//! - A sender's domain is in the hierarchy under each pattern that covers it: the caller lists
//!   them, so that `principal in` is all that is asked.
//! - A set cannot be searched for a name that is *like* another: the caller lists, beside the
//!   names of the certificate, each domain that they lie within.
//! - No sentences and no reply are made, and reports are not weighed.

mod text;

use std::{collections::HashSet, error::Error, str::FromStr};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression as Expression,
};
use postern::{
    mail::PresentedName,
    policy::{
        ConnectorSet, InboundFacts,
        facts::{CertificateFacts, TlsFacts, Trust},
    },
};

use super::patterns;

/// Connectors as policies.
#[derive(Debug)]
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    action: EntityUid,
}

/// What the policies are given of a session.
#[derive(Debug)]
pub struct Question {
    request: Request,
    entities: Entities,
}

impl Cedar {
    /// The inbound connectors of `set` that are enforced.
    pub fn new(set: &ConnectorSet) -> Result<Self, Box<dyn Error>> {
        Self::of_text(&text::policies(set))
    }

    /// Policies as they were written by hand.
    pub fn of_text(text: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: PolicySet::from_str(text)?,
            action: uid("Action", "CheckInbound")?,
        })
    }

    /// How many policies there are.
    pub fn policies(&self) -> usize {
        self.policies.num_of_policies()
    }

    /// A session in the form that the policies read.
    pub fn question(&self, facts: &InboundFacts<'_>) -> Result<Question, Box<dyn Error>> {
        let recipient = facts.rcpt_to.as_ref();
        let sender = entity("Sender", patterns(facts.mail_from.domain()))?;
        let recipient = entity(
            "Recipient",
            recipient
                .map(|recipient| patterns(recipient.domain()))
                .unwrap_or_default(),
        )?;
        let address = Expression::new_ip(facts.client_ip.to_string());
        let mut context = vec![("client_ip".to_owned(), address)];
        if let Some(seen) = &facts.tls {
            context.push(("tls".to_owned(), tls(seen)?));
        }
        let request = Request::new(
            sender.uid(),
            self.action.clone(),
            recipient.uid(),
            Context::from_pairs(context)?,
            None,
        )?;
        let entities = Entities::from_entities([sender, recipient], None)?;
        Ok(Question { request, entities })
    }

    /// True where no policy denies it.
    pub fn allows(&self, question: &Question) -> bool {
        let (request, entities) = (&question.request, &question.entities);
        let response = self
            .authorizer
            .is_authorized(request, &self.policies, entities);
        response.decision() == Decision::Allow
    }

    /// What went wrong while a question was decided: a policy that fails is left out silently.
    pub fn faults(&self, question: &Question) -> Vec<String> {
        let (request, entities) = (&question.request, &question.entities);
        let response = self
            .authorizer
            .is_authorized(request, &self.policies, entities);
        response
            .diagnostics()
            .errors()
            .map(ToString::to_string)
            .collect()
    }
}

fn entity(kind: &str, patterns: Vec<String>) -> Result<Entity, Box<dyn Error>> {
    let parents: Result<HashSet<EntityUid>, _> = patterns
        .iter()
        .map(|pattern| uid("Pattern", pattern))
        .collect();
    Ok(Entity::new_no_attrs(uid(kind, "it")?, parents?))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Box<dyn Error>> {
    Ok(EntityUid::from_type_name_and_id(kind.parse()?, id.parse()?))
}

fn tls(seen: &TlsFacts<'_>) -> Result<Expression, Box<dyn Error>> {
    let mut fields = vec![(
        "version".to_owned(),
        Expression::new_long(seen.version as i64),
    )];
    if let Some(seen) = &seen.certificate {
        fields.push(("certificate".to_owned(), certificate(seen)?));
    }
    Ok(Expression::new_record(fields)?)
}

fn certificate(seen: &CertificateFacts<'_>) -> Result<Expression, Box<dyn Error>> {
    let mut names = Vec::new();
    for name in seen.names.iter().filter_map(|name| name.name.as_ref()) {
        let (PresentedName::Exact(domain) | PresentedName::Wildcard(domain)) = name;
        names.push(match name {
            PresentedName::Exact(domain) => domain.to_string(),
            PresentedName::Wildcard(base) => format!("*.{base}"),
        });
        names.extend(domain.ancestors().map(|above| format!("within {above}")));
    }
    let pins = seen
        .fingerprints()
        .map(|seen| Expression::new_string(seen.to_string()));
    let names = names.into_iter().map(Expression::new_string);
    Ok(Expression::new_record([
        (
            "trusted".to_owned(),
            Expression::new_bool(seen.trust == Trust::Trusted),
        ),
        ("names".to_owned(), Expression::new_set(names)),
        ("fingerprints".to_owned(), Expression::new_set(pins)),
    ])?)
}
