//! The administrator's file and the user's, as one.

use super::certificate;
use super::{Config, ConfigError};
use crate::certificate::CERTIFICATE_SLOT;
use crate::{CredentialName, Grant, KeyName, OriginPattern, Provenance};

pub(super) fn merge(admin: Config, user: Config) -> Result<Config, ConfigError> {
    refuse_administration(&user)?;
    if admin.locked().is_some() {
        check(&admin)?;
        return Ok(admin);
    }
    let mut merged = admin;
    for (name, place) in user.places {
        refuse_second(&merged, &name, &place)?;
        merged.places.insert(name, place);
    }
    for (name, place) in user.key_places {
        if let Some(first) = merged.key_places.get(&name) {
            return Err(ConfigError::at(
                place,
                format!("key `{name}` is already defined at {first}"),
            )
            .with_hint("a user's file only adds; give yours another name"));
        }
        merged.key_places.insert(name, place);
    }
    merged.keys.extend(user.keys);
    match (&merged.memo_place, user.memo_place) {
        (Some(first), Some(place)) => {
            return Err(
                ConfigError::at(place, format!("`[memo]` is already written at {first}"))
                    .with_hint("a user's file only adds; remove it here"),
            );
        }
        (None, place @ Some(_)) => (merged.memo, merged.memo_place) = (user.memo, place),
        (_, None) => {}
    }
    merged.credentials.extend(user.credentials);
    merged.certificates.extend(user.certificates);
    match (&merged.proxies, user.proxies) {
        (Some((_, first)), Some((_, place))) => {
            return Err(
                ConfigError::at(place, format!("`[proxy]` is already written at {first}"))
                    .with_hint("a user's file only adds; remove it here"),
            );
        }
        (None, proxies @ Some(_)) => merged.proxies = proxies,
        (_, None) => {}
    }
    merged.gateway = merged.gateway.merge(user.gateway);
    merged.grants.extend(user.grants);
    merged.routes.extend(user.routes);
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

/// Refuses a credential that the administrator has defined.
fn refuse_second(
    admin: &Config,
    name: &CredentialName,
    place: &Provenance,
) -> Result<(), ConfigError> {
    match admin.places.get(name) {
        None => Ok(()),
        Some(first) => Err(ConfigError::at(
            place.clone(),
            format!("credential `{name}` is already defined at {first}"),
        )
        .with_hint("a user's file only adds; give yours another name")),
    }
}

/// Refuses in a user's file what is the administrator's alone. There it would
/// promise a protection that whoever writes the file can take back.
fn refuse_administration(user: &Config) -> Result<(), ConfigError> {
    let switch = |key, switch: &Option<(bool, Provenance)>| {
        switch.as_ref().map(|(_, place)| (key, place.clone()))
    };
    let deny = user.deny.first().map(|deny| ("deny", deny.from.clone()));
    let found = deny
        .or_else(|| switch("locked", &user.locked))
        .or_else(|| switch("argv-consent", &user.argv_consent));
    match found {
        None => Ok(()),
        Some((key, place)) => Err(ConfigError::at(
            place,
            format!("`{key}` belongs to the administrator's file"),
        )
        .with_hint("a user's file only adds; remove it here")),
    }
}

/// Refuses what no single line shows: ties, and grants whose credentials do
/// not exist or do not fit.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    refuse_ties(&config.grants)?;
    super::route::refuse_ties(&config.routes)?;
    refuse_key_ties(&config.grants)?;
    config.grants.iter().try_for_each(|grant| {
        check_credentials(grant, config)?;
        check_keys(grant, config)
    })
}

/// Refuses two grants of one key to one module: either could say the domain.
fn refuse_key_ties(grants: &[Grant]) -> Result<(), ConfigError> {
    for (position, grant) in grants.iter().enumerate() {
        let same = |earlier: &&Grant| earlier.module == grant.module;
        for earlier in grants[..position].iter().filter(same) {
            if let Some(key) = grant.keys.keys().find(|key| earlier.keys.contains_key(key)) {
                return Err(ConfigError::at(
                    grant.from.clone(),
                    format!(
                        "`{}` is already granted the key `{key}` at {}",
                        grant.module, earlier.from
                    ),
                )
                .with_hint("write all of its envelopes into one grant"));
            }
        }
    }
    Ok(())
}

/// Refuses keys that nobody defines, and envelopes that a key is not for.
fn check_keys(grant: &Grant, config: &Config) -> Result<(), ConfigError> {
    for (name, envelopes) in &grant.keys {
        let refuse = |message: String| ConfigError::at(grant.from.clone(), message);
        let Some(key) = config.keys.get(name) else {
            let error = refuse(format!("key `{name}` is granted, and not defined"));
            let known = config.keys.keys().map(KeyName::as_str);
            return Err(match crate::suggest::nearest(name.as_str(), known) {
                Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
                None => error.with_hint(format!("define it as `[key.{name}]`")),
            });
        };
        if let Some(envelope) = envelopes
            .iter()
            .find(|envelope| !key.uses.allow(**envelope))
        {
            return Err(refuse(format!(
                "key `{name}` is granted for `{envelope}`, and is for {}",
                key.uses
            ))
            .with_hint(format!(
                "add it to `use` of `[key.{name}]`, or take it out of the grant"
            )));
        }
    }
    Ok(())
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
        let certificate = config.certificates.get(name);
        if certificate.is_some() && !certificate::is_slot(slot) {
            return Err(refuse(format!(
                "slot `{slot}` is filled with `{name}`, which is a client certificate"
            ))
            .with_hint(format!("write `{CERTIFICATE_SLOT} = \"{name}\"`")));
        }
        if certificate::is_slot(slot) && config.credentials.contains_key(name) {
            return Err(refuse(format!(
                "slot `{slot}` takes client certificates alone, and `{name}` is another kind of credential"
            ))
            .with_hint(format!(
                "write `{name}` into a slot of the module, or define a credential with `source = {{ client-certificate = … }}`"
            )));
        }
        let origins = certificate
            .map(|spec| &spec.origins)
            .or_else(|| config.credentials.get(name).map(|spec| &spec.origins));
        let Some(origins) = origins else {
            let known = config.places.keys().map(CredentialName::as_str);
            let error = refuse(format!(
                "slot `{slot}` is filled with credential `{name}`, which is not defined"
            ));
            return Err(match crate::suggest::nearest(name.as_str(), known) {
                Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
                None => error.with_hint(format!("define it as `[credential.{name}]`")),
            });
        };
        let covered =
            |pattern: &OriginPattern| origins.iter().any(|origin| pattern.matches(origin));
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
