//! Whether the connector that mail is waited for is one of those here.

use crate::{
    cli::{Context, exit::Exit, output::shown, sets::Reading},
    policy::ConnectorSet,
};

/// What to say where the connectors of the settings are at hand, and none of them is called
/// `connector`; the log may be that of another machine, with other connectors.
pub(super) fn doubt(connector: &str, set: Option<&str>, context: &Context<'_>) -> Option<String> {
    let settings = context.settings(Exit::Usage).ok()?.settings;
    let reading = Reading::directory(&settings.connectors, None, &settings.bounds, &|_, _| {});
    if reading.has_errors() {
        return None;
    }
    let sets = reading.sets();
    let sets: Vec<_> = sets
        .filter(|it| set.is_none_or(|set| it.name() == set))
        .collect();
    let names = || sets.iter().flat_map(|set| names(set));
    if names().next().is_none() || names().any(|name| name == connector) {
        return None;
    }
    let place = settings.connectors.display();
    let said = format!("no connector in `{place}` is called `{}`", shown(connector));
    let folded = connector.to_lowercase();
    let nearest = names()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&folded, &name.to_lowercase()),
                name,
            )
        })
        .min();
    Some(match nearest {
        Some((distance, name)) if distance <= FAR => {
            format!("{said}: did you mean `{}`?", shown(name))
        }
        _ => format!("{said}: `postern list` shows how they are called"),
    })
}

fn names(set: &ConnectorSet) -> impl Iterator<Item = &str> {
    let inbound = set.inbound().iter().map(|it| &*it.name);
    inbound.chain(set.outbound().iter().map(|it| &*it.name))
}

/// Slips of the hand that a name is still recognised with.
const FAR: usize = 3;
