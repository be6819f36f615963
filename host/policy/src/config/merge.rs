//! The administrator's file and the user's, as one.

use super::{Config, ConfigError};
use crate::{Grant, OriginPattern};

pub(super) fn merge(admin: Config, user: Config) -> Result<Config, ConfigError> {
    let mut merged = admin;
    for (name, spec) in user.credentials {
        let place = user.places.get(&name).cloned().unwrap_or_default();
        if merged.credentials.contains_key(&name) {
            let first = merged.places.get(&name).cloned().unwrap_or_default();
            return Err(ConfigError::at(
                place,
                format!("credential `{name}` is already defined at {first}"),
            )
            .with_hint("a user's file only adds; give yours another name"));
        }
        merged.credentials.insert(name.clone(), spec);
        merged.places.insert(name, place);
    }
    merged.grants.extend(user.grants);
    merged.allow_metadata |= user.allow_metadata;
    for (limit, value) in user.limits {
        merged
            .limits
            .entry(limit)
            .and_modify(|admins| *admins = value.min(*admins))
            .or_insert(value);
    }
    check(&merged)?;
    Ok(merged)
}

/// Refuses what no single line shows: ties, and grants whose credentials do
/// not exist or do not fit.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    refuse_ties(&config.grants)?;
    config
        .grants
        .iter()
        .try_for_each(|grant| check_credentials(grant, config))
}

/// Refuses two grants of one module for the same pattern of origins. Different
/// patterns that match one origin are never equally exact
/// ([`OriginPattern::exactness`]), so this is every tie.
pub(super) fn refuse_ties(grants: &[Grant]) -> Result<(), ConfigError> {
    for (position, grant) in grants.iter().enumerate() {
        for earlier in grants[..position]
            .iter()
            .filter(|g| g.module == grant.module)
        {
            if let Some(pattern) = grant.origins.iter().find(|p| earlier.origins.contains(p)) {
                return Err(ConfigError::at(
                    grant.from.clone(),
                    format!(
                        "`{}` is already granted `{pattern}` at {}; neither grant is more exact",
                        grant.module, earlier.from
                    ),
                )
                .with_hint("write one grant for the two, or one of them for a more exact origin"));
            }
        }
    }
    Ok(())
}

fn check_credentials(grant: &Grant, config: &Config) -> Result<(), ConfigError> {
    for (slot, name) in &grant.credentials {
        let refuse = |message: String| ConfigError::at(grant.from.clone(), message);
        let Some(spec) = config.credentials.get(name) else {
            let known = config.credentials.keys().map(|known| known.as_str());
            let error = refuse(format!(
                "slot `{slot}` is filled with credential `{name}`, which is not defined"
            ));
            return Err(match crate::suggest::nearest(name.as_str(), known) {
                Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
                None => error.with_hint(format!("define it as `[credential.{name}]`")),
            });
        };
        let covered =
            |pattern: &OriginPattern| spec.origins.iter().any(|origin| pattern.matches(origin));
        if !grant.origins.iter().any(covered) {
            return Err(refuse(format!(
                "credential `{name}` of slot `{slot}` is for none of the origins of this grant"
            ))
            .with_hint(format!(
                "add the origin to `origins` of `[credential.{name}]` if it may receive the credential"
            )));
        }
    }
    Ok(())
}
