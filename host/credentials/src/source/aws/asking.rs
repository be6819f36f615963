//! Asking a server for access keys, as all sources here that have them from one do.

use fetchhost_policy::KeyServer;

use super::super::{Found, Surroundings};
use super::variable;
use crate::key_server::{Given, KeyAnswer, KeyRequest, NotGiven};
use crate::{AwsProblem, KeyServerProblem};

/// The variable that names one server for all of AWS's services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// The variable by which those that name servers do not count.
const IGNORED: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// The answer to `request`. `how_to_reach`: what to do where the server is not reached.
pub(super) fn ask(
    request: KeyRequest,
    surroundings: &Surroundings,
    how_to_reach: impl FnOnce() -> String,
) -> Result<KeyAnswer, KeyServerProblem> {
    let server = request.server.origin().to_string();
    let Some(ask) = &surroundings.servers else {
        return Err(KeyServerProblem::NotAsked { server });
    };
    ask(request, &surroundings.cancel).map_err(|failure| KeyServerProblem::Unreached {
        server,
        reason: failure.reason,
        hint: failure.hint.or_else(|| Some(how_to_reach())),
    })
}

/// What `server` gave.
pub(super) fn found(
    given: Result<Given, NotGiven>,
    server: &KeyServer,
) -> Result<Found, KeyServerProblem> {
    let server = || server.origin().to_string();
    match given {
        Ok(given) => Ok(Found {
            secret: given.keys,
            until: Some(given.until),
        }),
        Err(NotGiven::Answer(problem)) => Err(KeyServerProblem::Answer {
            server: server(),
            problem,
        }),
        Err(NotGiven::Expired) => Err(KeyServerProblem::Expired { server: server() }),
    }
}

/// The server that the variable `own` names, or the one for all services.
pub(super) fn endpoint(
    own: &'static str,
    surroundings: &Surroundings,
) -> Result<Option<(&'static str, String)>, AwsProblem> {
    let is_ignored =
        variable(surroundings, IGNORED)?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_ignored {
        return Ok(None);
    }
    first(surroundings, [own, ENDPOINT])
}

/// The first of these variables that is set to something.
pub(super) fn first(
    surroundings: &Surroundings,
    names: [&'static str; 2],
) -> Result<Option<(&'static str, String)>, AwsProblem> {
    for name in names {
        if let Some(value) = variable(surroundings, name)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}
