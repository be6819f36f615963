//! `nix-fetchhost credential test`

use std::collections::BTreeMap;
use std::sync::Arc;

use fetchhost_credentials::Keyring;
use fetchhost_policy::describe::{FetcherDescription, Needs, SlotDescription};
use fetchhost_policy::{
    Broker, Config, CredentialSpec, Grant, Method, ModuleId, Origin, Provenance, SlotName,
};
use fetchhost_transport::{Outgoing, TransportError};
use url::Url;

use super::{check_known, name};
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, with_causes};
use crate::signals::Stops;

/// Whom the request is made for. No module has this name, so no grant of a module counts here.
const REQUESTER: &str = "builtin:credential-test";
const SLOT: &str = "credential";

/// Reads a credential from its source and, with a URL, sends it there: one request through the
/// same broker and transport as a fetch, granted for this URL's origin and no redirect.
pub(crate) async fn test(context: &Context, text: &str, url: Option<&str>) -> Result<(), Failure> {
    let name = name(text)?;
    let config = &context.settings.config;
    check_known(config, &name)?;
    let Some(spec) = config.credentials.get(&name) else {
        return Err(Failure::usage(format!("`{name}` is a client certificate"))
            .with_hint("a fetch from one of its origins tests it"));
    };
    let target = url.map(|url| Target::parse(spec, url)).transpose()?;
    let keyring = Arc::new(context.keyring());
    for origin in origins_to_ask(spec, target.as_ref()) {
        resolve(&keyring, spec, origin).await?;
        let place = if spec.source.is_per_origin() {
            format!(" for {origin}")
        } else {
            String::new()
        };
        context
            .printer
            .result(&format!("{name}: {} has a secret{place}", spec.source))?;
    }
    match target {
        None => Ok(()),
        Some(target) => ask(context, spec, &target, keyring).await,
    }
}

/// Where the credential is to be sent.
struct Target {
    url: Url,
    origin: Origin,
}

impl Target {
    fn parse(spec: &CredentialSpec, text: &str) -> Result<Self, Failure> {
        let refuse = |error: &dyn std::error::Error| {
            // Its query may be a secret.
            let shown = text.split(['?', '#']).next().unwrap_or_default();
            Failure::usage(format!("`{shown}`: {}", with_causes(error)))
        };
        let url = Url::parse(text).map_err(|error| refuse(&error))?;
        let origin = Origin::of_url(&url).map_err(|error| refuse(&error))?;
        if spec.is_for(&origin) {
            return Ok(Self { url, origin });
        }
        let origins: Vec<String> = spec
            .origins
            .iter()
            .map(|origin| format!("`{origin}`"))
            .collect();
        Err(Failure {
            status: ExitStatus::Denied,
            kind: "denied",
            ..Failure::usage(format!("credential `{}` is not for `{origin}`", spec.name))
        }
        .with_hint(format!("it is for {}", origins.join(" and "))))
    }
}

/// The origins for which the source is read: the one that is asked, else all whose answers differ.
fn origins_to_ask<'a>(spec: &'a CredentialSpec, target: Option<&'a Target>) -> Vec<&'a Origin> {
    match target {
        Some(target) => vec![&target.origin],
        None if spec.source.is_per_origin() => spec.origins.iter().collect(),
        None => spec.origins.iter().take(1).collect(),
    }
}

async fn resolve(
    keyring: &Arc<Keyring>,
    spec: &CredentialSpec,
    origin: &Origin,
) -> Result<(), Failure> {
    let (keyring, wanted, origin) = (Arc::clone(keyring), spec.clone(), origin.clone());
    // Reading a source can block, for as long as its program or the user takes.
    let (cancel, mut stops) = (keyring.cancel(), Stops::listen());
    let mut resolved = tokio::task::spawn_blocking(move || keyring.resolve(&wanted, &origin));
    let resolved = tokio::select! {
        resolved = &mut resolved => resolved,
        stop = stops.next() => {
            // The terminal is as it was, and the program gone, when this has ended.
            cancel.fire();
            let _ = resolved.await;
            return Err(Failure::stopped(stop));
        }
    };
    match resolved {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let mut failure = Failure::usage(with_causes(&error));
            failure.hint = error.hint();
            Err(failure)
        }
        Err(stopped) => Err(Failure::usage(format!(
            "the source was not read: {stopped}"
        ))),
    }
}

