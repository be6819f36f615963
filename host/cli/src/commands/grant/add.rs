//! `nix-fetchhost grant add`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fetchhost_engine::Module;
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{
    CERTIFICATE_SLOT, Config, CredentialName, Grant, Method, ModuleId, Provenance, SlotName,
    nearest,
};

use super::{details, module, takes_no_grant, values};
use crate::args::GrantAddArgs;
use crate::catalog;
use crate::commands::credential::{check_known, names};
use crate::context::Context;
use crate::failure::{Failure, meant};
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
        (None, ModuleId::Host(part)) => match part.needs() {
            Some(needs) => Some(vec![needs]),
            None => return Err(takes_no_grant(&named.id)),
        },
        (None, ModuleId::Digest(_)) => None,
    };
    if let Some(fetchers) = known {
        check_slots(&named.id, &fetchers, &credentials)?;
    }
    check_names(&context.settings.config, &credentials)?;
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
        keys: BTreeMap::new(),
        domain: None,
        remember: None,
        from: Provenance::Argv,
    };
    let mut draft = Draft::open(&context.environment)?;
    refuse_second(context, &draft, &grant)?;
    draft.add_grant(&grant)?;
    draft.save()?;
    context.printer.note(&format!(
        "granted to `{}` in {}\n{}",
        grant.module,
        draft.path().display(),
        details(&grant).trim_end()
    ));
    Ok(())
}

/// Refuses a grant for what the module is granted already: of two that are equally exact, neither could
/// be in force.
fn refuse_second(context: &Context, draft: &Draft, grant: &Grant) -> Result<(), Failure> {
    // What the administrator's file grants is in force besides.
    let known = draft.before().grants.iter();
    let all = known.chain(&context.settings.config.grants);
    for earlier in all.filter(|earlier| earlier.module == grant.module) {
        let Some(origin) = grant.origins.iter().find(|o| earlier.origins.contains(o)) else {
            continue;
        };
        let (module, from) = (&grant.module, &earlier.from);
        let failure = Failure::usage(format!(
            "`{module}` is already granted `{origin}` at {from}"
        ));
        return Err(failure.with_hint(if is_of_draft(earlier, draft) {
            format!(
                "change that grant in the file, or take the origin out of it first with `nix-fetchhost grant remove {module} --origin '{origin}'`; it says:\n\n{}",
                details(earlier).trim_end()
            )
        } else {
            "that file is not yours: ask whoever writes it".to_owned()
        }));
    }
    Ok(())
}

fn is_of_draft(grant: &Grant, draft: &Draft) -> bool {
    matches!(&grant.from, Provenance::File { file, .. } if file == draft.path())
}

/// Refuses credentials that are not configured.
fn check_names(
    config: &Config,
    credentials: &BTreeMap<SlotName, CredentialName>,
) -> Result<(), Failure> {
    for (slot, name) in credentials {
        let Err(failure) = check_known(config, name) else {
            continue;
        };
        if nearest(name.as_str(), names(config)).is_some() {
            return Err(failure);
        }
        // It may be the secret itself.
        return Err(Failure {
            message: format!("what is to fill slot `{slot}` is no configured credential"),
            ..failure
        });
    }
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
            let hint = meant(slot.as_str(), known.iter().copied(), || {
                let known: Vec<String> = known.iter().map(|slot| format!("`{slot}`")).collect();
                format!("there are {}", known.join(", "))
            });
            Err(Failure::usage(format!("`{id}` has no slot `{slot}`")).with_hint(hint))
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
