//! `nix-fetchhost grant add`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fetchhost_engine::Module;
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{
    CERTIFICATE_SLOT, CredentialName, Grant, HostPart, Method, ModuleId, Provenance, SlotName,
    UpstreamUrl,
};

use super::{module, values};
use crate::args::GrantAddArgs;
use crate::catalog;
use crate::context::Context;
use crate::failure::Failure;
use crate::settings::draft::Draft;

/// Adds a grant to the user's configuration.
///
/// Of a module that is not built in, the paths that it declares are written down when it was named
/// as a file, so that the user sees what was granted.
pub(crate) async fn add(context: &Context, args: &GrantAddArgs) -> Result<(), Failure> {
    let named = module(context, &args.module).await?;
    let credentials = credentials(&args.credential)?;
    // A grant for what nobody has would be in force without ever being used.
    let fetchers = |module: Arc<Module>| module.description().fetchers.values().cloned().collect();
    let known: Option<Vec<FetcherDescription>> = match (&named.module, &named.id) {
        (Some(module), _) => Some(fetchers(Arc::clone(module))),
        (None, ModuleId::Builtin(name)) => {
            Some(fetchers(catalog::builtin(&context.engine()?, name).await?))
        }
        (None, ModuleId::Host(HostPart::Substituter)) => Some(vec![UpstreamUrl::needs()]),
        (None, ModuleId::Digest(_)) => None,
    };
    if let Some(fetchers) = known {
        check_slots(&named.id, &fetchers, &credentials)?;
    }
    let mut paths = (!args.path.is_empty())
        .then(|| values("--path", &args.path))
        .transpose()?;
    if paths.is_none() && !named.id.is_builtin() {
        paths = Some(named.paths.ok_or_else(|| {
            Failure::usage(format!("a grant for `{}` needs `--path`", named.id)).with_hint(
                "or name the module as `PATH#sha256=HEX`: then the paths that it declares are written",
            )
        })?);
    }
    let methods = if args.method.is_empty() {
        Method::READING.to_vec()
    } else {
        values("--method", &args.method)?
    };
    let grant = Grant {
        module: named.id,
        origins: values("--origin", &args.origin)?,
        methods,
        paths,
        redirects: values("--redirect", &args.redirect)?,
        credentials,
        from: Provenance::Argv,
    };
    let mut draft = Draft::open(&context.environment)?;
    draft.add_grant(&grant)?;
    draft.save()?;
    context
        .printer
        .note(&format!("granted to {}", grant.module));
    Ok(())
}

/// Refuses slots that no fetcher of the module has.
fn check_slots(
    id: &ModuleId,
    fetchers: &[FetcherDescription],
    credentials: &BTreeMap<SlotName, CredentialName>,
) -> Result<(), Failure> {
    let mut known: BTreeSet<&str> = fetchers
        .iter()
        .flat_map(|fetcher| fetcher.slots.keys().map(SlotName::as_str))
        .collect();
    known.insert(CERTIFICATE_SLOT);
    match credentials
        .keys()
        .find(|slot| !known.contains(slot.as_str()))
    {
        None => Ok(()),
        Some(slot) => {
            let known: Vec<String> = known.iter().map(|slot| format!("`{slot}`")).collect();
            Err(Failure::usage(format!("`{id}` has no slot `{slot}`"))
                .with_hint(format!("there are {}", known.join(", "))))
        }
    }
}

/// Reads `--credential SLOT=NAME`. What is no name is not repeated: it may be a secret.
fn credentials(texts: &[String]) -> Result<BTreeMap<SlotName, CredentialName>, Failure> {
    let mut credentials = BTreeMap::new();
    for text in texts {
        let refuse = || {
            Failure::usage("`--credential` is not `SLOT=NAME` of a configured credential")
                .with_hint(
                    "`nix-fetchhost credential list` shows the names; `credential set` makes one",
                )
        };
        let (slot, name) = text.split_once('=').ok_or_else(refuse)?;
        let slot: SlotName = slot.parse().map_err(|_| refuse())?;
        let name = name.parse().map_err(|_| refuse())?;
        if credentials.insert(slot.clone(), name).is_some() {
            return Err(Failure::usage(format!(
                "slot `{slot}` is given two credentials"
            )));
        }
    }
    Ok(credentials)
}