async fn ask(
    context: &Context,
    spec: &CredentialSpec,
    target: &Target,
    keyring: Arc<Keyring>,
) -> Result<(), Failure> {
    let module: ModuleId = REQUESTER.parse().map_err(internal)?;
    let slot: SlotName = SLOT.parse().map_err(internal)?;
    let description = description(spec, &slot, &target.origin)?;
    let config = granted(context, spec, &slot, &module, &target.origin);
    let broker = Arc::new(Broker::new(
        module,
        "credential",
        &description,
        &config,
        None,
    )?);
    let client = context.client(keyring);
    let mut status = 0;
    let mut asked = Method::Head;
    // Some servers know no HEAD.
    for method in [Method::Head, Method::Get] {
        asked = method;
        let permit = broker
            .authorize(method, &target.url, Some(&slot), false)
            .map_err(|denial| Failure {
                status: ExitStatus::Denied,
                kind: "denied",
                hint: denial.hint(),
                ..Failure::usage(denial.to_string())
            })?;
        let outgoing = Outgoing {
            permit,
            headers: Vec::new(),
            body: None,
        };
        let response = client
            .send(Arc::clone(&broker), outgoing)
            .await
            .map_err(not_answered)?;
        status = response.status();
        if !matches!(status, 405 | 501) {
            break;
        }
    }
    let (name, shown) = (&spec.name, fetchhost_policy::DisplayUrl(&target.url));
    context
        .printer
        .result(&format!("{name}: {asked} {shown} answers {status}"))?;
    match status {
        0..=399 => Ok(()),
        401 | 403 => Err(refused(
            "unauthorized",
            format!(
                "`{}` does not accept credential `{name}` for this: {status}",
                target.origin
            ),
        )),
        404 => Err(refused(
            "not-found",
            format!(
                "`{}` answers 404; for what may not be seen, some servers say the same",
                target.origin
            ),
        )),
        _ => Err(refused(
            "upstream",
            format!("`{}` answers {status}", target.origin),
        )),
    }
}

/// What would allow a redirect is not said: there is no module to write a grant for.
fn not_answered(error: TransportError) -> Failure {
    let is_denied = matches!(error, TransportError::Denied(_));
    let mut failure = Failure::from(fetchhost_pipeline::Error::from(error));
    if is_denied {
        failure.hint = Some("a test follows no redirect to another origin; name the URL that it leads to, if the credential is for that".to_owned());
    }
    failure
}

fn refused(kind: &'static str, message: String) -> Failure {
    Failure {
        status: ExitStatus::FetchFailed,
        kind,
        ..Failure::usage(message)
    }
}

/// What a module would declare that asks the one origin.
fn description(
    spec: &CredentialSpec,
    slot: &SlotName,
    origin: &Origin,
) -> Result<FetcherDescription, Failure> {
    let of_slot = SlotDescription {
        summary: String::new(),
        scheme: spec.scheme.clone(),
        optional: false,
    };
    Ok(FetcherDescription {
        summary: String::new(),
        parameters: serde_json::json!({ "type": "object" }),
        slots: BTreeMap::from([(slot.clone(), of_slot)]),
        needs: Needs {
            origin_parameter: None,
            origins: vec![origin.clone().into()],
            methods: Method::READING.to_vec(),
            paths: vec!["/**".parse().map_err(internal)?],
        },
        inputs: BTreeMap::new(),
        keys: BTreeMap::new(),
        output: Vec::new(),
    })
}

/// The configuration in force, with one grant in place of all others: to send the credential to an
/// origin that its own definition names.
fn granted(
    context: &Context,
    spec: &CredentialSpec,
    slot: &SlotName,
    module: &ModuleId,
    origin: &Origin,
) -> Config {
    let mut config = context.settings.config.clone();
    config.grants = vec![Grant {
        module: module.clone(),
        origins: vec![origin.clone().into()],
        methods: Method::READING.to_vec(),
        paths: None,
        redirects: Vec::new(),
        credentials: BTreeMap::from([(slot.clone(), spec.name.clone())]),
        keys: BTreeMap::new(),
        domain: None,
        remember: None,
        from: Provenance::BuiltIn,
    }];
    config
}

/// For what is written here and always right.
fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string())
}
