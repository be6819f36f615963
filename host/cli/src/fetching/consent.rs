//! Which origins parameters name, and what typing a command line consents to.

use fetchhost_policy::{
    ArgvCredential, ArgvCredentialError, Consent, Origin, OriginError, S3_SERVER, composed_origin,
};
use serde_json::{Map, Value};

use super::with_hint;
use crate::args::FetchArgs;
use crate::catalog::Selected;
use crate::failure::{Failure, with_causes};
use crate::params;

/// The origin that the parameters name, typed or by default. What is none is told where it is used.
pub(crate) fn effective_origin(
    selected: &Selected,
    parameters: &Map<String, Value>,
) -> Result<Option<Origin>, Failure> {
    if let Some(composed) = composed(selected, parameters) {
        return composed.map(Some);
    }
    let description = selected.description()?;
    let Some(parameter) = &description.needs.origin_parameter else {
        return Ok(None);
    };
    let given = parameters.get(parameter).filter(|value| !value.is_null());
    let value = given.or_else(|| description.property(parameter)?.get("default"));
    value
        .and_then(Value::as_str)
        .map(|text| origin_of(parameter, text))
        .transpose()
}

/// The origin that several parameters of a built-in fetcher compose.
fn composed(
    selected: &Selected,
    parameters: &Map<String, Value>,
) -> Option<Result<Origin, Failure>> {
    let composed = composed_origin(&selected.id, parameters)?;
    Some(composed.map_err(|error| {
        let names = S3_SERVER.map(|name| format!("`{name}`")).join(", ");
        Failure::usage(format!(
            "the parameters {names} name no server: {}",
            with_causes(&error)
        ))
    }))
}

/// The origin that a parameter names.
fn origin_of(parameter: &str, text: &str) -> Result<Origin, Failure> {
    Origin::of_parameter(text).map_err(|error| {
        Failure::usage(format!(
            "the parameter `{parameter}`: {}",
            with_causes(&error)
        ))
    })
}

/// What typing this command line consents to.
pub(super) fn typed(
    selected: &Selected,
    params: &params::Params,
    args: &FetchArgs,
) -> Result<Consent, Failure> {
    Ok(Consent {
        typed_origins: typed_origin(selected, params)?.into_iter().collect(),
        allow: origins(&args.allow)?,
        credentials: credentials(&args.credential)?,
        keys: selected
            .description()?
            .keys
            .values()
            .map(|key| key.parameter.clone())
            .filter(|parameter| params.typed.contains(parameter))
            .collect(),
    })
}

/// The origin that was typed, if it was: all that it is composed of, where that is several parameters.
fn typed_origin(selected: &Selected, params: &params::Params) -> Result<Option<Origin>, Failure> {
    if let Some(composed) = composed(selected, &params.object) {
        let is_typed = params
            .object
            .keys()
            .filter(|name| S3_SERVER.contains(&name.as_str()))
            .all(|name| params.typed.contains(name));
        return composed.map(|origin| is_typed.then_some(origin));
    }
    if let Some(parameter) = &selected.description()?.needs.origin_parameter
        && params.typed.contains(parameter)
        && let Some(text) = params.object.get(parameter).and_then(Value::as_str)
    {
        return origin_of(parameter, text).map(Some);
    }
    Ok(None)
}

/// Reads `--allow`.
pub(crate) fn origins(texts: &[String]) -> Result<Vec<Origin>, Failure> {
    texts
        .iter()
        .map(|text| {
            text.parse().map_err(|error: OriginError| {
                Failure::usage(format!("`--allow {text}`: {}", with_causes(&error)))
            })
        })
        .collect()
}

/// Reads `--credential`.
pub(crate) fn credentials(texts: &[String]) -> Result<Vec<ArgvCredential>, Failure> {
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error: ArgvCredentialError| with_hint(&error, error.hint()))
        })
        .collect()
}
